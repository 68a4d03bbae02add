"""Which numbers the networks see in each subtask: tables for the input encoder.

With *roles*, the active object comes first and the others after it in the order of the chain, each
marked done or pending. What is learned about one object then holds for all, and renumbering the
objects changes nothing. Without roles each object keeps its place, and a one-hot vector names the
subtask.
"""

from __future__ import annotations

from typing import NamedTuple

from .layout import Layout
from .relay import Relay


class Columns(NamedTuple):
    """Tables of the inputs; each list has one entry for each subtask.

    Args:
        observed: columns of the observation that the networks see.
        points: points of the relay, in the order in which their goals are seen.
        objects: the points among these whose positions are seen relative to the first point.
        flags: numbers that tell the subtasks apart. Those that would never vary are left out; a
            relay of one subtask has a single 1.
        places: columns of the observation with x, y and z of each fixed place, the same for all
            subtasks.
        roles: whether the active object comes first.
    """

    observed: list[list[int]]
    points: list[list[int]]
    objects: list[list[int]]
    flags: list[list[float]]
    places: tuple[tuple[int, int, int], ...]
    roles: bool


def input_columns(relay: Relay, layout: Layout, roles: bool, absolute_positions: bool) -> Columns:
    """Tables for a relay whose observations have the given layout.

    Args:
        relay: the chain.
        layout: of the observations.
        roles: put the active object first; ignored unless all objects have the same numbers in the
            same order.
        absolute_positions: let the networks also see where on the table things are. Otherwise x and
            y of positions and the heights of places are left out; other heights stay.
    """
    first = int(relay.reach)
    roles = roles and (relay.num_objects == 1 or layout.alike(range(relay.num_objects)))
    orders = [
        _object_order(relay, s) if roles else list(range(relay.num_objects)) for s in relay.indices
    ]
    kept = [
        column
        for column in range(len(layout))
        if absolute_positions or not _is_shown_otherwise(layout, column)
    ]
    return Columns(
        observed=[_observed(layout, kept, order) if roles else kept for order in orders],
        points=[[*range(first), *(first + i for i in order)] for order in orders],
        objects=[[first + i for i in order] if first else [*order[1:]] for order in orders],
        flags=[_flags(relay, s, roles) for s in relay.indices],
        places=layout.places,
        roles=roles,
    )


def _is_shown_otherwise(layout: Layout, column: int) -> bool:
    """Whether absolute positions include a column: x or y of a position, or a place's height."""
    axis = layout.axis(column)
    return axis in ("x", "y") or (axis == "z" and layout.owner(column).startswith("place"))


def _object_order(relay: Relay, subtask: int) -> list[int]:
    """The active object, then the others in the order in which they are worked on."""
    active = relay.subtasks[subtask].object
    return [active, *(index for index in relay.working_order if index != active)]


def _observed(layout: Layout, kept: list[int], order: list[int]) -> list[int]:
    """``kept`` with each object's columns taken from the object that plays its role."""
    owners = [layout.owner(column) for column in kept]
    ours = {f"object {index}" for index in order}
    appearing = list(dict.fromkeys(owner for owner in owners if owner in ours))
    of = {owner: [c for c, o in zip(kept, owners) if o == owner] for owner in appearing}
    plays = {owner: f"object {index}" for owner, index in zip(appearing, order)}
    return [
        of[plays[owner]][of[owner].index(column)] if owner in plays else column
        for column, owner in zip(kept, owners)
    ]


def _flags(relay: Relay, subtask: int, roles: bool) -> list[float]:
    if not roles:
        return [float(subtask == other) for other in relay.indices]
    link = relay.subtasks[subtask]
    both = relay.reach and not relay.last_only
    kinds = [float(link.reach), float(not link.reach)] if both else []
    done = [] if relay.last_only else _done(relay, link.object)
    return kinds + done or [1.0]


def _done(relay: Relay, active: int) -> list[float]:
    """For each other object, in the order of the chain, whether it was brought before."""
    order = relay.working_order
    return [float(order.index(i) < order.index(active)) for i in order if i != active]
