"""What a batched environment is: N episodes of one task, stepped and reset together.

A reset, and ``next`` after a step, give

- ``observation [N, O]``: what the policy sees;
- ``achieved_goals [N, P, 3]``: positions of the points, metres: the gripper's if the relay has
  reaching subtasks (see :mod:`rher_pl.relay`), then each object's;
- ``desired_goals [N, D, 3]``: one for each object, metres; the same throughout an episode;
- ``done`` and ``truncated [N, 1]`` bool: true for all rows after ``max_episode_steps`` (T) steps,
  and never before, as a collector resets a row that is done; ``terminated [N, 1]`` stays false;
- ``reward [N, 1]`` float32, after a step only, for information: learning computes its own;
- ``ending [N, 1]`` uint8, only if episodes may end early: an :class:`Ending`, ``RUNNING`` at a
  reset. A row that has ended is *frozen*: it keeps state and ending until all rows are reset
  together;
- ``is_success [N, 1]`` bool, only if the environment itself says whether the task is solved:
  evaluation reports it. Learning uses the relay's goals.

Numbers are float32 or float64. ``action [N, A]`` is float32 in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Composite, Unbounded
from torchrl.envs import EnvBase

from rher_pl.errors import require

STATE_KEYS = ("observation", "achieved_goals", "desired_goals")


class Ending(IntEnum):
    """Why an episode ended."""

    RUNNING = 0
    """It has not ended."""
    TIME = 1
    """It was cut off by a time limit: values are bootstrapped from its last state."""
    SUCCESS = 2
    """The environment ended it because the task was solved."""
    FAILURE = 3
    """The environment ended it unsolved; it can no longer be solved."""


class BatchedEnv(EnvBase):
    """Base class of batched environments, on the CPU.

    A derived class calls :meth:`_make_specs` in its constructor, and defines :meth:`_start`,
    :meth:`_advance` and :meth:`_observe`. It must replace the tensors that it keeps, never update
    them in place: one made in PyTorch's inference mode cannot be updated outside of it.

    Args:
        num_envs: N, at least 1.
        max_episode_steps: T, at least 1.
    """

    batch_locked = True
    epsilon: float = 0.05
    """Metres within which a goal counts as met, where the environment itself does not say."""
    release: tuple[float, ...] | None = None
    """Action [A] that opens the hand and withdraws it, for tasks whose objects must stand alone."""
    given: Mapping[str, Any] = {}
    """Options of every reset; those that a reset is given replace them."""

    def __init__(self, num_envs: int, max_episode_steps: int) -> None:
        require(num_envs >= 1, f"num_envs must be at least 1, got {num_envs}")
        require(
            max_episode_steps >= 1, f"max_episode_steps must be at least 1, got {max_episode_steps}"
        )
        super().__init__(device=torch.device("cpu"), batch_size=[num_envs])
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self._elapsed = torch.zeros(num_envs, 1, dtype=torch.int64)  # steps since the reset
        self._next_seeds: list[int | None] = [None] * num_envs
        self.is_closed = False  # without it TorchRL's collector never closes the env

    def _make_specs(
        self,
        observation: int,
        points: int,
        desired: int,
        action: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Declare the keys, from O observed numbers, P points, D desired goals and A actions."""
        n = self.num_envs
        self.observation_spec = Composite(
            observation=Unbounded((n, observation), dtype=dtype),
            achieved_goals=Unbounded((n, points, 3), dtype=dtype),
            desired_goals=Unbounded((n, desired, 3), dtype=dtype),
            shape=(n,),
        )
        self.action_spec = Bounded(-1.0, 1.0, (n, action), dtype=torch.float32)
        self.reward_spec = Unbounded((n, 1), dtype=torch.float32)
        flags = {
            key: Binary(1, (n, 1), dtype=torch.bool) for key in ("done", "terminated", "truncated")
        }
        self.done_spec = Composite(flags, shape=(n,))

    def set_seeds(self, seeds: Sequence[int]) -> None:
        """Give row i the seed ``seeds[i]`` for its next reset.

        A row that is reset without a new seed goes on drawing from its generator, as in Gymnasium.

        Raises:
            ValueError: if there is not one seed for each row.
        """
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} environments: give one each")
        self._next_seeds = [int(seed) for seed in seeds]

    def _set_seed(self, seed: int | None) -> None:
        """TorchRL's ``set_seed``: row i gets ``seed + i``."""
        if seed is not None:
            self.set_seeds(range(seed, seed + self.num_envs))

    def check_alive(self) -> None:
        """Check that the processes which step it are alive; called once an iteration, also if idle.

        Raises:
            TrainingError: names the one that died.
        """

    def _start(self, seeds: Mapping[int, int | None]) -> None:
        """Start an episode in each row of ``seeds``; if its seed is None, its generator goes on."""
        raise NotImplementedError

    def _advance(self, action: Tensor) -> Tensor:
        """Take one step with actions [N, A] float32, which may lie outside [-1, 1].

        Returns:
            The reward [N, 1].
        """
        raise NotImplementedError

    def _observe(self) -> dict[str, Tensor]:
        """The current states by key, in tensors that are not written to again."""
        raise NotImplementedError

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDict:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        rows = range(self.num_envs) if mask is None else mask.flatten().nonzero()[:, 0].tolist()
        self._start({row: self._next_seeds[row] for row in rows})
        self._elapsed = self._elapsed.clone()
        for row in rows:
            self._next_seeds[row] = None
            self._elapsed[row] = 0
        return self._outcome({})

    def _step(self, tensordict: TensorDictBase) -> TensorDict:
        action, shape = tensordict["action"], self.action_spec.shape
        if action.shape != shape:
            raise ValueError(f"action has shape {tuple(action.shape)}: it must be {tuple(shape)}")
        reward = self._advance(action.detach().float())
        self._elapsed = self._elapsed + 1
        return self._outcome({"reward": reward})

    def _outcome(self, reward: dict[str, Tensor]) -> TensorDict:
        done = self._elapsed >= self.max_episode_steps
        flags = {"done": done, "terminated": torch.zeros_like(done), "truncated": done.clone()}
        return TensorDict(
            self._observe() | flags | reward, batch_size=self.batch_size, device=self.device
        )
