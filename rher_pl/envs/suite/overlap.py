"""Whether a given object is inside something else."""

from __future__ import annotations

from typing import Any

DEPTH = 0.001
"""Metres that an object may cut into something: one at rest does, a little."""


def refuse_overlap(model: Any, data: Any, site: str) -> None:
    """Raise a ValueError if the body of a site cuts into another body, in a state as of ``data``.

    Args:
        model: MuJoCo's.
        data: of which the contacts are known, as after ``mj_forward``.
        site: the object's, by which it is named.
    """
    own = int(model.site_bodyid[model.site(site).id])
    for contact in data.contact[: data.ncon]:
        bodies = model.geom_bodyid[list(contact.geom)].tolist()
        if own not in bodies or contact.dist >= -DEPTH:
            continue
        bodies.remove(own)
        other = str(model.body(bodies[0]).name)
        other = "the robot" if other.startswith("robot0:") else other
        place = data.site(site).xpos.round(4).tolist()
        raise ValueError(
            f"{site} at {place} is inside {other}: move it until they overlap by at most {DEPTH} m"
        )
