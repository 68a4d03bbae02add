"""Reflections under which an environment stays the same, number by number."""

from __future__ import annotations

from dataclasses import dataclass
from operator import mul

from rher_pl.relay import Layout

AXES = "xyz"
Signs = tuple[int, ...]


@dataclass(frozen=True)
class Mirror:
    """A reflection across planes that stand on the table.

    Nothing is said of where the planes are: it holds for inputs that are relative, and heights.

    Args:
        axes: those that change sign, ``x``, ``y`` or ``xy``.
        observation: sign of each number of the mirrored observation, [O].
        columns: column of the observation that each of these numbers comes from, [O].
        action: sign of each number of the mirrored action, [A].
    """

    axes: str
    observation: Signs
    columns: tuple[int, ...]
    action: Signs

    def __post_init__(self) -> None:
        if sorted(self.columns) != list(range(len(self.observation))):
            raise ValueError(f"mirror {self.axes}: columns must name each column once")
        if not set(self.observation + self.action) <= {-1, 1}:
            raise ValueError(f"mirror {self.axes}: signs must be 1 or -1")

    @property
    def points(self) -> Signs:
        """Signs of x, y and z of a position."""
        return tuple(-1 if axis in self.axes else 1 for axis in AXES)

    def then(self, other: Mirror) -> Mirror:
        """Both reflections, one after the other: across x and y, half a turn about the vertical."""
        columns = tuple(self.columns[column] for column in other.columns)
        seen = tuple(self.observation[column] for column in other.columns)
        observation = tuple(map(mul, seen, other.observation))
        action = tuple(map(mul, self.action, other.action))
        return Mirror(self.axes + other.axes, observation, columns, action)


def fetch_mirrors(layout: Layout, axes: str = "xy") -> tuple[Mirror, ...]:
    """The reflections of a Fetch task, and both of them if there are two.

    Euler angles and angular velocities are axial: they keep their sign about the axis that the
    reflection reverses, and change it about the others. The fingers are side by side along y, so a
    reflection of y swaps them.

    Args:
        layout: of numbers that are in the order of ``relay.fetch_layout``.
        axes: those across which the scene is its own mirror image, ``x``, ``y`` or ``xy``.
    """
    return _all(*[_fetch_mirror(layout, axis) for axis in axes])


def plane_mirrors(numbers: int) -> tuple[Mirror, ...]:
    """The reflections of a task whose observation [numbers] is pairs of x and y, as are actions."""
    straight = tuple(range(numbers))
    return _all(
        Mirror("x", (-1, 1) * (numbers // 2), straight, (-1, 1)),
        Mirror("y", (1, -1) * (numbers // 2), straight, (1, -1)),
    )


def _all(*mirrors: Mirror) -> tuple[Mirror, ...]:
    return (*mirrors, mirrors[0].then(mirrors[1])) if len(mirrors) == 2 else mirrors


def _fetch_mirror(layout: Layout, axis: str) -> Mirror:
    owners = {layout.owner(column) for column in range(len(layout))}
    objects, places = sum(owner.startswith("object") for owner in owners), len(layout.places)
    polar = [-1 if each == axis else 1 for each in AXES]
    axial = [-sign for sign in polar]
    fingers = [1, 1]
    signs = polar * (1 + 2 * objects)  # positions, and those of objects relative to the gripper
    swapped = [len(signs)]
    signs += fingers
    for kind in (axial, polar, axial):  # rotations, velocities, angular velocities
        signs += kind * objects
    signs += polar
    swapped += [len(signs)]
    signs += fingers + polar * places
    columns = list(range(len(signs)))
    if axis == "y":
        for finger in swapped:
            columns[finger : finger + 2] = [finger + 1, finger]
    return Mirror(axis, tuple(signs), tuple(columns), (*polar, 1))
