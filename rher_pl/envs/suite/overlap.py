"""Whether a given object is inside something else."""

from __future__ import annotations

from typing import Any

DEPTH = 0.001
"""Metres that an object may overlap another body: at rest it does so, a little."""


def refuse_overlap(model: Any, data: Any, site: str) -> None:
    """Raise a ValueError if the body of a site overlaps another body in the state ``data``.

    Args:
        model: of MuJoCo.
        data: with its contacts, as after ``mj_forward``.
        site: name of the object's site, which the message uses.
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
