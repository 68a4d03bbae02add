"""What each number of an observation belongs to.

An observation is a flat vector. Its layout has a label for each column, which says what the number
belongs to (the gripper, an object, a fixed place such as a wall or a hole, or none of these) and
whether it is the x, y or z of a position or something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

POSITION = ("x", "y", "z")
NOBODY = "-"
_LABEL = re.compile(r"(gripper|object \d+|place \d+)(?: ([xyz]))?|-")


def _owned(owner: str, numbers: int) -> list[str]:
    return [owner] * numbers


def position(owner: str) -> list[str]:
    """Labels of the x, y and z of an owner's position."""
    return [f"{owner} {axis}" for axis in POSITION]


@dataclass(frozen=True)
class Layout:
    """The labels of an observation, one for each column.

    Args:
        labels: ``gripper x``, ``object 0 y``, ``place 0 z`` for a number of a position (metres);
            ``gripper``, ``object 0``, ``place 0`` for any other number that belongs to it, such
            as a velocity; ``-`` for a number that belongs to none of them.

    Raises:
        ValueError: for a label that is none of these.
    """

    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        for label in self.labels:
            if not isinstance(label, str) or not _LABEL.fullmatch(label):
                raise ValueError(
                    f"layout label {str(label)[:40]!r}: write gripper, object <i> or place <i>, "
                    f"with x, y or z after it for a position, or {NOBODY}"
                )

    @classmethod
    def of(cls, *parts: Sequence[str]) -> Layout:
        """A layout from lists of labels, joined in order."""
        return cls(tuple(label for part in parts for label in part))

    def to_list(self) -> list[str]:
        """The labels as a plain list, for a checkpoint."""
        return list(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def _parsed(self) -> list[tuple[str, str]]:
        found = (_LABEL.fullmatch(label) for label in self.labels)
        return [(match[1] or NOBODY, match[2] or "") for match in found if match]

    def owner(self, column: int) -> str:
        """What a column belongs to: ``gripper``, ``object <i>``, ``place <i>`` or ``-``."""
        return self._parsed[column][0]

    def axis(self, column: int) -> str:
        """``x``, ``y`` or ``z`` of a position, else empty."""
        return self._parsed[column][1]

    def columns_of(self, owner: str) -> list[int]:
        """Columns of an owner, first to last."""
        return [column for column in range(len(self)) if self.owner(column) == owner]

    @cached_property
    def places(self) -> tuple[tuple[int, int, int], ...]:
        """Columns of x, y and z of each place.

        Raises:
            ValueError: if one of them is missing.
        """
        names = dict.fromkeys(o for o, _ in self._parsed if o.startswith("place"))
        found = []
        for name in names:
            at = {self.axis(c): c for c in self.columns_of(name) if self.axis(c)}
            if sorted(at) != list(POSITION):
                raise ValueError(f"{name} of a layout needs labels for its x, y and z: add them")
            found.append((at["x"], at["y"], at["z"]))
        return tuple(found)

    def alike(self, objects: Iterable[int]) -> bool:
        """Whether all objects have the same numbers in the same order: then roles can swap them."""
        kinds = {tuple(self.axis(c) for c in self.columns_of(f"object {i}")) for i in objects}
        return len(kinds) == 1


def fetch_layout(num_objects: int, places: int = 0) -> Layout:
    """The layout of a Fetch task; with one object, the order is that of gymnasium-robotics.

    Args:
        num_objects: N; 0 for FetchReach, whose gripper is the point that is brought.
        places: number of fixed places, whose positions end the observation.
    """
    names = [f"object {i}" for i in range(num_objects)]
    parts = [position("gripper"), *map(position, names)]
    parts += [_owned(name, 3) for name in names]  # positions relative to the gripper
    parts += [_owned("gripper", 2)]  # fingers
    for _ in ("rotation", "velocity", "angular velocity"):
        parts += [_owned(name, 3) for name in names]
    parts += [_owned("gripper", 3), _owned("gripper", 2)]  # velocities of gripper and fingers
    parts += [position(f"place {i}") for i in range(places)]
    return Layout.of(*parts)
