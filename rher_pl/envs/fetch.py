"""The Fetch tasks as one natively batched TorchRL environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import ArrayLike
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from rher_pl.envs.contract import BatchedEnv
from rher_pl.envs.fetch_sim import FetchSimulator
from rher_pl.envs.suite.options import check_keys
from rher_pl.envs.suite.registration import SUITE, gymnasium_id
from rher_pl.errors import require
from rher_pl.suggest import did_you_mean

SHIPPED = ("FetchReach-v4", "FetchPush-v4", "FetchPickAndPlace-v4", "FetchSlide-v4")
"""Tasks that come with gymnasium-robotics."""
TASKS = (*SHIPPED, *map(gymnasium_id, SUITE))
"""All Fetch tasks, by their Gymnasium ids."""


class FetchEnv(BatchedEnv):
    """N Fetch environments in lockstep, equal bit for bit to ``gymnasium.make(task)``.

    Keys are those of :mod:`rher_pl.envs.contract`:

    - ``observation [N, O]``: Gymnasium's observation;
    - ``achieved_goals [N, P, 3]``: metres; the gripper's position, then each object's (P = 1 for
      Reach, which has none);
    - ``desired_goals [N, D, 3]``: metres, one for each object, or for the gripper;
    - ``reward``: 0 where all goals are met, else -1;
    - ``action [N, 4]``: the gripper's displacement in x, y, z (in units of 0.05 m a step; of 0.04 m
      in FetchDrawer) and the opening of its fingers; values outside [-1, 1] are clipped.

    An episode is truncated at the time limit and never terminates. ``reset(goal=..., objects=...)``
    starts from given goals [D, 3] and positions of the objects, the same in all rows or, with N in
    front, one for each row. Our own tasks in Gymnasium take the same as ``reset(options=...)``.

    Args:
        task: one of ``TASKS``.
        num_envs: N.
        seed: environment i starts from seed ``seed + i``.
        num_threads: threads that step the simulations; results do not depend on it.
        dtype: of observations and goals, which are computed in float64 and cast once a step.

    Raises:
        ConfigError: for an unknown task, a ``num_envs`` or ``num_threads`` below 1, another dtype
            than float32 or float64, or a MuJoCo version that cannot run Fetch.
    """

    def __init__(
        self,
        task: str,
        num_envs: int = 1,
        seed: int = 0,
        num_threads: int = 1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        hint = did_you_mean(task, TASKS, f"choose one of {', '.join(TASKS)}", most=3)
        require(task in TASKS, f"unknown task {task!r:.40}: {hint}")
        require(num_threads >= 1, f"num_threads must be at least 1, got {num_threads}")
        require(
            dtype in (torch.float32, torch.float64),
            f"dtype must be torch.float32 or torch.float64, got {dtype}",
        )
        spec: Any = gymnasium.spec(task)
        super().__init__(num_envs, int(spec.max_episode_steps))
        self.task = task
        self._sim = FetchSimulator(task, num_envs, num_threads)
        self._float_dtype = dtype
        self._desired_goals = torch.zeros(self._sim.goal.shape, dtype=dtype)
        self._make_specs(
            observation=self._sim.observation.shape[1],
            points=self._sim.achieved.shape[1],
            desired=self._sim.goal.shape[1],
            action=4,
            dtype=dtype,
        )
        self._set_seed(seed)

    @property
    def distance_threshold(self) -> float:
        """Metres within which a goal counts as met."""
        return self._sim.distance_threshold

    def _reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDict:
        """Start an episode in the rows that ``tensordict`` names, or in all.

        Args:
            tensordict: with the mask ``_reset``, as in TorchRL.
            options: ``goal``, [D, 3] or [N, D, 3], and ``objects``, positions [objects, 3] or
                [N, objects, 3], in metres; what is not given is drawn.

        Raises:
            ValueError: for an unknown option, a wrong shape, or an impossible scene, such as a goal
                out of reach or an object inside another; names the limit.
        """
        options = {**self.given, **options}
        check_keys(options)
        self._given = {key: self._each_row(value) for key, value in options.items()}
        return super()._reset(tensordict)

    def _start(self, seeds: Mapping[int, int | None]) -> None:
        self._sim.reset(seeds, **self._given)
        self._desired_goals = torch.tensor(self._sim.goal, dtype=self._float_dtype)

    def _each_row(self, given: ArrayLike | None) -> list[Any] | None:
        """``given`` as a list over the N rows; with three dimensions it has one for each row."""
        if given is None:
            return None
        array = np.asarray(given)
        if array.ndim < 3:
            return [array] * self.num_envs
        if len(array) != self.num_envs:
            raise ValueError(
                f"goal and objects are given for {len(array)} environments, but there are "
                f"{self.num_envs}: give one for all, or one for each"
            )
        return list(array)

    def _advance(self, action: Tensor) -> Tensor:
        return torch.from_numpy(self._sim.step(action.numpy())).unsqueeze(-1)

    def _observe(self) -> dict[str, Tensor]:
        # The simulator reuses its arrays: torch.tensor copies even when no cast is needed.
        return {
            "observation": torch.tensor(self._sim.observation, dtype=self._float_dtype),
            "achieved_goals": torch.tensor(self._sim.achieved, dtype=self._float_dtype),
            "desired_goals": self._desired_goals.clone(),
        }

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Stop the threads and free the simulations' resources; closing twice is allowed."""
        self._sim.close()
        super().close(raise_if_closed=raise_if_closed)
