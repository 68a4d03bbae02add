"""What points and objects of a relay are called in pictures."""

from __future__ import annotations

from rher_pl.relay.chain import Relay


def object_name(relay: Relay, index: int) -> str:
    """``object 1``, or without a number where there is only one; a point where none is reached."""
    if relay.num_desired > 1:
        return f"object {index}"
    return "object" if relay.reach else "point"


def point_name(relay: Relay, point: int) -> str:
    """``gripper``, or the object that the point is."""
    if relay.reach and point == 0:
        return "gripper"
    return object_name(relay, point - relay.reach)


def active_text(relay: Relay, subtask: int) -> str:
    """A subtask and its object, such as ``push_1: object 1 to its goal``."""
    link = relay.subtasks[subtask]
    name = object_name(relay, link.object)
    return f"{link.name}: gripper to {name}" if link.reach else f"{link.name}: {name} to its goal"
