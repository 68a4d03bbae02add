"""What a benchmark keeps: one line for each evaluation, taken from the checkpoints of its runs."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.learning.settings import Settings

Record = dict[str, Any]
"""One evaluation: ``task``, ``seed``, ``env_steps``, ``updates``, ``seconds`` (wall-clock since the
first iteration began), ``success`` (over all episodes), ``success_not_solved_at_reset``,
``success_per_subtask``, ``commit``, ``metrics`` (of training: means since the evaluation before).
``versions`` stand in the first record of a seed, and where they change."""

SUBTASK = "eval/success/"
LIFTED = (
    "env_steps",
    "perf/updates",
    "perf/seconds",
    "eval/success",
    "eval/success_not_solved_at_reset",
)
"""Metrics that have a key of their own in a record, as the success of each subtask has."""


class Records:
    """``records.jsonl`` and ``settings.yaml`` in a folder of results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "records.jsonl"

    @property
    def settings(self) -> Settings:
        """Settings that the records were made with; empty without ``settings.yaml``."""
        path = self.folder / "settings.yaml"
        return yaml.safe_load(path.read_text()) if path.is_file() else {}

    def read(self, seed: int | None = None) -> list[Record]:
        """All records, or those of one seed, in the order of seeds and env steps."""
        if not self.path.is_file():
            return []
        records = [json.loads(line) for line in self.path.read_text().splitlines()]
        mine = [record for record in records if seed is None or record["seed"] == seed]
        return sorted(mine, key=lambda record: (record["seed"], record["env_steps"]))

    def update(self, seed: int, made: Sequence[Record], settings: Settings) -> None:
        """Make the records of a seed those of its run; one that was written before stays as it is.

        Records that the run does not have any more are removed, as it makes them again.
        """
        with self._locked():
            before = {record["env_steps"]: record for record in self.read(seed)}
            others = [record for record in self.read() if record["seed"] != seed]
            mine = [before.get(record["env_steps"], record) for record in made]
            told = None
            for record in mine:  # versions once, and where they change
                if record.get("versions") == told:
                    record.pop("versions", None)
                told = record.get("versions", told)
            lines = [json.dumps(record, allow_nan=False) for record in [*others, *mine]]
            _replace(self.folder / "settings.yaml", yaml.safe_dump(settings, sort_keys=False))
            _replace(self.path, "".join(f"{line}\n" for line in lines))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Several processes may write: the folder is locked, as the files are replaced."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def read_run(checkpoint: Path, labels: Mapping[str, Any]) -> list[Record]:
    """The evaluations of a run up to its checkpoint, as records.

    Args:
        checkpoint: of the run; it holds the history of evaluations.
        labels: ``seed``, ``commit`` and ``versions`` of all of them.

    Raises:
        ConfigError: if the checkpoint cannot be read.
    """
    from rher_pl.checkpoints.file import read_checkpoint_file
    from rher_pl.checkpoints.history import history_of
    from rher_pl.checkpoints.layout import read_entry

    content = read_checkpoint_file(checkpoint)
    task = read_entry(content, str(checkpoint)).task
    return [make_record(row, task, labels) for row in history_of(content)]


def make_record(row: Mapping[str, float], task: str, labels: Mapping[str, Any]) -> Record:
    """The record of one evaluation, from the metrics ``row`` that its run had then."""
    return {
        "task": task,
        "seed": labels["seed"],
        "env_steps": int(row["env_steps"]),
        "updates": int(row.get("perf/updates", 0)),
        "seconds": round(row["perf/seconds"], 1),
        "success": _short(row["eval/success"]),
        "success_not_solved_at_reset": _short(row["eval/success_not_solved_at_reset"]),
        "success_per_subtask": {
            name.removeprefix(SUBTASK): _short(value)
            for name, value in row.items()
            if name.startswith(SUBTASK)
        },
        "commit": labels["commit"],
        "versions": labels["versions"],
        "metrics": {
            name: _short(value)
            for name, value in sorted(row.items())
            if name not in LIFTED and not name.startswith(SUBTASK)
        },
    }


def _short(value: float) -> float | None:
    """Four significant digits; JSON has no NaN or infinity, null stands for them."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _replace(path: Path, text: str) -> None:
    """Write a file in one step: readers see the old one or the new one."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    os.replace(draft, path)
