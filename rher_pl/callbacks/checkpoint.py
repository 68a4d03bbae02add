"""Which checkpoints a run keeps: the best one and the last one."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from rher_pl.callbacks.recording import find_recorder

MONITOR = "eval/success_not_solved_at_reset"


def checkpoint_folder(trainer: pl.Trainer) -> str:
    """Where the run's checkpoints go: the recorder's folder for them, else ``mlruns``."""
    recorder = find_recorder(trainer)
    return recorder.checkpoint_folder if recorder else "mlruns/checkpoints/unrecorded"


class _RunCheckpoint(ModelCheckpoint):
    """Saves after an evaluation, into a folder that is known once the run is."""

    def __init__(self, filename: str, monitor: str | None) -> None:
        super().__init__(
            filename=filename,
            monitor=monitor,
            mode="max",
            save_top_k=1,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            self.dirpath = checkpoint_folder(trainer)
            super().setup(trainer, pl_module, stage)


class BestCheckpoint(_RunCheckpoint):
    """``best.ckpt``: the highest success over episodes that did not start solved.

    Of evaluations that tie, the latest is kept: it has learned for longer.
    """

    def __init__(self) -> None:
        super().__init__("best", MONITOR)

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        if super().check_monitor_top_k(trainer, current):
            return True
        best = self.best_model_score
        return current is not None and best is not None and bool(torch.eq(current, best))


class LastCheckpoint(_RunCheckpoint):
    """``last.ckpt``: the state after the latest evaluation, the one to continue from."""

    def __init__(self) -> None:
        super().__init__("last", None)
