"""What fills the goal slots of each subtask, as lookup tables.

An entry of a table is an index into [nothing | first | positions], where ``first`` are the desired
goals or, in hindsight, the positions at a later time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_, le, or_
from typing import NamedTuple

import torch
from torch import Tensor

from .subtask import Subtask

NOTHING = 0


class Slots(NamedTuple):
    """Tables [S, P], one entry for each subtask and slot.

    Args:
        source: indices into [nothing | desired goals | positions], int64.
        hindsight: indices into [nothing | positions at f | positions at t], int64.
        used: slots that hold something, bool.
        active: the slot of the point that the subtask moves, bool.
        finished: slots of objects that earlier subtasks bring, bool.
    """

    source: Tensor
    hindsight: Tensor
    used: Tensor
    active: Tensor
    finished: Tensor


def make_slots(subtasks: Sequence[Subtask], order: Sequence[int], reach: bool) -> Slots:
    """Tables of a chain; see ``relay.py`` for what each slot holds."""
    count, first = len(order), int(reach)
    points = count + first
    shape = (len(subtasks), points)
    source, hindsight = torch.zeros(2, *shape, dtype=torch.int64)
    active, finished = torch.zeros(2, *shape, dtype=torch.bool)
    rank = {index: place for place, index in enumerate(order)}
    for s, subtask in enumerate(subtasks):
        if subtask.reach:
            source[s, 0] = 1 + count + first + subtask.object  # where the object is now
            hindsight[s, 0] = 1  # where the gripper itself will be
            active[s, 0] = True
        for index in range(count):
            point = first + index
            if index == subtask.object:
                source[s, point] = NOTHING if subtask.reach else 1 + index
                hindsight[s, point] = NOTHING if subtask.reach else 1 + point
                active[s, point] = not subtask.reach
            elif rank[index] < rank[subtask.object]:
                source[s, point], hindsight[s, point] = 1 + index, 1 + point
                finished[s, point] = True
            else:  # must not be disturbed, in hindsight as well: its position at t
                source[s, point], hindsight[s, point] = 1 + count + point, 1 + points + point
    return Slots(source, hindsight, source != NOTHING, active, finished)


def fill(columns: list[int], first: Tensor, positions: Tensor) -> Tensor:
    """Take the same ``columns`` of [nothing | first | positions] for all, giving [*, P, 3]."""
    nothing = first.new_zeros(()).expand(*first.shape[:-2], 3)
    candidates = [nothing, *first.unbind(-2), *positions.unbind(-2)]
    return torch.stack([candidates[column] for column in columns], dim=-2)


def pick(first: Tensor, positions: Tensor, table: Tensor, subtask: Tensor) -> Tensor:
    """Take ``table[subtask]`` of [nothing | first | positions], giving [*, P, 3]."""
    nothing = positions.new_zeros(*positions.shape[:-2], 1, 3)
    candidates = torch.cat([nothing, first, positions], dim=-2)
    index = table.to(candidates.device)[subtask].unsqueeze(-1)
    return candidates.gather(-2, index.expand(*index.shape[:-1], 3))


def within(goals: Tensor, achieved: Tensor, limit: Tensor) -> Tensor:
    """Whether all points [*, P, 3] are within their limits [*, P] of their goals, [*] bool."""
    distances = torch.linalg.vector_norm(goals - achieved, dim=-1).unbind(-1)
    # Point by point: comparing and reducing along such a short dimension takes three times as long.
    return reduce(and_, map(le, distances, limit.unbind(-1)))


def below(achieved: Tensor, height: float, first: int) -> Tensor:
    """Whether any object is lower than ``height`` (m) in positions [*, P, 3], [*] bool.

    Args:
        achieved: positions of the points, [*, P, 3] (metres).
        height: in metres.
        first: the point that is the first object.
    """
    return reduce(or_, [z < height for z in achieved[..., first:, 2].unbind(-1)])
