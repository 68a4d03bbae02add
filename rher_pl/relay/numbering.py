"""Other numbers for the objects: the order in which they are worked on, where it is free."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layout import Layout


def nearest_first(home: Tensor, away: Tensor) -> Tensor:
    """Indices of the objects, [*, N] int64: those that are home, then the others, nearest first.

    Of those that are home, the furthest comes first: if all are, the gripper stays with the last.

    Args:
        home: which objects are home, [*, N] bool.
        away: distance from the gripper to each object, [*, N] (metres).
    """
    return torch.where(home, -1.0 - away, away).argsort(dim=-1, stable=True)


def renumbered(positions: Tensor, sequence: Tensor) -> Tensor:
    """Positions with the objects in another order, [*, P, 3] (metres).

    Args:
        positions: of the gripper, if it is among them, and the objects, [*, P, 3] (metres).
        sequence: index of the object that gets each number, [*, N] int64.
    """
    first = positions.shape[-2] - sequence.shape[-1]
    objects = positions[..., first:, :].gather(
        -2, sequence.unsqueeze(-1).expand(*sequence.shape, 3)
    )
    return torch.cat([positions[..., :first, :], objects], dim=-2)


class ObjectNumbers(nn.Module):
    """Gives the objects of an observation other numbers.

    Args:
        layout: what each number of an observation belongs to; the objects have the same numbers in
            the same order.
        num_objects: N.
    """

    _columns: Tensor
    _owner: Tensor
    _place: Tensor

    def __init__(self, layout: Layout, num_objects: int) -> None:
        super().__init__()
        columns = [layout.columns_of(f"object {i}") for i in range(num_objects)]
        owner = torch.zeros(len(layout), dtype=torch.int64)
        place = torch.full_like(owner, -1)
        for index, own in enumerate(columns):
            owner[own], place[own] = index, torch.arange(len(own))
        for name, table in (
            ("_columns", torch.tensor(columns)),  # [N, numbers of an object]
            ("_owner", owner),
            ("_place", place),  # among the numbers of its object; -1 if a column is of none
        ):
            self.register_buffer(name, table, persistent=False)

    def forward(self, observation: Tensor, sequence: Tensor) -> Tensor:
        """Observation [*, O] with the objects in another order, see :func:`renumbered`."""
        own = self._columns[sequence[..., self._owner], self._place.clamp(min=0)]
        straight = torch.arange(len(self._place), device=own.device)
        return observation.gather(-1, torch.where(self._place < 0, straight, own))
