"""A task without a simulator: a point in the plane must reach a puck and push it to a goal.

It has the structure of FetchPush (two subtasks, sparse reward, nothing happens until contact) and
costs microseconds, which makes it the task to try changes on first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Composite, Unbounded
from torchrl.envs import EnvBase

from rher_pl.errors import require

STEP_LENGTH = 0.1
"""Distance the point moves per unit of action."""
CONTACT_RADIUS = 0.07
"""A puck this close to the point moves along with it."""
START_RANGE = 0.8
"""Point, puck and goal start within this distance of the centre, along each axis."""


class PointPushEnv(EnvBase):
    """``num_envs`` planar pushing problems in the square [-1, 1]^2, stepped together.

    The action [N, 2] in [-1, 1] moves the point. A puck closer than ``CONTACT_RADIUS`` moves
    along with it, as if stuck by friction. Positions carry a third coordinate that is always 0, so
    that they fit a relay. Keys and shapes are those of every environment of this package, with
    P = 2 points and D = 1 desired goal.

    Args:
        num_envs: batch size N, at least 1.
        seed: environment i starts from ``seed + i``.
        max_episode_steps: length T of an episode.
    """

    distance_threshold = 0.07
    batch_locked = True

    def __init__(self, num_envs: int = 1, seed: int = 0, max_episode_steps: int = 25) -> None:
        require(num_envs >= 1, f"num_envs must be at least 1, got {num_envs}")
        super().__init__(device=torch.device("cpu"), batch_size=[num_envs])
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        batch = torch.Size([num_envs])
        self.observation_spec = Composite(
            observation=Unbounded((*batch, 6)),
            achieved_goals=Unbounded((*batch, 2, 3)),
            desired_goals=Unbounded((*batch, 1, 3)),
            shape=batch,
        )
        self.action_spec = Bounded(-1.0, 1.0, (*batch, 2))
        self.reward_spec = Bounded(-1.0, 0.0, (*batch, 1))
        self.done_spec = Composite(
            {
                key: Binary(1, (*batch, 1), dtype=torch.bool)
                for key in ("done", "terminated", "truncated")
            },
            shape=batch,
        )
        self._generators = [torch.Generator() for _ in range(num_envs)]
        self._state = torch.zeros(num_envs, 3, 2)  # point, puck, goal
        self._steps = torch.zeros(num_envs, 1, dtype=torch.int64)
        self._unplayed = [generator.get_state() for generator in self._generators]
        self.set_seed(seed)

    def _set_seed(self, seed: int | None) -> None:
        self.set_seeds(range(seed or 0, (seed or 0) + self.num_envs))

    def set_seeds(self, seeds: Sequence[int]) -> None:
        """Give environment i the seed ``seeds[i]``."""
        for generator, seed in zip(self._generators, seeds, strict=True):
            generator.manual_seed(seed)
        self._forget_unplayed()

    def rng_state(self) -> list[Any]:
        """State from which the next unplayed episode of each environment starts.

        A collector resets before it hands out the last batch, so an environment that was reset
        but not stepped yet gives its state before that reset.
        """
        return [
            unplayed if steps == 0 else generator.get_state()
            for generator, unplayed, steps in zip(
                self._generators, self._unplayed, self._steps, strict=True
            )
        ]

    def set_rng_state(self, state: list[Any]) -> None:
        for generator, saved in zip(self._generators, state, strict=True):
            generator.set_state(saved)
        self._forget_unplayed()

    def _forget_unplayed(self) -> None:
        self._unplayed = [generator.get_state() for generator in self._generators]

    def _reset(self, tensordict: TensorDictBase | None, **_: Any) -> TensorDict:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        which = range(self.num_envs) if mask is None else mask.view(-1).nonzero().view(-1).tolist()
        for i in which:
            self._unplayed[i] = self._generators[i].get_state()
            self._state[i] = self._draw(self._generators[i])
            self._steps[i] = 0
        done = torch.zeros(self.num_envs, 1, dtype=torch.bool)
        return self._observe({"done": done, "terminated": done, "truncated": done})

    @staticmethod
    def _draw(generator: torch.Generator) -> Tensor:
        """Start positions and goal [3, 2]; the puck is never in contact at the start."""
        while True:
            state = (torch.rand(3, 2, generator=generator) * 2.0 - 1.0) * START_RANGE
            if math.dist(state[0].tolist(), state[1].tolist()) > 2 * CONTACT_RADIUS:
                return state

    def _step(self, tensordict: TensorDictBase) -> TensorDict:
        point, puck, goal = self._state.unbind(1)
        touching = torch.linalg.vector_norm(puck - point, dim=-1, keepdim=True) < CONTACT_RADIUS
        moved = (point + STEP_LENGTH * tensordict["action"].clamp(-1, 1)).clamp(-1, 1)
        puck = torch.where(touching, puck + moved - point, puck)
        point = moved
        self._state = torch.stack([point, puck, goal], dim=1)
        self._steps = self._steps + 1
        truncated = self._steps >= self.max_episode_steps
        missed = torch.linalg.vector_norm(puck - goal, dim=-1, keepdim=True)
        return self._observe(
            {
                "reward": -(missed > self.distance_threshold).float(),
                "done": truncated,
                "terminated": torch.zeros_like(truncated),
                "truncated": truncated,
            }
        )

    def _observe(self, extra: dict[str, Tensor]) -> TensorDict:
        planar = torch.nn.functional.pad(self._state, (0, 1))  # [N, 3, 3]
        point, puck = self._state[:, 0], self._state[:, 1]
        return TensorDict(
            {
                "observation": torch.cat([point, puck, puck - point], dim=-1),
                "achieved_goals": planar[:, :2].clone(),
                "desired_goals": planar[:, 2:].clone(),
                **extra,
            },
            batch_size=self.batch_size,
        )
