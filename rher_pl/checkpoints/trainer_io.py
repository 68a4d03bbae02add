"""How the trainer writes and reads checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
from lightning.fabric.plugins import CheckpointIO

from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint


class SealedCheckpointIO(CheckpointIO):
    """A plugin of the trainer; not in ``file.py``, because importing Lightning takes seconds."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        content = read_checkpoint_file(Path(path))
        # Lightning migrates checkpoints of its earlier versions, and needs the version for that.
        return {"pytorch-lightning_version": lightning.__version__} | content

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
