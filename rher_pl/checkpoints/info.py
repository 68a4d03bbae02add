"""What a checkpoint says about the run that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rher_pl.checkpoints.file import read_checkpoint_file
from rher_pl.checkpoints.layout import (
    CALLBACKS,
    DATA,
    HEADER,
    NUMERICS,
    OPTIMIZERS,
    RECORDER,
    REPLAY,
    TENSORS,
    UNTIL,
    Entry,
    read_entry,
    read_numerics,
)
from rher_pl.checkpoints.policy import model_options, require_finite
from rher_pl.checkpoints.section import Section
from rher_pl.choices import LINKED
from rher_pl.gymnasium_task import completed


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about the run that wrote it.

    Args:
        path: of the checkpoint.
        entry: what is trained, and how far training has come.
        options: command line options by dotted name, with the values it was made with.
        shapes: of the module's tensors, by name.
        run_id: MLflow run that it belongs to, or None.
        versions: of the packages that wrote it, by name.
        numerics: what rounding depended on (precision, device, threads, engine), by name.
        format: number of the file's format; a run in an earlier one cannot be continued.
        has_training_state: whether replay and optimizers are in it; evaluating needs neither.
        epochs, iterations: how many were trained.
        solved_by: what ended the run, as ``UntilSolved.rule`` says; None if it was not solved.
    """

    path: str
    entry: Entry
    options: dict[str, Any]
    shapes: dict[str, torch.Size]
    run_id: str | None
    versions: dict[str, str]
    numerics: dict[str, str]
    format: int
    has_training_state: bool
    epochs: int = 0
    iterations: int = 0
    solved_by: tuple[float | None, ...] | None = None


def read_info(path: str) -> CheckpointInfo:
    """Look into a checkpoint, without running code from it.

    Raises:
        ConfigError: if there is none, if it is damaged, or if another program wrote it.
    """
    return make_info(read_checkpoint_file(Path(path)), path)


def make_info(content: Mapping[str, Any], path: str) -> CheckpointInfo:
    """The information in a content that was read from ``path``."""
    source = f"checkpoint {path}"
    whole = Section(content, "", source)
    entry, numerics = read_entry(content, source), read_numerics(content, source)
    header = whole.section(HEADER)
    recorder = whole.section(CALLBACKS, optional=True).section(RECORDER, optional=True)
    tensors = whole.section(TENSORS).all_tensors()
    require_finite(tensors, source)
    return CheckpointInfo(
        path=path,
        entry=entry,
        options=_options(whole) | {"data.task": _task_of(entry)},
        shapes={name: value.shape for name, value in tensors.items()},
        run_id=recorder.text("run_id") if recorder.values.get("run_id") is not None else None,
        versions=header.section("versions").all_texts(),
        numerics=numerics,
        format=header.count("upgraded_from" if "upgraded_from" in header else "format"),
        has_training_state=OPTIMIZERS in whole and REPLAY in whole,
        epochs=_epochs(whole),
        iterations=whole.count("global_step") if "global_step" in whole else 0,
        solved_by=_solved_by(whole),
    )


def _epochs(whole: Section) -> int:
    loop = whole.section("loops", optional=True).section("fit_loop", optional=True)
    epochs = loop.section("epoch_progress", optional=True).section("current", optional=True)
    return epochs.count("processed") if "processed" in epochs else 0


def _solved_by(whole: Section) -> tuple[float | None, ...] | None:
    until = whole.section(CALLBACKS, optional=True).section(UNTIL, optional=True)
    solved = "solved" in until and until.plain("solved") is True
    rule = until.plain("rule") if solved else None
    return tuple(rule) if isinstance(rule, list) else None


def _task_of(entry: Entry) -> Any:
    return entry.task if entry.written is None else completed(entry.written)


def made_with(content: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Options of the run that wrote a content, by dotted name."""
    return _options(Section(content, "", source))


def _options(whole: Section) -> dict[str, Any]:
    numerics = whole.section(NUMERICS, optional=True).all_texts()
    data = whole.section(DATA, optional=True).all_plain()
    return dotted(model_options(whole), data, numerics.get("precision"))


def dotted(
    model: Mapping[str, Any], data: Mapping[str, Any], precision: object = None
) -> dict[str, Any]:
    """Options of module and data module by dotted name; those in ``LINKED`` by their source's."""
    options = {f"model.{key}": value for key, value in model.items()}
    options |= {f"data.{key}": value for key, value in data.items()}
    for linked, source in LINKED.items():  # a file cut down to its policy has no data module
        if linked in options:
            options.setdefault(source, options.pop(linked))
    if precision is not None:
        options["trainer.precision"] = precision
    if "seed" in data:
        options["seed_everything"] = data["seed"]
    return options
