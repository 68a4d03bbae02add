"""The tasks that are known by a name."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import entry_points
from typing import Protocol

from rher_pl.envs.suite.registration import NAMESPACE
from rher_pl.errors import ConfigError, fault, warn
from rher_pl.suggest import did_you_mean
from rher_pl.tasks.task import Task

GROUP = "rher_pl.tasks"
_TASKS: dict[str, Task] = {}


def register_task(task: Task) -> None:
    """Make a task known by its name; a second registration of a name replaces the first."""
    _TASKS[task.name] = task


def known_tasks() -> list[str]:
    """Names of all registered tasks, sorted; those of installed packages too."""
    load_entry_points()
    return sorted(_TASKS)


@lru_cache(maxsize=1)
def load_entry_points() -> None:
    """Import what installed packages offer in the entry-point group ``rher_pl.tasks``: modules
    that register tasks. One that fails is reported and left out.
    """
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # another package's code may raise anything
            warn(f"{GROUP} of {point.value}: {fault(error)}")


class WrittenTask(Protocol):
    """A task that a config describes, in place of the name of one that is registered."""

    def task(self) -> Task:
        """The task; raises :class:`ConfigError` if it cannot be what the config says."""
        ...


def get_task(choice: str | WrittenTask) -> Task:
    """A registered task by its name, or one that a config describes.

    Args:
        choice: a name, with or without Gymnasium's namespace before it, or a description.

    Raises:
        ConfigError: names the nearest known tasks, or all of them.
    """
    if not isinstance(choice, str):
        return choice.task()
    short = choice.removeprefix(f"{NAMESPACE}/")
    if short not in _TASKS and short not in (known := known_tasks()):
        hint = did_you_mean(short, known, f"choose one of {', '.join(known)}", most=3)
        raise ConfigError(f"unknown task {choice!r:.40}: {hint}")
    return _TASKS[short]
