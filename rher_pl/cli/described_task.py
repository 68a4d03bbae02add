"""A task that a config describes, in the form of jsonargparse and in plain types."""

from __future__ import annotations

from typing import Any

from jsonargparse import Namespace

from rher_pl.checkpoints.info import CheckpointInfo
from rher_pl.gymnasium_task import GymnasiumTask, completed, from_checkpoint
from rher_pl.own_modules import import_path
from rher_pl.tasks import Task, get_task


def chosen_task(data: Namespace) -> Task:
    """The task that the options of the data module name or describe."""
    choice: Any = data.task
    if not isinstance(choice, str):
        choice = GymnasiumTask(**choice.init_args.as_dict())
    return get_task(choice).varied(data.epsilon, data.max_episode_steps)


def refuse_code(checkpoint: CheckpointInfo, given: Namespace) -> None:
    """Refuse a checkpoint that needs code of the user, unless the user names that code, too.

    Args:
        checkpoint: to continue or to evaluate.
        given: options that the user gave.
    """
    written, choice = checkpoint.entry.written, given.get("data.task")
    if written is None or (choice and as_plain(choice) == completed(written)):
        return
    from_checkpoint(written)


def as_plain(value: Any) -> Any:
    """An option in plain types, as a checkpoint keeps it."""
    if isinstance(value, type):
        return import_path(value)
    if not isinstance(value, Namespace) or "class_path" not in value:
        return value
    return completed({"init_args": value.init_args.as_dict()})


def as_written(value: Any) -> Any:
    """The inverse of :func:`as_plain`."""
    if not isinstance(value, dict) or "class_path" not in value:
        return value
    return Namespace(class_path=value["class_path"], init_args=Namespace(**value["init_args"]))
