"""How the tasks of the suite look from above; sizes are those of the models."""

from __future__ import annotations

from rher_pl.look import Footprint, Look

_WALL = Footprint("wall", "place 0", (0.0, 0.0), (0.01, 0.04))
_BLOCK = Footprint("block", "goal 0", (0.0, 0.0), (0.1, 0.1))
_HOLE = Footprint("hole", "goal 0", (0.0, 0.0), (0.02, 0.02))
_CASE, _CASE_HALF = (0.124, 0.0), (0.1, 0.118)
"""Middle of the case, relative to the handle of the closed drawer, and half its size: x and y."""
_DRAWER = Footprint("drawer", "object 0", (0.115, 0.0), (0.091, 0.1))


def _cubes(number: int) -> Look:
    return Look(tuple(f"cube {i}" for i in range(number)))


LOOKS = {
    "FetchObstaclePush-v0": Look(("cube",), (_WALL,)),
    "FetchInsert-v0": Look(("point in the hole",), (_BLOCK, _HOLE)),
    "FetchDrawer-v0": Look(
        ("handle",), (Footprint("case", "table", (1.5, 0.63), _CASE_HALF), _DRAWER)
    ),
    "FetchDoublePush-v0": _cubes(2),
    "FetchStack-v0": _cubes(2),
    "FetchDrawerBox-v0": Look(
        ("handle", "box"), (Footprint("case", "start 0", _CASE, _CASE_HALF), _DRAWER)
    ),
    "FetchThreePush-v0": _cubes(3),
    "FetchThreeStack-v0": _cubes(3),
}
"""Looks by name of the task."""
