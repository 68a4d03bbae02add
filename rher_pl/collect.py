"""Whole episodes from a batched environment, by TorchRL's collector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.collectors import Collector
from torchrl.envs import EnvBase

from rher_pl.exploration import BehaviorPolicy

COMMENTARY = ("actor", "first_unsolved")
"""Who chose each action, and the subtask to work on there: for statistics only."""


class EpisodeCollector:
    """Collects N whole episodes at a time.

    Args:
        env: batched environment [N] whose episodes all last ``max_episode_steps``.
        behavior_policy: who acts.
    """

    def __init__(self, env: EnvBase, behavior_policy: BehaviorPolicy) -> None:
        self.env = env
        self.behavior_policy = behavior_policy
        self._collector: Collector | None = None
        self._batches: Iterator[TensorDictBase] = iter(())

    def _start(self) -> None:
        """Build the collector. That resets the environment, so randomness is restored before."""
        self._collector = Collector(
            self.env,
            self.behavior_policy,
            frames_per_batch=self.env.num_envs * self.env.max_episode_steps,
            total_frames=-1,
            use_buffers=False,
            auto_register_policy_transforms=False,
        )
        self._batches = iter(self._collector)

    def collect(self) -> TensorDict:
        """Storage rows [N], plus ``COMMENTARY`` [N, T, 1]: what is told of them but not stored."""
        if self._collector is None:
            self._start()
        batch = next(self._batches)  # [N, T]
        return TensorDict(
            {
                "observation": _states(batch, "observation"),
                "achieved_goals": _states(batch, "achieved_goals"),
                "desired_goals": batch["desired_goals"][:, 0],
                "action": batch["action"],
                **{key: batch[key] for key in COMMENTARY},
            },
            batch_size=batch.batch_size[:1],
        )

    def state_dict(self) -> dict[str, Any]:
        """Randomness of environment and policy; exact at the end of a batch of episodes."""
        return {
            "env": self.env.rng_state(),
            "policy": self.behavior_policy.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave; only before the first :meth:`collect`."""
        assert self._collector is None, "the episodes already begun cannot be taken back"
        self.env.set_rng_state(state["env"])
        self.behavior_policy.generator.set_state(state["policy"])

    def close(self) -> None:
        """Stop the collector and its environment."""
        if self._collector is not None:
            self._collector.shutdown()


def _states(batch: TensorDictBase, key: str) -> torch.Tensor:
    """All T + 1 states of each episode, [N, T+1, ...]: the T current ones and the final one."""
    return torch.cat([batch[key], batch["next", key][:, -1:]], dim=1)
