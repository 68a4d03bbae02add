"""How a task looks: what its objects are called in pictures, and what stands around them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Footprint:
    """A box as it is seen from above, its sides along x and y.

    Args:
        name: what it is called.
        on: what its position is relative to: ``object 0``, ``goal 0``, ``start 0`` (where that
            object was at the start of the episode), ``place 0`` of the layout, or ``table`` (the
            origin).
        centre: x and y of its middle, relative to ``on``, metres.
        half: half the lengths of its sides along x and y, metres.
    """

    name: str
    on: str
    centre: tuple[float, float]
    half: tuple[float, float]


@dataclass(frozen=True)
class Look:
    """Names and surroundings that pictures of a task show.

    Args:
        objects: names, such as ``cube 0``; without any they are ``object 0`` and so on.
        footprints: what stands on the table, the largest first.
    """

    objects: tuple[str, ...] = ()
    footprints: tuple[Footprint, ...] = ()
