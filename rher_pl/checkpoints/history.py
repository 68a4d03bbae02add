"""The evaluations of a run, as its checkpoint has them."""

from __future__ import annotations

from pathlib import Path

from rher_pl.checkpoints.file import read_checkpoint_file
from rher_pl.checkpoints.layout import CALLBACKS, RECORDER

Row = dict[str, float]
"""One evaluation: ``env_steps``, and metrics by name."""


def read_history(path: Path) -> list[Row]:
    """Evaluations up to a checkpoint, first to last; none of a run that was not recorded.

    Raises:
        ConfigError: if it cannot be read.
    """
    callbacks = read_checkpoint_file(path).get(CALLBACKS, {})
    return [dict(row) for row in callbacks.get(RECORDER, {}).get("history", [])]
