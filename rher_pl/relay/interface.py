"""Conversion between the numbers of a goal environment and the points and actions of a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from .layout import Layout
from .relay import Relay

AXES = 3


@dataclass(frozen=True)
class Interface:
    """How an environment gives ``observation [O]``, ``achieved_goal`` and ``desired_goal``.

    Args:
        numbers: how many numbers, 1 to 3, each of the D desired goals has; padded with 0 to 3.
        gripper: the 1 to 3 columns of the observation that hold the gripper's position, if any do.
        gripper_in_goal: whether ``achieved_goal`` begins with the gripper's position, 3 numbers.
        low, high: bounds of each number of an action; empty for [-1, 1].
    """

    numbers: tuple[int, ...]
    gripper: tuple[int, ...] = ()
    gripper_in_goal: bool = False
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @classmethod
    def usual(cls, relay: Relay, layout: Layout) -> Interface:
        """The interface of Gymnasium's Fetch tasks.

        The gripper's position is taken from the observation if x, y and z are all there, else from
        the start of ``achieved_goal``. Goals hold the objects' positions one after the other.
        """
        columns = [c for c in layout.columns_of("gripper") if layout.axis(c)]
        whole = relay.reach and len(columns) == AXES
        gripper = sorted(columns, key=layout.axis) if whole else []
        return cls((AXES,) * relay.num_desired, tuple(gripper), relay.reach and not whole)

    @property
    def goal_size(self) -> int:
        """Length of ``desired_goal``."""
        return sum(self.numbers)

    @property
    def achieved_size(self) -> int:
        """Length of ``achieved_goal``."""
        return self.goal_size + AXES * self.gripper_in_goal

    def points(self, observation: Tensor, achieved_goal: Tensor) -> Tensor:
        """All points of an environment's state, gripper first, [*, P, 3]."""
        if self.gripper:
            gripper = observation[..., list(self.gripper)]
            achieved_goal = torch.cat([gripper, achieved_goal], dim=-1)
        return _padded(achieved_goal, self._of_points)

    def goals(self, desired_goal: Tensor) -> Tensor:
        """A desired goal [*, goal_size] as points, [*, D, 3]."""
        return _padded(desired_goal, self.numbers)

    def split(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse of :meth:`points`: the gripper's columns, and the achieved goal."""
        flat = torch.cat(
            [points[..., i, :count] for i, count in enumerate(self._of_points)], dim=-1
        )
        return flat[..., : len(self.gripper)], flat[..., len(self.gripper) :]

    def flat(self, goals: Tensor) -> Tensor:
        """The inverse of :meth:`goals`."""
        return torch.cat([goals[..., i, :count] for i, count in enumerate(self.numbers)], dim=-1)

    @property
    def _of_points(self) -> tuple[int, ...]:
        """How many numbers each point has."""
        first = (len(self.gripper),) if self.gripper else (AXES,) * self.gripper_in_goal
        return (*first, *self.numbers)

    def stretched(self, action: Tensor) -> Tensor:
        """Actions [*, A], scaled from [-1, 1] to the environment's own bounds."""
        if not self.low:
            return action
        low, high = (action.new_tensor(bound) for bound in (self.low, self.high))
        return torch.clamp(low + (action + 1.0) / 2.0 * (high - low), low, high)

    def to_dict(self) -> dict[str, Any]:
        """The arguments as plain types, for a checkpoint."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Interface:
        """The interface that :meth:`to_dict` described."""
        own: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**own)


def _padded(numbers: Tensor, counts: Sequence[int]) -> Tensor:
    """Numbers [*, sum of counts] as [*, len(counts), 3], padded with 0."""
    if all(count == AXES for count in counts):
        return numbers.unflatten(-1, (len(counts), AXES))
    parts = numbers.split(list(counts), dim=-1)
    pad = torch.nn.functional.pad
    return torch.stack([pad(part, (0, AXES - part.shape[-1])) for part in parts], dim=-2)
