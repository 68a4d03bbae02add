"""Whole episodes, stored once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data.replay_buffers import Storage

KEEP_GOAL = -1
"""Hindsight time that stands for "keep the original goal"."""


class EpisodeStorage(Storage):
    """A ring of whole episodes, float32, each state stored once.

    A row holds ``observation [T+1, O]``, ``achieved_goals [T+1, P, 3]``, ``desired_goals
    [D, 3]`` and ``action [T, A]``. :meth:`get` gathers transitions by (episode, time, later time).

    Args:
        max_episodes: capacity in episodes; the oldest are overwritten.
        episode: one episode (no batch dimension) that gives shapes and device.
        motion_limit: most that one env step adds to an episode's :attr:`motion`, metres.
    """

    def __init__(
        self, max_episodes: int, episode: TensorDictBase, motion_limit: float = float("inf")
    ) -> None:
        super().__init__(max_size=max_episodes)
        self.motion_limit = motion_limit
        self.motion = episode["action"].new_zeros(max_episodes)
        """Length of the objects' paths in each episode [max_episodes], metres."""
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
        rows = torch.arange(len(episodes), device=self.motion.device) + self._cursor
        rows %= self.max_size
        self.set(rows, episodes)
        self._cursor = int(rows[-1] + 1) % self.max_size
        self._size = min(self._size + len(episodes), self.max_size)

    def set(self, cursor: Any, data: Mapping[str, Any], *, set_cursor: bool = True) -> None:
        for key in self._data.keys():
            self._data[key][cursor] = data[key]
        steps = data["achieved_goals"][:, :, 1:].diff(dim=1)  # [N, T, objects, 3]
        moved = torch.linalg.vector_norm(steps, dim=-1).sum(-1).clamp(max=self.motion_limit)
        self.motion[cursor] = moved.sum(-1)

    def get(self, index: Tensor) -> TensorDict:
        """Gather transitions.

        Args:
            index: [B, 3] int64: episode row, time t in [0, T), hindsight time f in [0, T] or
                ``KEEP_GOAL``.
        """
        row, time, later = index.unbind(-1)
        now = self._state_numbers(row, time)
        relabeled = later != KEEP_GOAL
        hindsight = self._state_numbers(row, torch.where(relabeled, later, time))
        return TensorDict(
            {
                "observation": self._pick("observation", now),
                "achieved_goals": self._pick("achieved_goals", now),
                "desired_goals": self._data["desired_goals"].index_select(0, row),
                "action": self._pick("action", row * self.length + time),
                "hindsight_goals": self._pick("achieved_goals", hindsight),
                "relabeled": relabeled.unsqueeze(-1),
                "next": {
                    "observation": self._pick("observation", now + 1),
                    "achieved_goals": self._pick("achieved_goals", now + 1),
                },
            },
            batch_size=index.shape[:1],
        )

    def _state_numbers(self, row: Tensor, time: Tensor) -> Tensor:
        return row * (self.length + 1) + time

    def _pick(self, key: str, numbers: Tensor) -> Tensor:
        """Entries of all episodes, one after the other; plain indexing takes four times as long."""
        return self._data[key].flatten(0, 1).index_select(0, numbers)

    def achieved_goals(self, row: Tensor, time: Tensor) -> Tensor:
        """Positions [B, P, 3] at ``time`` [B] of episodes ``row`` [B]."""
        return self._pick("achieved_goals", self._state_numbers(row, time))

    def episode(self, row: int) -> TensorDict:
        """One stored episode, without a batch dimension."""
        return self._data[row]

    def state_dict(self) -> dict[str, Any]:
        """Only the filled part; plain tensors and ints."""
        filled = {key: value[: self._size].clone() for key, value in self._data.items()}
        return {"episodes": filled, "cursor": self._cursor}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        episodes = state_dict["episodes"]
        self._size = len(episodes["action"])
        self.set(slice(self._size), episodes)
        self._cursor = state_dict["cursor"]

    def _empty(self) -> None:
        self._cursor = self._size = 0
