"""The endless, stateful loader of a run: episodes in, mixed batches out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.data import TensorDictReplayBuffer

from rher_pl.collect.collector import COMMENTARY, EpisodeCollector
from rher_pl.relay import Relay
from rher_pl.replay.sampling import SamplingRule, make_replay_buffers
from rher_pl.replay.storage import EpisodeStorage


class RelayLoader:
    """Each item is one iteration: N new episodes, and U mixed batches drawn after storing them.

    It never ends; its length is the number of iterations in an epoch, at which Lightning stops
    to evaluate.

    Args:
        collector: source of episodes.
        relay: the module's relay.
        batch_sizes: samples from each subtask's pool in a mixed batch.
        capacity: episodes kept.
        rule: what is sampled.
        updates: U, updates in an iteration.
        iterations: iterations in an epoch.
        generator: randomness of sampling; storage and batches are on its device.
    """

    def __init__(
        self,
        collector: EpisodeCollector,
        relay: Relay,
        batch_sizes: list[int],
        capacity: int,
        rule: SamplingRule,
        updates: int,
        iterations: int,
        generator: torch.Generator,
    ) -> None:
        self.collector = collector
        self.relay = relay
        self.batch_sizes = batch_sizes
        self.capacity = capacity
        self.rule = rule
        self.updates = updates
        self.iterations = iterations
        self.generator = generator
        self.episodes = 0
        self.storage: EpisodeStorage | None = None
        self.buffers: list[TensorDictReplayBuffer] = []

    def __len__(self) -> int:
        return self.iterations

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        episodes = self.collector.collect()
        self._store(episodes)
        warm = self.episodes >= self.collector.random_episodes and self.updates > 0
        return {"episodes": episodes, "pools": self.sample(self.updates) if warm else None}

    def _store(self, episodes: TensorDict) -> None:
        storage = (
            self.storage
            if self.storage is not None
            else self._allocate(episodes.exclude(*COMMENTARY)[0])
        )
        storage.extend(episodes.to(self.generator.device))
        self.episodes += len(episodes)

    def _allocate(self, episode: TensorDictBase) -> EpisodeStorage:
        """Make storage and buffers for episodes shaped like ``episode``."""
        self.storage = EpisodeStorage(
            self.capacity, episode.to(self.generator.device), self.relay.epsilon
        )
        self.buffers = make_replay_buffers(self.storage, self.relay, self.rule, self.generator)
        return self.storage

    def state_dict(self) -> dict[str, Any]:
        """Exact at the end of an iteration."""
        storage = None if self.storage is None else self.storage.state_dict()
        return {
            "collector": self.collector.state_dict(),
            "storage": storage,
            "episodes": self.episodes,
            "sampling": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.collector.load_state_dict(state["collector"])
        self.episodes = state["episodes"]
        self.generator.set_state(state["sampling"].cpu())
        if state["storage"] is not None:
            stored = state["storage"]["episodes"]
            episode = {key: value[0] for key, value in stored.items()}
            storage = self._allocate(TensorDict(episode, batch_size=[]))
            storage.load_state_dict(state["storage"])

    def sample(self, updates: int) -> list[TensorDict]:
        """Of each subtask its part [updates, B_s] of the mixed batches."""
        return [
            buffer.sample(updates * size).view(updates, size)
            for buffer, size in zip(self.buffers, self.batch_sizes, strict=True)
        ]
