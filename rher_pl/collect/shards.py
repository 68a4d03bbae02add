"""Episodes played by Ray actors, for simulators that are slower than the updates.

The N episodes of an iteration are divided into shards of a fixed size. A worker, which is a Ray
actor, plays whichever shard comes next. Seeds and weights arrive with the shard, so the result does
not depend on which worker plays it, on the number of workers, or on workers that die.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import EnvBase

from rher_pl.collect.behavior import BehaviorPolicy, Exploration
from rher_pl.collect.players import episodes_of
from rher_pl.collect.progress import MovingSuccess
from rher_pl.collect.workers import Workers
from rher_pl.networks.policy import RelayPolicy


class ShardWorker:
    """What runs in a Ray actor: an environment with the rows of a shard, and a behavior policy.

    Args:
        task: a ``Task``, which makes the environment.
        rows: episodes in a shard.
        policy: what ``RelayPolicy.to_dict`` gave.
        exploration: fields of ``Exploration``.
    """

    def __init__(
        self, task: Any, rows: int, policy: dict[str, Any], exploration: dict[str, Any]
    ) -> None:
        from rher_pl.tasks import make_env

        torch.set_num_threads(1)  # a worker has one core; and sums are rounded alike everywhere
        self.env = make_env(task, rows, seed=0, num_threads=1)
        self.policy = RelayPolicy.from_dict(policy)
        self.success = MovingSuccess(self.policy.relay.num_subtasks)
        self.behavior = BehaviorPolicy(
            self.policy, self.success, Exploration(**exploration), self.env.max_episode_steps
        )

    def ready(self) -> bool:
        """Return once everything is built."""
        return True

    def play(
        self,
        policy: tuple[dict[str, Tensor], list[list[float]]],
        exploration_seeds: Sequence[int],
        only_random: bool,
        seeds: Sequence[int],
    ) -> TensorDict:
        """Rows of a shard; see ``Player``.

        Args:
            policy: weights of the policy, and ``MovingSuccess.recent``.
            exploration_seeds, only_random, seeds: as in ``Player``, for the rows of this shard.
        """
        weights, recent = policy
        self.policy.load_state_dict(weights)
        self.success.restore(recent)
        self.behavior.begin(exploration_seeds, only_random)
        self.env.set_seeds(seeds)
        steps = self.env.max_episode_steps
        frames = self.env.rollout(steps, self.behavior, break_when_any_done=False)
        return episodes_of(frames, self.env, self.behavior)


class ShardPlayer:
    """Plays in Ray actors; see :class:`~rher_pl.collect.players.Player`.

    Args:
        env: has the shapes of the episodes; nothing is played in it.
        num_envs: N.
        workers: play K shards of N / K rows each.
        policy, success: what the workers act with, read at each :meth:`begin`.
    """

    def __init__(
        self,
        env: EnvBase,
        num_envs: int,
        workers: Workers,
        policy: RelayPolicy,
        success: MovingSuccess,
    ) -> None:
        self.env = env
        self.num_envs = num_envs
        self.workers = workers
        self._trained = (policy, success)

    def begin(self, seeds: Sequence[int], only_random: bool) -> None:
        policy, success = self._trained
        weights = {name: value.cpu() for name, value in policy.state_dict().items()}
        self._begun = (self.workers.share((weights, success.recent)), list(seeds), only_random)

    def play(self, seeds: Sequence[int], following: Sequence[int]) -> TensorDict:
        policy, exploration_seeds, only_random = self._begun
        rows = self.workers.rows
        cuts = [slice(first, first + rows) for first in range(0, self.num_envs, rows)]
        calls = [(policy, exploration_seeds[cut], only_random, seeds[cut]) for cut in cuts]
        return torch.cat(self.workers.play(calls))

    def close(self) -> None:
        self.workers.close()
