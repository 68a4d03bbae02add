"""A task without a simulator: a point in the plane must reach a puck and push it to a goal.

It has the structure of FetchPush (two subtasks, sparse reward, nothing happens until contact) and
costs microseconds, which makes it the task to try changes on first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from rher_pl.envs.contract import BatchedEnv

STEP_LENGTH = 0.1
"""Distance the point moves per unit of action."""
CONTACT_RADIUS = 0.07
"""A puck this close to the point moves along with it."""
START_RANGE = 0.8
"""Point, puck and goal start within this distance of the centre, along each axis."""


class PointPushEnv(BatchedEnv):
    """``num_envs`` planar pushing problems in the square [-1, 1]^2, stepped together.

    The action [N, 2] in [-1, 1] moves the point. A puck closer than ``CONTACT_RADIUS`` moves
    along with it, as if stuck by friction. Positions carry a third coordinate that is always 0, so
    that they fit a relay. Keys are those of :mod:`rher_pl.envs.contract`, with O = 6 (point, puck,
    puck minus point), P = 2 points and D = 1 desired goal.

    Args:
        num_envs: batch size N, at least 1.
        seed: environment i starts from ``seed + i``.
        max_episode_steps: length T of an episode.
    """

    distance_threshold = 0.07

    def __init__(self, num_envs: int = 1, seed: int = 0, max_episode_steps: int = 25) -> None:
        super().__init__(num_envs, max_episode_steps)
        self._make_specs(observation=6, points=2, desired=1, action=2)
        self._generators = [torch.Generator() for _ in range(num_envs)]
        self._state = torch.zeros(num_envs, 3, 2)  # point, puck, goal
        self._set_seed(seed)

    def _start(self, seeds: Mapping[int, int | None]) -> None:
        state = self._state.clone()
        for row, seed in seeds.items():
            if seed is not None:
                self._generators[row].manual_seed(seed)
            state[row] = self._draw(self._generators[row])
        self._state = state

    @staticmethod
    def _draw(generator: torch.Generator) -> Tensor:
        """Start positions and goal [3, 2]; the puck is never in contact at the start."""
        while True:
            state = (torch.rand(3, 2, generator=generator) * 2.0 - 1.0) * START_RANGE
            if math.dist(state[0].tolist(), state[1].tolist()) > 2 * CONTACT_RADIUS:
                return state

    def _advance(self, action: Tensor) -> Tensor:
        point, puck, goal = self._state.unbind(1)
        touching = torch.linalg.vector_norm(puck - point, dim=-1, keepdim=True) < CONTACT_RADIUS
        moved = (point + STEP_LENGTH * action.clamp(-1, 1)).clamp(-1, 1)
        puck = torch.where(touching, puck + moved - point, puck)
        self._state = torch.stack([moved, puck, goal], dim=1)
        missed = torch.linalg.vector_norm(puck - goal, dim=-1, keepdim=True)
        return -(missed > self.distance_threshold).float()

    def _observe(self) -> dict[str, Tensor]:
        planar = torch.nn.functional.pad(self._state, (0, 1))  # [N, 3, 3]
        point, puck = self._state[:, 0], self._state[:, 1]
        return {
            "observation": torch.cat([point, puck, puck - point], dim=-1),
            "achieved_goals": planar[:, :2].clone(),
            "desired_goals": planar[:, 2:].clone(),
        }
