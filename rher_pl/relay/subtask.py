"""One subtask of a relay, and the chain of all subtasks of a task."""

from __future__ import annotations

from typing import NamedTuple


class Subtask(NamedTuple):
    """One subtask of the chain: reach an object with the gripper, or bring it to its goal.

    Args:
        name: as it appears in metrics (``eval/success/<name>``).
        object: index of the object.
        reach: whether it reaches the object; otherwise it brings the object.
    """

    name: str
    object: int
    reach: bool


def chain(
    objects: tuple[str, ...], order: tuple[int, ...], reach: bool, last_only: bool
) -> tuple[Subtask, ...]:
    """All subtasks, first to last.

    Args:
        objects: name of the bring-subtask of each object.
        order: indices of the objects in the order in which they are worked on.
        reach: whether each object is reached before it is brought.
        last_only: keep the last subtask alone.
    """
    links: list[Subtask] = []
    for index in order:
        if reach:
            name = "reach" if len(objects) == 1 else f"reach_{index}"
            links.append(Subtask(name, index, True))
        links.append(Subtask(objects[index], index, False))
    return tuple(links[-1:] if last_only else links)
