"""How a task looks: what its objects are called in pictures, and what stands around them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Footprint:
    """A box as it is seen from above, its sides along x and y.

    Args:
        name: what it is called.
        on: what it goes with: ``object 0`` or ``goal 0``, ``start 0`` where that object was at the
            start of the episode, ``place 0`` of the layout, or ``table`` for the origin.
        centre: x and y of its middle, seen from there, metres.
        half: of its sides, metres.
    """

    name: str
    on: str
    centre: tuple[float, float]
    half: tuple[float, float]


@dataclass(frozen=True)
class Look:
    """What pictures of a task say and draw.

    Args:
        objects: names, such as ``cube 0``; without any they are ``object 0`` and so on.
        footprints: of what stands on the table, the largest first.
    """

    objects: tuple[str, ...] = ()
    footprints: tuple[Footprint, ...] = ()
