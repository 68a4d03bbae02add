"""Numbers for the objects of an episode in which they could be brought in any order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rher_pl.relay import Relay


class Turns(NamedTuple):
    """Whose turn it is in the states of N episodes.

    Args:
        served: which object the policy works on, [N, T, objects] bool.
        begun: whether it is worked on, or home already, [N, T, objects] bool.
    """

    served: Tensor
    begun: Tensor

    def numbered(self, order: Tensor) -> Turns:
        """The same by other numbers; ``order`` [N, objects] has the object of each number."""
        return Turns(*(_gathered(each, order) for each in self))


def turns_of(achieved: Tensor, desired: Tensor, relay: Relay) -> Turns:
    """Whose turn it is, by the objects' own numbers.

    Args:
        achieved: positions of the points, [N, T+1, P, 3] (metres).
        desired: desired goals, [N, T+1, D, 3] (metres).
        relay: of any order.
    """
    now = relay.object_of(achieved, desired, relay.serving(achieved, desired))
    served = torch.nn.functional.one_hot(now, relay.num_objects).bool()
    begun = served | relay.home(achieved, desired)
    return Turns(served[:, :-1], begun[:, :-1])


def order_brought(achieved: Tensor, desired: Tensor, relay: Relay, turns: Turns) -> Tensor:
    """Indices of the objects as they came home for good in each episode, [N, objects].

    Those that did not come home are last, by their first turns and then by the final state, see
    ``Relay.sequence``. Arguments as in :func:`turns_of`.
    """
    home = relay.home(achieved, desired)  # [N, T+1, objects]
    stays = home.flip(1).long().cumprod(1).sum(1)  # states at the end in which it is home
    since = home.shape[1] - stays
    first = torch.where(turns.begun.any(1), turns.begun.long().argmax(1), home.shape[1])
    order = relay.sequence(achieved[:, -1], desired[:, -1])
    for time in (first, since):  # the last one decides, as the sort is stable
        order = order.gather(-1, time.gather(-1, order).argsort(dim=-1, stable=True))
    return order


def solved_at_reset(achieved: Tensor, desired: Tensor, relay: Relay) -> Tensor:
    """Whether each subtask is solved in first states, numbered by these states, [N, S] bool.

    Numbered by the outcome, an object that begins at its goal and is lost would not count. A
    subtask that reaches an object counts if the object is home.

    Args:
        achieved: positions of the points, [N, P, 3] (metres).
        desired: desired goals, [N, D, 3] (metres).
        relay: of any order.
    """
    solved = relay.solved(*relay.numbered(achieved, desired))
    return solved[:, [relay.bring_of(subtask) for subtask in relay.indices]]


def _gathered(each: Tensor, order: Tensor) -> Tensor:
    return each.gather(-1, order.unsqueeze(1).expand(-1, each.shape[1], -1))
