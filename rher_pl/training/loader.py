"""The endless, stateful loader of a run: episodes in, samples of each subtask out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.data import TensorDictReplayBuffer
from torchrl.envs import EnvBase

from rher_pl.collect.collector import EpisodeCollector
from rher_pl.envs.contract import BatchedEnv
from rher_pl.envs.episodes import empty_episode
from rher_pl.evaluation.rollout import EvaluationBatch
from rher_pl.relay import Layout, Relay
from rher_pl.replay.sampling import SamplingRule, make_replay_buffers
from rher_pl.replay.storage import EpisodeStorage


class EvaluationLoader:
    """One batch: where to play, and the seeds of all evaluation episodes."""

    def __init__(self, batch: EvaluationBatch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[EvaluationBatch]:
        yield self.batch


@dataclass(frozen=True)
class LoaderSettings:
    """Sizes of an iteration.

    Args:
        batch_sizes: samples from each subtask's pool in a mixed batch.
        capacity: episodes kept.
        updates: U, updates in an iteration.
        iterations: iterations in an epoch.
    """

    batch_sizes: tuple[int, ...]
    capacity: int
    updates: int
    iterations: int


class RelayLoader:
    """An endless iterator over the training iterations of a run.

    Each item has N new ``episodes``, and ``pools``: for each subtask samples [U, B_s] for U mixed
    batches, drawn after the episodes were stored. ``pools`` is None until the random episodes at
    the beginning of a run are complete, and where there are no updates.

    Its length is the number of iterations in an epoch, after which Lightning evaluates.

    Args:
        collector: source of episodes.
        relay: the chain.
        rule: which transitions and hindsight goals are sampled.
        settings: sizes of an iteration.
        generator: randomness of sampling; storage and samples are on its device.
        layout: of the observations, which a relay of any order needs.
        waiting: an environment that is idle meanwhile, such as the one for evaluation; each
            iteration checks that it is still alive.
    """

    def __init__(
        self,
        collector: EpisodeCollector,
        relay: Relay,
        rule: SamplingRule,
        settings: LoaderSettings,
        generator: torch.Generator,
        layout: Layout | None = None,
        waiting: EnvBase | None = None,
    ) -> None:
        self.collector = collector
        self.relay = relay
        self.rule = rule
        self.settings = settings
        self.generator = generator
        self.layout = layout
        self.waiting = waiting
        self.episodes = 0
        self.storage: EpisodeStorage | None = None
        self.buffers: list[TensorDictReplayBuffer] = []

    def __len__(self) -> int:
        return self.settings.iterations

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        if isinstance(self.waiting, BatchedEnv):
            self.waiting.check_alive()
        episodes = self.collector.collect()
        self._store(episodes)
        warm = self.episodes >= self.collector.random_episodes and self.settings.updates > 0
        return {"episodes": episodes, "pools": self.sample() if warm else None}

    def sample(self) -> list[TensorDict]:
        """Draw each subtask's part [U, B_s] of the mixed batches."""
        updates = self.settings.updates
        return [
            buffer.sample(updates * size).view(updates, size)
            for buffer, size in zip(self.buffers, self.settings.batch_sizes, strict=True)
        ]

    def _store(self, episodes: TensorDictBase) -> None:
        storage = self._allocate() if self.storage is None else self.storage
        storage.extend(episodes)
        self.episodes += len(episodes)

    def _allocate(self) -> EpisodeStorage:
        """Make storage and buffers for episodes of the player's environment."""
        episode = empty_episode(self.collector.player.env).to(self.generator.device)
        self.storage = EpisodeStorage(self.settings.capacity, episode, self.relay)
        self.buffers = make_replay_buffers(
            self.storage, self.relay, self.rule, self.generator, self.layout
        )
        return self.storage

    def state_dict(self) -> dict[str, Any]:
        """Enough to continue exactly, if taken at the end of an iteration."""
        return {
            "collector": self.collector.state_dict(),
            "storage": None if self.storage is None else self.storage.state_dict(),
            "episodes": self.episodes,
            "sampling": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.collector.load_state_dict(state["collector"])
        self.episodes = state["episodes"]
        sampling = state["sampling"].cpu()
        if len(sampling) == len(self.generator.get_state()):  # else saved on another kind of device
            self.generator.set_state(sampling)
        self.storage, self.buffers = None, []
        if state["storage"] is not None:
            self._allocate().load_state_dict(state["storage"])

    def close(self) -> None:
        """Close collector and environment."""
        self.collector.close()
