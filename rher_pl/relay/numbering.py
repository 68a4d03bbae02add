"""Other numbers for the objects: the order in which they are worked on, where it is free."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layout import Layout


def working_sequence(home: Tensor, away: Tensor, in_the_way: Tensor) -> Tensor:
    """Indices of the objects in the order in which they are worked on, [*, N] int64.

    Those that are home come first, then those in the way of others, then the rest. The nearest of
    each kind is next; of those that are home the furthest comes first, so that the gripper stays
    with the last if all are.

    Args:
        home: which objects are home, [*, N] bool.
        away: distance from the gripper to each object, [*, N] (metres).
        in_the_way: which objects stand at the goal of another, [*, N] bool.
    """
    near = away / (1.0 + away)  # the same order, but below 1
    waiting = torch.where(in_the_way, near - 1.0, near)
    # Not a stable sort, which ONNX does not have: equal distances do not occur.
    return torch.where(home, -2.0 - near, waiting).argsort(dim=-1)


def in_the_way(objects: Tensor, desired: Tensor, home: Tensor, distance: float) -> Tensor:
    """Which objects stand within a distance of the goal of another one not yet home, [*, N] bool.

    Args:
        objects, desired: positions and goals of the objects, [*, N, 3] (metres).
        home: which objects are home, [*, N] bool.
        distance: in metres.
    """
    apart = torch.linalg.vector_norm(objects.unsqueeze(-2) - desired.unsqueeze(-3), dim=-1)
    others = ~torch.eye(home.shape[-1], dtype=torch.bool, device=home.device)
    return ((apart <= distance) & others & ~home.unsqueeze(-2)).any(-1)


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

    Raises:
        ValueError: if the objects have no numbers of their own, or not the same.
    """

    _columns: Tensor
    _owner: Tensor
    _place: Tensor

    def __init__(self, layout: Layout, num_objects: int) -> None:
        super().__init__()
        if not layout.alike(range(num_objects)) or not layout.columns_of("object 0"):
            raise ValueError(
                "objects that may be brought in any order need columns of the observation, the "
                "same for each: say which are whose, or keep the order of their numbers"
            )
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
