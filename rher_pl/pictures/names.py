"""What points and objects of a relay are called in pictures."""

from __future__ import annotations

from rher_pl.look import Look
from rher_pl.relay.chain import Relay


def object_name(relay: Relay, index: int, look: Look | None = None) -> str:
    """As the task calls it; else ``object 1``, without a number where there is only one.

    A task without reaching brings a ``point``.
    """
    if look and look.objects:
        return look.objects[index]
    if relay.num_desired > 1:
        return f"object {index}"
    return "object" if relay.reach else "point"


def point_name(relay: Relay, point: int, look: Look | None = None) -> str:
    """``gripper``, or the object that the point is."""
    if relay.reach and point == 0:
        return "gripper"
    return object_name(relay, point - relay.reach, look)


def active_text(relay: Relay, subtask: int, look: Look | None = None) -> str:
    """A subtask and its object, such as ``push_1: cube 1 to its goal``."""
    link = relay.subtasks[subtask]
    name = object_name(relay, link.object, look)
    return f"{link.name}: gripper to {name}" if link.reach else f"{link.name}: {name} to its goal"
