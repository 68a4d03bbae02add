"""The Fetch tasks as one natively batched TorchRL environment."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import torch
from torch import Tensor

from rher_pl.envs.contract import BatchedEnv
from rher_pl.envs.fetch_sim import FetchSimulator
from rher_pl.errors import require

TASKS = ("FetchReach-v4", "FetchPush-v4", "FetchPickAndPlace-v4", "FetchSlide-v4")


class FetchEnv(BatchedEnv):
    """N Fetch environments in lockstep, equal bit for bit to ``gymnasium.make(task)``.

    Keys are those of :mod:`rher_pl.envs.contract`:

    - ``observation [N, O]``: Gymnasium's observation (O = 10 for Reach, else 25);
    - ``achieved_goals [N, P, 3]``: metres; the gripper's position, then the object's if there is
      one (P = 1 for Reach, else 2);
    - ``desired_goals [N, 1, 3]``: metres;
    - ``reward``: 0 where the task's goal is met, else -1;
    - ``action [N, 4]``: the gripper's displacement in x, y, z (in units of 0.05 m a step) and the
      opening of its fingers; values outside [-1, 1] are clipped.

    An episode is truncated at the time limit and never terminates.

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
        require(task in TASKS, f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
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
        sizes = (array.shape[1] for array in (self._sim.observation, self._sim.achieved))
        self._desired_goals = torch.zeros(self._sim.goal.shape, dtype=dtype)
        self._make_specs(*sizes, self._sim.goal.shape[1], action=4, dtype=dtype)
        self._set_seed(seed)

    @property
    def distance_threshold(self) -> float:
        """Metres within which a goal counts as met."""
        return self._sim.distance_threshold

    def _start(self, seeds: Mapping[int, int | None]) -> None:
        self._sim.reset(seeds)
        self._desired_goals = torch.tensor(self._sim.goal, dtype=self._float_dtype)

    def _advance(self, action: Tensor) -> Tensor:
        return torch.from_numpy(self._sim.step(action.numpy())).unsqueeze(-1)

    def _observe(self) -> dict[str, Tensor]:
        # torch.tensor copies even when no cast is needed, as the simulator reuses its array.
        return {
            "observation": torch.tensor(self._sim.observation, dtype=self._float_dtype),
            "achieved_goals": torch.tensor(self._sim.achieved, dtype=self._float_dtype),
            "desired_goals": self._desired_goals.clone(),
        }

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Stop the threads and free the simulations' resources; a second time does nothing."""
        self._sim.close()
        super().close(raise_if_closed=raise_if_closed)
