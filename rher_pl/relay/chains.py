"""The relays in use: plain HER for a single subtask, and reach-then-bring for any objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rher_pl.choices import RelayMode
from rher_pl.relay.chain import Desired, Position, Relay, Slot, Subtask, Unused


def reach_relay(epsilon: float = 0.05, relative_goals: bool = False) -> Relay:
    """The chain of one subtask: the gripper to the desired point. This is plain HER."""
    return Relay((Subtask("reach", (Desired(0),), epsilon),), 1, 1, relative_goals)


def object_relay(
    bring: Sequence[str], epsilon: float = 0.05, relative_goals: bool = False
) -> Relay:
    """The chain of 2N subtasks for N objects: reach object i, bring object i to its goal.

    Args:
        bring: name of the bring-subtask of each object, for example ``["push"]``.
        epsilon: distance in metres within which a slot counts as met.
        relative_goals: see :class:`Relay`.
    """
    count = len(bring)
    subtasks: list[Subtask] = []
    for i, name in enumerate(bring):
        before: tuple[Slot, ...] = tuple(Desired(j) for j in range(i))
        after: tuple[Slot, ...] = tuple(Position(j + 1) for j in range(i + 1, count))
        reach = "reach" if count == 1 else f"reach_{i}"
        subtasks.append(Subtask(reach, (Position(i + 1), *before, Unused(), *after), epsilon))
        subtasks.append(Subtask(name, (Unused(), *before, Desired(i), *after), epsilon))
    return Relay(tuple(subtasks), count + 1, count, relative_goals)


def shorten(relay: Relay, mode: RelayMode) -> Relay:
    """As much of a chain as ``mode`` says; slots, points and goal encoding stay as they are."""
    return relay if mode == RelayMode.full else replace(relay, subtasks=relay.subtasks[-1:])
