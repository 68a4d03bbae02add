"""The evaluations of a run, read from its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rher_pl.checkpoints.file import read_checkpoint_file
from rher_pl.checkpoints.layout import CALLBACKS, RECORDER

Row = dict[str, float]
"""One evaluation: ``env_steps``, and metrics by name."""


def history_of(content: Mapping[str, Any]) -> list[Row]:
    """Evaluations in a checkpoint, first to last; empty if the run was not recorded."""
    recorder = content.get(CALLBACKS, {}).get(RECORDER, {})
    return [dict(row) for row in recorder.get("history", [])]


def read_history(path: Path) -> list[Row]:
    """Evaluations in a checkpoint file, first to last; see :func:`history_of`.

    Raises:
        ConfigError: if it cannot be read.
    """
    return history_of(read_checkpoint_file(path))
