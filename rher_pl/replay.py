"""Whole episodes stored once, and one replay buffer per subtask on top of them."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import TensorDictReplayBuffer
from torchrl.data.replay_buffers import Sampler, Storage

from rher_pl.relabel import RelayRelabel
from rher_pl.relay import Relay

KEEP_GOAL = -1
"""Hindsight time that stands for "keep the original goal"."""


class EpisodeStorage(Storage):
    """A ring of whole episodes, float32, each state stored once.

    A row holds ``observation [T+1, O]``, ``achieved_goals [T+1, P, 3]``, ``desired_goals
    [D, 3]`` and ``action [T, A]``. :meth:`get` gathers transitions by (episode, time, later time).

    Args:
        max_episodes: capacity in episodes; the oldest are overwritten.
        episode: one episode (no batch dimension) that gives shapes and device.
    """

    def __init__(self, max_episodes: int, episode: TensorDictBase) -> None:
        super().__init__(max_size=max_episodes)
        self.length = episode["action"].shape[0]
        self._data = TensorDict(
            {k: v.new_zeros(max_episodes, *v.shape) for k, v in episode.items()},
            batch_size=[max_episodes],
        )
        self._cursor = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def extend(self, episodes: TensorDictBase) -> None:
        """Append episodes [N]; the oldest make room."""
        rows = (self._cursor + torch.arange(len(episodes))) % self.max_size
        self.set(rows, episodes)
        self._cursor = int(rows[-1] + 1) % self.max_size
        self._size = min(self._size + len(episodes), self.max_size)

    def set(self, cursor: Any, data: TensorDictBase, *, set_cursor: bool = True) -> None:
        for key in self._data.keys():
            self._data[key][cursor] = data[key]

    def get(self, index: Tensor) -> TensorDict:
        """Gather transitions.

        Args:
            index: [B, 3] int64: episode row, time t in [0, T), hindsight time f in (t, T] or
                ``KEEP_GOAL``.
        """
        row, time, later = index.unbind(-1)
        states = self.length + 1
        observation = self._data["observation"].flatten(0, 1)
        achieved = self._data["achieved_goals"].flatten(0, 1)
        now = row * states + time
        relabeled = later != KEEP_GOAL
        return TensorDict(
            {
                "observation": observation[now],
                "achieved_goals": achieved[now],
                "desired_goals": self._data["desired_goals"][row],
                "action": self._data["action"].flatten(0, 1)[row * self.length + time],
                "hindsight_goals": achieved[row * states + torch.where(relabeled, later, time)],
                "relabeled": relabeled.unsqueeze(-1),
                "next": {
                    "observation": observation[now + 1],
                    "achieved_goals": achieved[now + 1],
                },
            },
            batch_size=index.shape[:1],
        )

    def achieved_goals(self, row: Tensor, time: Tensor) -> Tensor:
        """Positions [B, P, 3] at ``time`` [B] of episodes ``row`` [B]."""
        return self._data["achieved_goals"].flatten(0, 1)[row * (self.length + 1) + time]

    def episode(self, row: int) -> TensorDict:
        """One stored episode, without a batch dimension."""
        return self._data[row]

    def state_dict(self) -> dict[str, Any]:
        """Only the filled part; plain tensors and ints."""
        filled = {key: value[: self._size].clone() for key, value in self._data.items()}
        return {"episodes": filled, "cursor": self._cursor}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for key, value in state_dict["episodes"].items():
            self._data[key][: len(value)] = value
            self._size = len(value)
        self._cursor = state_dict["cursor"]

    def _empty(self) -> None:
        self._cursor = self._size = 0


class HindsightSampler(Sampler):
    """Draws (episode, t, f): t uniform, f uniform over the strictly later states.

    Each element keeps its original goal with probability ``1 - relabel_ratio``, independent of
    its position in the batch (HER's "future" strategy with ratio k / (k + 1)). A draw whose
    hindsight goal is met already at t teaches little (it is an identical non-negative reward
    unless the goal is lost in this very step); it is accepted with probability ``inert_ratio``
    and drawn again otherwise. The decision looks at t and f only, never at the outcome of the
    action, so that Q stays unbiased.

    Args:
        relay: the chain.
        subtask: whose goals are drawn.
        relabel_ratio: share of samples with a hindsight goal, in [0, 1].
        inert_ratio: acceptance of goals met already, in [0, 1]; 1 is plain HER.
        generator: the only source of randomness.
    """

    max_redraws = 4

    def __init__(
        self,
        relay: Relay,
        subtask: int,
        relabel_ratio: float,
        inert_ratio: float,
        generator: torch.Generator,
    ) -> None:
        self.relay = relay
        self.subtask = subtask
        self.relabel_ratio = relabel_ratio
        self.inert_ratio = inert_ratio
        self.generator = generator

    def sample(self, storage: Storage, batch_size: int) -> tuple[Tensor, dict]:
        assert isinstance(storage, EpisodeStorage)
        index = self._draw(storage, batch_size)
        relabeled = self._uniform(batch_size) < self.relabel_ratio
        if self.inert_ratio < 1.0:
            again = relabeled.nonzero().squeeze(-1)
            for _ in range(self.max_redraws):
                again = again[self._rejected(storage, index[again])]
                index[again] = self._draw(storage, len(again))
        index[:, 2].masked_fill_(~relabeled, KEEP_GOAL)
        return index, {}

    def _draw(self, storage: EpisodeStorage, size: int) -> Tensor:
        """Uniform (episode, t, f), [size, 3] int64."""
        row = (self._uniform(size) * len(storage)).long()
        time = (self._uniform(size) * storage.length).long()
        # Worked example, T = 50: t = 49 leaves only f = 50; t = 0 gives f in 1..50.
        later = time + 1 + (self._uniform(size) * (storage.length - time)).long()
        return torch.stack([row, time, later], dim=-1)

    def _rejected(self, storage: EpisodeStorage, index: Tensor) -> Tensor:
        """Which draws [B] have a hindsight goal that is met already and are not accepted."""
        row, time, later = index.unbind(-1)
        achieved, subtask = storage.achieved_goals(row, time), torch.full_like(row, self.subtask)
        goals = self.relay.hindsight_goals(achieved, storage.achieved_goals(row, later), subtask)
        met = self.relay.met(goals, achieved, subtask)
        return met & (self._uniform(len(row)) >= self.inert_ratio)

    def _uniform(self, size: int) -> Tensor:
        return torch.rand(size, generator=self.generator, dtype=torch.float64)

    def _empty(self) -> None:
        """Nothing is kept between draws."""

    def dumps(self, path: Any) -> None:
        """Nothing to write: the generator belongs to the data module."""

    loads = dumps

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore: the generator belongs to the data module."""


def make_replay_buffers(
    storage: EpisodeStorage,
    relay: Relay,
    relabel_ratio: float,
    inert_ratio: float,
    generator: torch.Generator,
) -> list[TensorDictReplayBuffer]:
    """One buffer per subtask, all views on the same storage."""
    return [
        TensorDictReplayBuffer(
            storage=storage,
            sampler=HindsightSampler(relay, subtask, relabel_ratio, inert_ratio, generator),
            transform=RelayRelabel(relay, subtask),
            collate_fn=lambda batch: batch,
        )
        for subtask in range(relay.num_subtasks)
    ]
