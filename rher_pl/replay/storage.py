"""Whole episodes, stored once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data.replay_buffers import Storage

from rher_pl.envs.episodes import EPISODE_KEYS, require_episodes
from rher_pl.errors import require
from rher_pl.relay import Relay

KEEP_GOAL = -1
"""Hindsight time that stands for "keep the original goal"."""


class EpisodeStorage(Storage):
    """A ring buffer of whole episodes, floats as float32, with each state stored once.

    Rows are as in :mod:`rher_pl.envs.episodes`. :meth:`get` gathers transitions by (episode, time,
    later time).

    Args:
        max_episodes: capacity in episodes; the oldest are overwritten.
        episode: one episode (no batch dimension) that gives shapes and device.
        relay: tells whose turn it is, that is, which object ``Relay.serving`` brings; one env step
            adds at most its epsilon to an episode's :attr:`motion`. Without a relay it is always
            the first object's turn, the first point is the gripper, and motion has no limit.
    """

    def __init__(
        self, max_episodes: int, episode: TensorDictBase, relay: Relay | None = None
    ) -> None:
        super().__init__(max_size=max_episodes)
        self._relay = relay
        self.motion = torch.zeros(max_episodes, device=episode["action"].device)
        """Length of the objects' paths in each episode [max_episodes], metres."""
        states = (max_episodes, episode["achieved_goals"].shape[0])
        self.turn = torch.zeros(states, dtype=torch.int8, device=episode["action"].device)
        """Number of the object whose turn it is in each state [max_episodes, T+1]."""
        self.sequence: Tensor | None = None
        """Order in which each state works on the objects, [max_episodes, T+1, N], if it is free."""
        if relay is not None and relay.any_order:
            self.sequence = self.turn.new_zeros(*states, relay.num_objects)
        self._of_turn: dict[int, Tensor] = {}
        self.max_length = episode["action"].shape[0]
        """T, the most steps in an episode."""
        self.equal_lengths = True
        """Whether all stored episodes have the same length."""
        self._data = {key: _zeros(max_episodes, episode[key]) for key in EPISODE_KEYS}
        self._cursor = 0
        self._size = 0

    def __len__(self) -> int:
        """Stored episodes."""
        return self._size

    @property
    def lengths(self) -> Tensor:
        """Env steps in each stored episode, [len] int64."""
        return self._data["length"][: self._size, 0]

    @property
    def env_steps(self) -> int:
        """Env steps in all stored episodes together."""
        return int(self.lengths.sum())

    def extend(self, episodes: TensorDictBase) -> None:
        """Append episodes [N], of which only ``EPISODE_KEYS`` are kept, in place of the oldest."""
        episodes = episodes[-self.max_size :]
        rows = (torch.arange(len(episodes)) + self._cursor) % self.max_size
        self._cursor = int(rows[-1] + 1) % self.max_size
        self._size = min(self._size + len(episodes), self.max_size)
        self.set(rows.to(self.motion.device), episodes)
        self._compare_lengths()

    def set(
        self, cursor: Any, data: Mapping[str, Any] | TensorDictBase, *, set_cursor: bool = True
    ) -> None:
        """Write episodes [N] into the rows ``cursor``."""
        for key, stored in self._data.items():
            stored[cursor] = data[key].to(stored)
        objects = slice(1 if self._relay is None else int(self._relay.reach), None)
        steps = data["achieved_goals"][:, :, objects].diff(dim=1)  # [N, T, objects, 3]
        moved = torch.linalg.vector_norm(steps, dim=-1).sum(-1)
        if self._relay is not None:
            moved.clamp_(max=self._relay.epsilon)
            self.turn[cursor] = whose_turn(self._relay, data).to(self.turn)
        if self._relay is not None and self.sequence is not None:
            self.sequence[cursor] = self._relay.sequence(*_states(data)).to(self.sequence)
        self.motion[cursor] = moved.sum(-1).to(self.motion)
        self._of_turn = {}

    def _compare_lengths(self) -> None:
        self.equal_lengths = bool((self.lengths == self.lengths[:1]).all())

    def get(self, index: Tensor) -> TensorDict:
        """Gather transitions.

        Args:
            index: [B, 3] int64: episode row, time t in [0, length), hindsight time f in
                [0, length] or ``KEEP_GOAL``.

        Returns:
            TensorDict [B] of the states at t and, under ``next``, at t + 1; ``hindsight_goals``
            [B, P, 3], the positions at f; ``relabeled`` [B, 1]; and ``("next", "ending")`` [B, 1],
            how the episode ended with this transition: ``Ending.RUNNING`` unless it is the last;
            and ``sequence`` [B, N] at t, if the order of the objects is free.
        """
        row, time, later = index.unbind(-1)
        now = self._state_numbers(row, time)
        relabeled = later != KEEP_GOAL
        hindsight = self._state_numbers(row, torch.where(relabeled, later, time))
        is_last = self._of("length", row) == (time + 1).unsqueeze(-1)
        order = {} if self.sequence is None else {"sequence": self.sequence_at(row, time)}
        return TensorDict(
            {
                **order,
                "observation": self._pick("observation", now),
                "achieved_goals": self._pick("achieved_goals", now),
                "desired_goals": self._of("desired_goals", row),
                "action": self._pick("action", row * self.max_length + time),
                "hindsight_goals": self._pick("achieved_goals", hindsight),
                "relabeled": relabeled.unsqueeze(-1),
                "next": {
                    "observation": self._pick("observation", now + 1),
                    "achieved_goals": self._pick("achieved_goals", now + 1),
                    "ending": self._of("ending", row) * is_last,
                },
            },
            batch_size=index.shape[:1],
        )

    def _state_numbers(self, row: Tensor, time: Tensor) -> Tensor:
        return row * (self.max_length + 1) + time

    def _of(self, key: str, row: Tensor) -> Tensor:
        """Entries of the episodes ``row``; plain indexing takes four times as long."""
        return self._data[key].index_select(0, row)

    def _pick(self, key: str, numbers: Tensor) -> Tensor:
        """Entries by number, counted through the steps of all episodes."""
        return self._data[key].flatten(0, 1).index_select(0, numbers)

    def achieved_goals(self, row: Tensor, time: Tensor) -> Tensor:
        """Positions [B, P, 3] at ``time`` [B] of episodes ``row`` [B]."""
        return self._pick("achieved_goals", self._state_numbers(row, time))

    def sequence_at(self, row: Tensor, time: Tensor) -> Tensor:
        """Order of the objects [B, N] at ``time`` [B] of episodes ``row`` [B]."""
        assert self.sequence is not None
        return self.sequence.flatten(0, 1).index_select(0, self._state_numbers(row, time)).long()

    def states_of_turn(self, index: int) -> Tensor:
        """(episode, time) [K, 2] of the states with an action in which it was an object's turn."""
        if index not in self._of_turn:  # kept until more episodes are stored
            times = torch.arange(self.max_length, device=self.turn.device)
            acted_in = times < self.lengths.unsqueeze(1)
            turn = self.turn[: self._size, :-1] == index
            self._of_turn[index] = (turn & acted_in).nonzero()
        return self._of_turn[index]

    def episode(self, row: int) -> TensorDict:
        """One stored episode, without a batch dimension."""
        return TensorDict({key: value[row] for key, value in self._data.items()}, batch_size=[])

    def state_dict(self) -> dict[str, Any]:
        """The filled part only, as plain tensors and ints."""
        filled = {key: value[: self._size].clone() for key, value in self._data.items()}
        return {"episodes": filled, "cursor": self._cursor}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave; a smaller ring takes the newest episodes only.

        Raises:
            ConfigError: if the episodes are damaged, or not like those stored here.
        """
        episodes: Any = state_dict.get("episodes")
        cursor: Any = state_dict.get("cursor")
        size = require_episodes(episodes, self.episode(0))
        require(
            isinstance(cursor, int) and 0 <= cursor <= size,
            f"the checkpoint's replay cannot go on at row {cursor} of {size}: begin a new run",
        )
        if size != self.max_size:  # not full, or of another capacity: oldest first
            order = (torch.arange(size) + cursor)[-self.max_size :] % max(size, 1)
            episodes = {key: episodes[key][order] for key in EPISODE_KEYS}
            cursor = len(order) % self.max_size
        self._cursor, self._size = cursor, min(size, self.max_size)
        self.set(slice(self._size), episodes)
        self._compare_lengths()

    def _empty(self) -> None:
        self._cursor = self._size = 0


def whose_turn(relay: Relay, episodes: Mapping[str, Any] | TensorDictBase) -> Tensor:
    """Number of the object whose turn it is in each state of episodes [N], [N, T+1]."""
    achieved, desired = _states(episodes)
    objects = torch.tensor([subtask.object for subtask in relay.subtasks], device=achieved.device)
    return objects[relay.serving(achieved, desired)]


def _states(episodes: Mapping[str, Any] | TensorDictBase) -> tuple[Tensor, Tensor]:
    """Positions [N, T+1, P, 3] and desired goals [N, T+1, D, 3] in each state of episodes [N]."""
    achieved = episodes["achieved_goals"]
    return achieved, episodes["desired_goals"].unsqueeze(1).expand(-1, achieved.shape[1], -1, -1)


def _zeros(count: int, example: Tensor) -> Tensor:
    """Zeros for ``count`` values like ``example``; every float type becomes float32."""
    dtype = torch.float32 if example.is_floating_point() else example.dtype
    return torch.zeros(count, *example.shape, dtype=dtype, device=example.device)
