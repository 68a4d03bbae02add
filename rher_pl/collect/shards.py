"""Episodes played by Ray actors, for simulators that are slower than the updates.

The N rows of an iteration are cut into shards of fixed size. A worker, an actor of Ray's, plays
whichever shard comes next: seeds and weights arrive with it, so the result does not depend on who
played what, nor on how many workers there are, nor on their deaths.
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
    """What runs in an actor: an environment of the size of a shard, and who acts in it.

    Args:
        task: a ``Task``, which makes the environment.
        rows: episodes in a shard.
        policy: ``RelayPolicy.to_dict``.
        exploration: fields of ``Exploration``.
    """

    def __init__(
        self, task: Any, rows: int, policy: dict[str, Any], exploration: dict[str, Any]
    ) -> None:
        from rher_pl.tasks import make_env

        torch.set_num_threads(1)  # it has one core, and sums are rounded alike everywhere
        self.env = make_env(task, rows, seed=0, num_threads=1)
        self.policy = RelayPolicy.from_dict(policy)
        self.success = MovingSuccess(self.policy.relay.num_subtasks)
        self.behavior = BehaviorPolicy(
            self.policy, self.success, Exploration(**exploration), self.env.max_episode_steps
        )

    def ready(self) -> bool:
        """Answers once all is built."""
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
            policy: its weights, and the last evaluations of each subtask.
            exploration_seeds, only_random, seeds: as ``Player`` has them, of these rows.
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
        workers: that play shards of N / K rows.
        policy, success: what they act with, read at each :meth:`begin`.
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
