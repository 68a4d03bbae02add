"""One link of the chain, and what a task's objects are called."""

from __future__ import annotations

from typing import NamedTuple


class Subtask(NamedTuple):
    """One link of the chain: reach an object with the gripper, or bring it to its goal.

    Args:
        name: as it appears in metrics (``eval/success/<name>``).
        object: index of the object.
        reach: whether the gripper is to reach the object; else the object is to be brought.
    """

    name: str
    object: int
    reach: bool


def chain(
    objects: tuple[str, ...], order: tuple[int, ...], reach: bool, last_only: bool
) -> tuple[Subtask, ...]:
    """All links, first to last.

    Args:
        objects: name of the bring-subtask of each object.
        order: indices of the objects as they are worked on.
        reach: whether each object is reached before it is brought.
        last_only: keep the last link alone.
    """
    links: list[Subtask] = []
    for index in order:
        if reach:
            name = "reach" if len(objects) == 1 else f"reach_{index}"
            links.append(Subtask(name, index, True))
        links.append(Subtask(objects[index], index, False))
    return tuple(links[-1:] if last_only else links)
