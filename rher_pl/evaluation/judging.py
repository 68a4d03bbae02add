"""Judges each subtask in episodes of the whole task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor

from rher_pl.evaluation.as_brought import Turns, order_brought, solved_at_reset, turns_of
from rher_pl.relay import Relay
from rher_pl.relay.numbering import renumbered

QFunction = Callable[[Tensor, Tensor], Tensor]
"""Network inputs [N, I] and actions [N, A] to Q values [N]."""


class Fate(IntEnum):
    """What became of an object by the end of an episode.

    While any object is lost (``Relay.lowest``), no subtask is solved.
    """

    SOLVED = 0
    """It is at its goal, and so are all before it."""
    WAITING = 1
    """It was never its turn."""
    UNTOUCHED = 2
    """It never moved."""
    DISTURBED = 3
    """Its subtask was solved at some time, but is not in the end."""
    DROPPED = 4
    """It was in the air, and fell."""
    SHORT = 5
    """It is away from its goal by at most twice epsilon."""
    AWAY = 6
    """It is further away."""


class Played(NamedTuple):
    """Episodes of the whole task, N of them with T steps.

    Args:
        achieved: positions of the points, [N, T+1, P, 3] (metres).
        desired: desired goals, [N, T+1, D, 3] (metres).
        failed: which episodes ended in failure, [N] bool; their final state counts as unsolved.
        inputs: network inputs in all states but the final one, [N, T, I].
        action: actions taken there, [N, T, A].
        own: in which states the environment itself says that the task is solved, [N, T+1] bool;
            None if it says nothing.
        released: positions of the points after the hand was opened and withdrawn, [N, P, 3]
            (metres); None if the task does not define that.
    """

    achieved: Tensor
    desired: Tensor
    failed: Tensor
    inputs: Tensor
    action: Tensor
    own: Tensor | None = None
    released: Tensor | None = None


def contact_distance(relay: Relay) -> float:
    """Metres, a fifth of epsilon: an object that moved further has been touched."""
    return relay.epsilon / 5.0


def touched(achieved: Tensor, relay: Relay) -> Tensor:
    """Which objects were touched up to each state, [N, T+1, objects]; see :func:`contact_distance`.

    Args:
        achieved: positions of the points, [N, T+1, P, 3] (metres).
        relay: tells whether the first point is the gripper.
    """
    objects = achieved[:, :, int(relay.reach) :]
    moved = torch.linalg.vector_norm(objects - objects[:, :1], dim=-1)
    return (moved > contact_distance(relay)).cummax(1).values


def objects_moved(achieved: Tensor, relay: Relay) -> Tensor:
    """In which episodes any object was touched, [N]; see :func:`touched`."""
    return touched(achieved, relay)[:, -1].any(-1)


def judge(
    played: Played, relay: Relay, gamma: float, q_function: QFunction
) -> dict[str, TensorDict]:
    """Per-episode figures of each subtask, first to last; the last one is the task itself.

    Args:
        played: the episodes.
        relay: the chain of subtasks.
        gamma: discount of the return.
        q_function: the critic.

    Returns:
        By name of the subtask, a TensorDict [N] with these entries:
        ``success``: for a subtask that brings an object, this object and all before it are at their
        goals in the final state; for one that reaches an object, it was reached, touched or home at
        some time from its first turn on. For the task itself, what the environment says, if any;
        ``standing``, of the task itself if the hand can be opened: success, and still solved after
        the hand was opened and withdrawn;
        ``within_epsilon``, if ``success`` is what the environment says: success as the relay
        measures it;
        ``solved_at_reset``: it was solved before the first action;
        ``served``: it was the object's turn at some time;
        ``contact``: the object was touched (of the last subtask: any object);
        ``steps_to_success``: first step from which it stays solved, -1 if there is none;
        ``fate``, of a subtask that brings: of its object, see :class:`Fate`;
        ``q`` and ``monte_carlo_return``, of a subtask that brings: Q at the object's first turn,
        and the discounted return from there on. The return repeats the last reward for ever, as the
        critic assumes: episodes are truncated, not terminated.

        Where the objects may be brought in any order, they are numbered as they came home for good
        in each episode, and for ``solved_at_reset`` as in its first state.
    """
    played, turns, at_reset = _numbered(played, relay)
    moved = touched(played.achieved, relay)
    results = {}
    for index, subtask in enumerate(relay.subtasks):
        turn, begun = (each[..., index] for each in turns)
        begin = turn.long().argmax(1)
        contact = moved[:, -1].any(-1) if index == relay.last else moved[:, -1, subtask.object]
        if subtask.reach:
            solved = _reached(played, relay, subtask.object, begun)
        else:
            solved = _solved(played, relay, index)
        measured = solved[:, -1]
        own = played.own if index == relay.last else None
        if own is not None:
            solved = _at_the_end(own, played.failed)
        figures = {
            "success": solved[:, -1],
            "solved_at_reset": at_reset[index] if at_reset and own is None else solved[:, 0],
            "served": turn.any(1),
            "contact": contact,
            "steps_to_success": _stays_from(solved),
        }
        if own is not None:
            figures["within_epsilon"] = measured
        if index == relay.last and played.released is not None:
            goals = relay.goals(played.released, played.desired[:, -1], index)
            still = relay.met(goals, played.released, index)
            figures["standing"] = figures["success"] & still
        if not subtask.reach:
            rows = torch.arange(len(begin))
            figures["fate"] = _fate(played, relay, index, solved, turn.any(1))
            figures["q"] = q_function(played.inputs[rows, begin], played.action[rows, begin]).cpu()
            figures["monte_carlo_return"] = _value(solved, begin, gamma)
        results[subtask.name] = TensorDict(figures, batch_size=[len(solved)])
    return results


def _numbered(played: Played, relay: Relay) -> tuple[Played, Turns, Sequence[Tensor] | None]:
    """Episodes by the subtasks' numbers, whose turn it is [N, T, S], and what is solved at first.

    ``Turns`` are of the subtasks: by which the policy acts, and whether their turn has come. In a
    fixed order the turn of an object has come while it, or one after it, is served.
    """
    places = played.achieved, played.desired
    if not relay.any_order:
        brings = torch.tensor([relay.bring_of(subtask) for subtask in relay.indices])
        turn = relay.serving(*places)[:, :-1].unsqueeze(-1) >= brings
        return played, Turns(turn, turn), None
    turns = turns_of(*places, relay)
    order = order_brought(*places, relay, turns)
    throughout = order.unsqueeze(1).expand(-1, played.achieved.shape[1], -1)
    numbered = played._replace(
        achieved=renumbered(played.achieved, throughout),
        desired=renumbered(played.desired, throughout),
        released=None if played.released is None else renumbered(played.released, order),
    )
    objects = [subtask.object for subtask in relay.subtasks]
    of_subtasks = Turns(*(each[..., objects] for each in turns.numbered(order)))
    first = solved_at_reset(played.achieved[:, 0], played.desired[:, 0], relay)
    return numbered, of_subtasks, first.unbind(-1)


def _solved(played: Played, relay: Relay, subtask: int) -> Tensor:
    """Whether the goals of a subtask are met in each state, [N, T+1]."""
    goals = relay.goals(played.achieved, played.desired, subtask)
    return _at_the_end(relay.met(goals, played.achieved, subtask), played.failed)


def _at_the_end(solved: Tensor, failed: Tensor) -> Tensor:
    """``solved`` [N, T+1], but false in the final state of episodes that ``failed`` [N]."""
    solved = solved.clone()
    solved[:, -1] &= ~failed
    return solved


def _reached(played: Played, relay: Relay, index: int, turn: Tensor) -> Tensor:
    """Whether an object was reached, touched or home since its first turn, in each state [N, T+1].

    Args:
        played: the episodes.
        relay: gives the distances.
        index: of the object.
        turn: whether its turn has come in each state, [N, T].
    """
    gripper, path = played.achieved[..., 0, :], played.achieved[..., 1 + index, :]  # [N, T+1, 3]
    away = torch.linalg.vector_norm(path - gripper, dim=-1)
    start = path[torch.arange(len(path)), turn.long().argmax(1)].unsqueeze(1)
    moved = torch.linalg.vector_norm(path - start, dim=-1)
    limit = relay.epsilon if relay.reached_distance is None else relay.reached_distance
    home = relay.home(played.achieved, played.desired)[..., index]
    there = (away <= limit) | (moved > contact_distance(relay)) | home
    begun = turn.cummax(1).values
    return (there & torch.cat([begun, begun[:, -1:]], dim=1)).cummax(1).values


def _stays_from(solved: Tensor) -> Tensor:
    """First step from which ``solved`` [N, T+1] stays true, -1 if it ends false, [N]."""
    stays = solved.flip(1).long().cumprod(1).sum(1)  # number of solved states at the end
    return torch.where(stays > 0, solved.shape[1] - stays, -1)


def _value(solved: Tensor, begin: Tensor, gamma: float) -> Tensor:
    """Discounted return from step ``begin`` [N] on, the last reward repeated for ever, [N]."""
    value = (solved[:, -1].float() - 1.0) / (1.0 - gamma)
    for step in reversed(range(solved.shape[1] - 1)):
        now = solved[:, step + 1].float() - 1.0 + gamma * value
        value = torch.where(step >= begin, now, value)
    return value


def _fate(played: Played, relay: Relay, subtask: int, solved: Tensor, served: Tensor) -> Tensor:
    """What became of the object that a subtask brings, [N]: the first :class:`Fate` that holds."""
    index = relay.subtasks[subtask].object
    point = index + relay.reach
    path = played.achieved[:, :, point]  # [N, T+1, 3]
    goal = played.desired[:, -1, index]
    fell = path[..., 2].amax(1) - path[:, -1, 2] > relay.epsilon / 2
    away = torch.linalg.vector_norm(path[:, -1] - goal, dim=-1)
    fate = torch.full((len(path),), int(Fate.AWAY))
    for holds, name in (
        (away <= 2 * relay.epsilon, Fate.SHORT),
        (fell, Fate.DROPPED),
        (solved.any(1), Fate.DISTURBED),
        (~touched(played.achieved, relay)[:, -1, index], Fate.UNTOUCHED),
        (~served, Fate.WAITING),
        (solved[:, -1], Fate.SOLVED),
    ):
        fate[holds] = int(name)
    return fate
