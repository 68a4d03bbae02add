"""Where the footprints of a task are in a state: walls, holes, drawers, seen from above."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rher_pl.look import Footprint, Look
from rher_pl.relay import Relay


@dataclass(frozen=True)
class Standing:
    """A footprint at its place.

    Args:
        footprint: what stands there.
        x, y: least x and y of its corners, metres.
    """

    footprint: Footprint
    x: float
    y: float

    @property
    def size(self) -> tuple[float, float]:
        """Lengths of its sides along x and y, metres."""
        half_x, half_y = self.footprint.half
        return 2 * half_x, 2 * half_y

    @property
    def corners(self) -> list[list[float]]:
        """Two opposite corners, as points [3] on the ground (metres)."""
        width, depth = self.size
        return [[self.x, self.y, 0.0], [self.x + width, self.y + depth, 0.0]]


def standing(
    look: Look, relay: Relay, start: Tensor, now: Tensor, goals: Tensor, places: Tensor
) -> list[Standing]:
    """All footprints of a task.

    Args:
        look: of the task.
        relay: of the task.
        start, now: positions of the points at the start of the episode and now, [P, 3] (metres).
        goals: desired goals, [D, 3].
        places: positions of the layout's places, [K, 3].
    """
    owners = {
        "start": start[relay.reach :],
        "object": now[relay.reach :],
        "goal": goals,
        "place": places,
    }
    found = []
    for footprint in look.footprints:
        kind, _, index = footprint.on.partition(" ")
        x, y = (0.0, 0.0) if kind == "table" else owners[kind][int(index)][:2].tolist()
        (right, up), (half_x, half_y) = footprint.centre, footprint.half
        found.append(Standing(footprint, x + right - half_x, y + up - half_y))
    return found
