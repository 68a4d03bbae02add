"""Whether a checkpoint can be continued or evaluated under the options that were given.

Each check raises :class:`ConfigError` with one line that says what to write instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rher_pl.checkpoints.continuing import require_unchanged
from rher_pl.checkpoints.file import versions
from rher_pl.checkpoints.info import CheckpointInfo
from rher_pl.checkpoints.layout import FORMAT
from rher_pl.choices import RelayMode
from rher_pl.errors import require, warn
from rher_pl.tasks import Task

DATA_OPTIONS = ("reached_distance", "reward_radius")
"""Fields of a relay that options of the data module set; they may change from run to run."""
ABSENT = {"any_order": False, "lowest": None}
"""What is true of a relay that an earlier version wrote without these fields."""


def check_task(info: CheckpointInfo, task: Task) -> None:
    """Require the task that the checkpoint was made with, unchanged.

    Args:
        info: of the checkpoint.
        task: of the config.
    """
    entry = info.entry
    require(
        entry.task == task.name,
        f"checkpoint {info.path} is of task {entry.task}, but the config says {task.name}: "
        f"use a config with data.task {entry.task}, or another checkpoint",
    )
    mode = RelayMode(info.options.get("data.relay", RelayMode.full))
    relay = task.trained_relay(mode).to_dict()
    for what, before, now in (
        ("relay", _without_options(ABSENT | dict(entry.relay)), _without_options(relay)),
        ("layout of observations", entry.layout, task.layout.to_list()),
        ("number of actions", entry.action_size, task.action_size),
    ):
        require(
            before == now,
            f"checkpoint {info.path} has another {what} than {task.name} has here: "
            "use the version of rher_pl, or of the task, that wrote it",
        )


def _without_options(relay: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in relay.items() if name not in DATA_OPTIONS}


def what_ends(info: CheckpointInfo, config: Any) -> str | None:
    """What to change to train on, if nothing is left to train under a config; else None."""
    trainer, until = config.trainer, config.until
    if info.solved_by == (until.success, until.evaluations, until.episodes):
        return "to train on, raise until.success, or write null"
    if 0 < (trainer.max_epochs or -1) <= info.epochs:
        return "to train on, raise trainer.max_epochs"
    if 0 < trainer.max_steps <= info.iterations:
        return "to train on, raise trainer.max_steps"
    return None


def check_can_continue(info: CheckpointInfo) -> None:
    """Require a whole training state in the format of this version."""
    require(
        info.has_training_state,
        f"checkpoint {info.path} holds no replay or optimizers and can be evaluated, not "
        "continued: give --ckpt_path the last.ckpt of a run",
    )
    require(
        info.format == FORMAT,
        f"checkpoint {info.path} is of rher_pl {info.versions.get('rher_pl', '0.1')} and can be "
        "evaluated and exported, not continued, as episodes are seeded otherwise since 0.2: "
        "leave out --ckpt_path to begin a new run",
    )


def check_options(info: CheckpointInfo, options: Mapping[str, Any], command: str) -> None:
    """Refuse other values of options that are fixed in the checkpoint.

    Args:
        info: of the checkpoint.
        options: asked for, by dotted name.
        command: ``fit``; for any other only the options of model and relay matter.
    """
    sections = ("",) if command == "fit" else ("model.", "data.relay")
    for section in sections:
        require_unchanged(info.options, options, f"checkpoint {info.path}", section)


def check_shapes(info: CheckpointInfo, shapes: Mapping[str, torch.Size]) -> None:
    """Require networks of the sizes that the checkpoint has.

    Args:
        info: of the checkpoint.
        shapes: of the new module's tensors, by name; the checkpoint of a policy has some of them.
    """
    require(
        info.shapes.items() <= shapes.items(),
        f"checkpoint {info.path} holds networks of other sizes: use the version of "
        "rher_pl that wrote it",
    )


def warn_of_versions(info: CheckpointInfo) -> None:
    """Warn of packages in other versions than those that wrote the checkpoint."""
    here = versions()
    other = {name: was for name, was in info.versions.items() if here.get(name, was) != was}
    if other:
        pairs = ", ".join(f"{name} {was} (here {here[name]})" for name, was in other.items())
        warn(f"checkpoint {info.path} was made with {pairs}: results may differ")
