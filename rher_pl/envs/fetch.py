"""The Fetch tasks as one natively batched TorchRL environment."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Composite, Unbounded
from torchrl.envs import EnvBase

from rher_pl.envs.fetch_sim import FetchSimulator

TASKS = ("FetchReach-v4", "FetchPush-v4", "FetchPickAndPlace-v4", "FetchSlide-v4")


class FetchEnv(EnvBase):
    """N Fetch environments in lockstep, equal bit for bit to ``gymnasium.make(task)``.

    Batch size ``[N]``, on the CPU. Keys of a reset, and of ``next`` after a step:

    - ``observation [N, O]``: Gymnasium's observation (O = 10 for Reach, else 25);
    - ``achieved_goals [N, P, 3]``: metres; the gripper's position, then the object's if there is
      one (P = 1 for Reach, else 2);
    - ``desired_goals [N, 1, 3]``: metres;
    - ``truncated``, ``terminated``, ``done`` ``[N, 1]`` bool: truncated at the time limit, never
      terminated;
    - ``reward [N, 1]`` float32, after a step only: 0 where the task's goal is met, else -1.

    ``action [N, 4]`` float32 in [-1, 1]: the gripper's displacement in x, y, z (in units of 0.05 m
    a step) and the opening of its fingers; values outside are clipped.

    Args:
        task: one of ``TASKS``.
        num_envs: N.
        seed: environment i starts from seed ``seed + i``.
        num_threads: threads that step the simulations; results do not depend on it.
        dtype: of observations and goals, which are computed in float64 and cast once a step.

    Attributes:
        max_episode_steps: environment steps in an episode.
        distance_threshold: metres within which a goal counts as met.

    Raises:
        ValueError: for an unknown task, a ``num_envs`` or ``num_threads`` below 1, another dtype
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
        if task not in TASKS:
            raise ValueError(f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}: it must be at least 1")
        if num_threads < 1:
            raise ValueError(f"num_threads is {num_threads}: it must be at least 1")
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype is {dtype}: it must be torch.float32 or torch.float64")
        sim = FetchSimulator(task, num_envs, num_threads)
        super().__init__(device="cpu", batch_size=[num_envs])
        self.task = task
        self.num_envs = num_envs
        spec: Any = gymnasium.spec(task)
        self.max_episode_steps = int(spec.max_episode_steps)
        self.distance_threshold = sim.distance_threshold
        self._sim = sim
        self._float_dtype = dtype
        self._elapsed = torch.zeros(num_envs, 1, dtype=torch.int64)  # steps since the reset
        self._desired_goals = torch.zeros(num_envs, 1, 3, dtype=dtype)
        self._never = torch.zeros(num_envs, 1, dtype=torch.bool)
        self._make_specs()
        self._set_seed(seed)

    def _make_specs(self) -> None:
        n, dtype = self.num_envs, self._float_dtype

        def flag() -> Binary:
            return Binary(n=1, shape=(n, 1), dtype=torch.bool)

        self.observation_spec = Composite(
            observation=Unbounded((n, self._sim.observation.shape[1]), dtype=dtype),
            achieved_goals=Unbounded((n, self._sim.num_positions, 3), dtype=dtype),
            desired_goals=Unbounded((n, 1, 3), dtype=dtype),
            shape=(n,),
        )
        self.action_spec = Bounded(-1.0, 1.0, shape=(n, 4), dtype=torch.float32)
        self.reward_spec = Unbounded((n, 1), dtype=torch.float32)
        self.done_spec = Composite(done=flag(), terminated=flag(), truncated=flag(), shape=(n,))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict.get("action").detach().float().numpy()
        reward = torch.from_numpy(self._sim.step(action)).unsqueeze(-1)
        self._elapsed += 1
        return self._outcome({"reward": reward})

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        rows = range(self.num_envs) if mask is None else mask.flatten().nonzero()[:, 0].tolist()
        self._sim.reset(rows)
        self._elapsed[rows] = 0
        self._desired_goals = torch.tensor(self._sim.goal, dtype=self._float_dtype).unsqueeze(1)
        return self._outcome({})

    def _outcome(self, tensors: dict[str, Tensor]) -> TensorDict:
        """Add the observation and the flags to ``tensors``; nothing returned is written again."""
        # torch.tensor copies even when no cast is needed, as the simulator reuses its array.
        observation = torch.tensor(self._sim.observation, dtype=self._float_dtype)
        positions = self._sim.num_positions
        truncated = self._elapsed >= self.max_episode_steps
        tensors |= {
            "observation": observation,
            # The observation begins with the positions, of which these are a copy.
            "achieved_goals": observation[:, : 3 * positions].clone().view(-1, positions, 3),
            "desired_goals": self._desired_goals.clone(),
            "done": truncated,
            "terminated": self._never.clone(),
            "truncated": truncated.clone(),
        }
        return TensorDict(tensors, batch_size=self.batch_size, device=self.device)

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            self.set_seeds(range(seed, seed + self.num_envs))

    def set_seeds(self, seeds: Sequence[int]) -> None:
        """Make environment i's next reset equal ``gymnasium.make(task).reset(seed=seeds[i])``.

        Raises:
            ValueError: if there is not one seed for each environment.
        """
        self._sim.seed(seeds)

    def rng_state(self) -> list[dict[str, Any]]:
        """Generator states, one for each environment, as nested dictionaries of ints and strings.

        They are those from which the next *unplayed* episode starts: for an environment that was
        reset and not stepped since, the state before that reset. After :meth:`set_rng_state`, a
        reset therefore starts that episode again, whether or not a collector had already reset.
        """
        return self._sim.rng_state(unplayed=(self._elapsed == 0).view(-1).tolist())

    def set_rng_state(self, states: Sequence[dict[str, Any]]) -> None:
        """Restore what :meth:`rng_state` returned; it takes effect at the next reset.

        Raises:
            ValueError: if there is not one state for each environment.
        """
        self._sim.set_rng_state(states)

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Stop the threads and free the simulations' resources."""
        if not self.is_closed:
            self._sim.close()
        super().close(raise_if_closed=raise_if_closed)
