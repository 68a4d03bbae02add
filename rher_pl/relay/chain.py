"""The relay: an ordered chain of subtasks, told apart by one goal encoding.

A relay is data. Each subtask says what every goal slot holds: nothing, a desired goal, or the
current position of a point (the gripper or an object). Slot ``k`` is always filled by point ``k``,
so "subtask solved" means: every slot in use lies within epsilon of its point.

Source: Luo et al., "Relay Hindsight Experience Replay", arXiv 2208.00843, section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import and_, le
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Unused:
    """The slot takes no part in this subtask; it is padded with 0 before normalisation."""


@dataclass(frozen=True)
class Desired:
    """The slot holds desired goal ``index``."""

    index: int


@dataclass(frozen=True)
class Position:
    """The slot holds the current position of point ``index``.

    In the slot of another point it is a target that moves (reach object i); in the point's own
    slot it says "must not be disturbed".
    """

    index: int


Slot = Unused | Desired | Position


@dataclass(frozen=True)
class Subtask:
    """One link of the chain.

    Args:
        name: as it appears in metrics (``eval/success/<name>``).
        slots: what each of the relay's goal slots holds.
        epsilon: distance in metres within which a slot counts as met.
    """

    name: str
    slots: tuple[Slot, ...]
    epsilon: float = 0.05


@dataclass(frozen=True)
class Relay:
    """An ordered chain of subtasks over ``num_points`` points and ``num_desired`` desired goals.

    Shapes below: ``*`` any leading shape, ``P`` points, ``D`` desired goals, ``S`` subtasks,
    one slot per point, ``G`` numbers in an encoded goal.

    Args:
        subtasks: the chain, first to last; the last one is the task itself.
        num_points: points whose positions are observed, gripper first, then the objects.
        num_desired: desired goals of the task.
        relative_goals: append to the encoding, for every slot, goal minus current position (0 if
            unused), and for every object, its position seen from the gripper; the networks then
            need not learn the subtractions.
        reached_distance: gripper to its goal, in metres, within which the gripper's slot counts as
            met; None takes the subtask's epsilon.
    """

    subtasks: tuple[Subtask, ...]
    num_points: int
    num_desired: int
    relative_goals: bool = False
    reached_distance: float | None = None
    _source: Tensor = field(init=False, repr=False, compare=False)
    _hindsight: Tensor = field(init=False, repr=False, compare=False)
    _limit: Tensor = field(init=False, repr=False, compare=False)
    _active: Tensor = field(init=False, repr=False, compare=False)
    _rank: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for subtask in self.subtasks:
            if len(subtask.slots) != self.num_points:
                raise ValueError(
                    f"subtask {subtask.name!r} has {len(subtask.slots)} slots for "
                    f"{self.num_points} points: give one slot per point"
                )
        set_ = object.__setattr__  # frozen: the lookup tables are derived once, here
        set_(self, "_source", self._table(self._source_column))
        set_(self, "_hindsight", self._table(self._hindsight_column))
        set_(self, "_active", self._source > 0)
        set_(self, "_limit", self._distances())
        set_(self, "_rank", torch.arange(1, self.num_subtasks + 1))

    def _table(self, column: Callable[[Slot, int], int]) -> Tensor:
        """Lookup table [S, P] of columns, one per subtask and slot."""
        return torch.tensor(
            [[column(slot, point) for point, slot in enumerate(s.slots)] for s in self.subtasks]
        )

    def _distances(self) -> Tensor:
        """Metres [S, P] within which each slot counts as met; any will do for an unused one."""
        epsilon = torch.tensor([s.epsilon for s in self.subtasks])
        limit = epsilon.unsqueeze(-1).repeat(1, self.num_points)
        if self.reached_distance is not None:
            limit[:, 0] = self.reached_distance
        return limit.masked_fill(~self.active_slots, torch.inf)

    def _source_column(self, slot: Slot, point: int) -> int:
        """Column in [padding | desired goals | positions] that fills a slot."""
        if isinstance(slot, Desired):
            return 1 + slot.index
        if isinstance(slot, Position):
            return 1 + self.num_desired + slot.index
        return 0

    def _hindsight_column(self, slot: Slot, point: int) -> int:
        """Column in [padding | positions at f | positions at t] that fills a relabelled slot."""
        if isinstance(slot, Unused):
            return 0
        if slot == Position(point):  # "must not be disturbed" keeps its meaning in hindsight
            return 1 + self.num_points + point
        return 1 + point

    def reaching(self, distance: float | None) -> Relay:
        """The same chain, with another ``reached_distance`` in metres."""
        return replace(self, reached_distance=distance)

    def within(self, share: float) -> Relay:
        """The same chain, whose goals are met only within ``share`` of each epsilon."""
        tighter = (replace(s, epsilon=share * s.epsilon) for s in self.subtasks)
        return replace(self, subtasks=tuple(tighter))

    @property
    def num_subtasks(self) -> int:
        return len(self.subtasks)

    @property
    def last(self) -> int:
        """Index of the last subtask, the task itself."""
        return len(self.subtasks) - 1

    @property
    def goal_size(self) -> int:
        """Length G of an encoded goal."""
        return self.num_absolute + (3 * (2 * self.num_points - 1) if self.relative_goals else 0)

    @property
    def num_absolute(self) -> int:
        """How many numbers, from the first, are absolute positions; the rest are relative."""
        return 3 * self.num_points

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(subtask.name for subtask in self.subtasks)

    @property
    def description(self) -> list[list[Any]]:
        """The chain in plain types: name, slots and epsilon of each subtask."""
        return [[s.name, [repr(slot) for slot in s.slots], s.epsilon] for s in self.subtasks]

    @property
    def source(self) -> Tensor:
        """Column of [padding | desired goals | positions] that fills each slot, [S, P] int64."""
        return self._source

    @property
    def limit(self) -> Tensor:
        """Metres within which each slot counts as met, infinite for an unused one, [S, P]."""
        return self._limit

    @property
    def active_slots(self) -> Tensor:
        """Which slots each subtask uses, [S, P] bool."""
        return self._active

    @property
    def active_numbers(self) -> Tensor:
        """Which numbers of the encoding each subtask uses, [S, G] bool."""
        per_slot = self.active_slots.repeat_interleave(3, dim=1)
        if not self.relative_goals:
            return per_slot
        objects = per_slot.new_ones(self.num_subtasks, 3 * (self.num_points - 1))
        return torch.cat([per_slot, per_slot, objects], dim=1)

    def goals(self, achieved: Tensor, desired: Tensor, subtask: Tensor | int) -> Tensor:
        """Absolute goal of every slot, [*, P, 3].

        Args:
            achieved: current positions of the points, [*, P, 3] (metres).
            desired: desired goals of the task, [*, D, 3] (metres).
            subtask: which subtask to encode, [*] int64; or one for all, which is faster.
        """
        if isinstance(subtask, int):
            return _fill(self._source[subtask].tolist(), desired, achieved)
        return _pick(self._candidates(achieved, desired), self._source, subtask)

    def hindsight_goals(self, achieved: Tensor, later: Tensor, subtask: Tensor | int) -> Tensor:
        """Absolute hindsight goal of every slot, [*, P, 3].

        Args:
            achieved: positions at the transition's own time t, [*, P, 3] (metres).
            later: positions at a later time f of the same episode, [*, P, 3] (metres).
            subtask: [*] int64, or one for all.
        """
        if isinstance(subtask, int):
            return _fill(self._hindsight[subtask].tolist(), later, achieved)
        return _pick(self._candidates(achieved, later), self._hindsight, subtask)

    def encode(self, goals: Tensor, achieved: Tensor, subtask: Tensor | int) -> Tensor:
        """What the networks see of a goal, [*, G]: absolute slots, then relative ones if any."""
        if not self.relative_goals:
            return goals.flatten(-2)
        offsets = goals - achieved
        if isinstance(subtask, int):
            for slot in (~self._active[subtask]).nonzero().flatten().tolist():
                offsets[..., slot, :] = 0.0
        else:
            offsets *= self._active.to(goals.device)[subtask].unsqueeze(-1)
        from_gripper = achieved[..., 1:, :] - achieved[..., :1, :]
        return torch.cat([goals, offsets, from_gripper], dim=-2).flatten(-2)

    def met(self, goals: Tensor, achieved: Tensor, subtask: Tensor | int) -> Tensor:
        """Whether every slot in use lies within epsilon of its point, [*] bool.

        ``reached_distance`` takes the place of epsilon for the gripper's slot.
        """
        return _within(goals, achieved, self._limit.to(goals.device)[subtask])

    def solved(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """Whether each subtask is solved in a state, [*, S] bool; see :meth:`met`."""
        columns, limit = self._source.to(achieved.device), self._limit.to(achieved.device)
        goals = self._candidates(achieved, desired)[..., columns, :]  # [*, S, P, 3]
        return _within(goals, achieved.unsqueeze(-3), limit)

    def first_unsolved(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """The subtask to work on in a state, [*] int64; see :meth:`met`.

        It is the one after the furthest subtask that is solved (the last one if all are): having
        brought object 0 to its goal, the gripper may leave it, so "reach object 0" being unmet
        again does not send the relay back.
        """
        solved = self.solved(achieved, desired)
        return (solved * self._rank.to(solved.device)).amax(-1).clamp(max=self.last)

    def _candidates(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """What a slot may hold, [*, 1 + D + P, 3]: padding, desired goals, current positions."""
        padding = achieved.new_zeros(*achieved.shape[:-2], 1, 3)
        return torch.cat([padding, desired, achieved], dim=-2)


def _within(goals: Tensor, achieved: Tensor, limit: Tensor) -> Tensor:
    """Whether each point [*, P, 3] lies within its limit [*, P] of its goal, all of them: [*]."""
    distances = torch.linalg.vector_norm(goals - achieved, dim=-1).unbind(-1)
    # Point by point: along so short a dimension comparing and reducing take three times as long.
    return reduce(and_, map(le, distances, limit.unbind(-1)))


def _fill(columns: list[int], first: Tensor, second: Tensor) -> Tensor:
    """The same ``columns`` of [padding | first | second] for all, giving [*, P, 3]."""
    padding = first.new_zeros(()).expand(*first.shape[:-2], 3)
    candidates = [padding, *first.unbind(-2), *second.unbind(-2)]
    return torch.stack([candidates[column] for column in columns], dim=-2)


def _pick(candidates: Tensor, table: Tensor, subtask: Tensor) -> Tensor:
    """Rows ``table[subtask]`` of ``candidates`` [*, C, 3], giving [*, P, 3]."""
    index = table.to(candidates.device)[subtask].unsqueeze(-1)
    return candidates.gather(-2, index.expand(*index.shape[:-1], 3))
