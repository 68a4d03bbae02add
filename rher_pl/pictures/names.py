"""What points and objects of a relay are called in pictures."""

from __future__ import annotations

from rher_pl.look import Look
from rher_pl.relay import Relay


def object_name(relay: Relay, index: int, look: Look | None = None) -> str:
    """The task's name of an object; else ``object 1``, without a number if there is only one.

    In a task without reaching, a single object is called ``point``.
    """
    if look and look.objects:
        return look.objects[index]
    if relay.num_desired > 1:
        return f"object {index}"
    return "object" if relay.reach else "point"


def point_name(relay: Relay, point: int, look: Look | None = None) -> str:
    """``gripper``, or the name of the object at the point."""
    if relay.reach and point == 0:
        return "gripper"
    return object_name(relay, point - relay.reach, look)


def active_text(
    relay: Relay, subtask: int, look: Look | None = None, index: int | None = None
) -> str:
    """A subtask and its object, such as ``push_1: cube 1 to its goal``.

    Args:
        relay: the chain.
        subtask: index of the subtask.
        look: names of the objects.
        index: the object that it is about at present, where the order of the objects is free.
    """
    link = relay.subtasks[subtask]
    name = object_name(relay, link.object if index is None else index, look)
    return f"{link.name}: gripper to {name}" if link.reach else f"{link.name}: {name} to its goal"
