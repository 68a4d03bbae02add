"""Which checkpoints a run keeps: the best one and the last one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from rher_pl.callbacks.recording import find_recorder
from rher_pl.checkpoints.file import link_checkpoint
from rher_pl.checkpoints.layout import NUMERICS, read_numerics
from rher_pl.errors import warn
from rher_pl.training.module import RHERModule

MONITOR = "eval/success_not_solved_at_reset"


def checkpoint_folder(trainer: pl.Trainer) -> str:
    """Where the run's checkpoints go: the recorder's folder for them, else ``mlruns``."""
    recorder = find_recorder(trainer)
    return recorder.checkpoint_folder if recorder else "mlruns/checkpoints/unrecorded"


class Checkpoints(Checkpoint):
    """``last.ckpt`` after every epoch, the one to continue from, and ``best.ckpt``.

    The best has the highest success over episodes that did not start solved; of evaluations that
    tie, the latest is kept, as it has learned for longer. It is a second name of the file that was
    ``last.ckpt`` then, so that it costs nothing; ``previous.ckpt`` is the one before the last.

    A checkpoint that cannot be written is reported, the one before stays, and the run goes on.
    """

    def __init__(self) -> None:
        self.folder = Path()
        self.best_score = -math.inf
        self._score = -math.inf
        self._numerics_before: dict[str, str] = {}

    @property
    def last(self) -> Path:
        return self.folder / "last.ckpt"

    @property
    def best(self) -> Path:
        return self.folder / "best.ckpt"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            self.folder = Path(checkpoint_folder(trainer))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if before := self._numerics_before:  # the engine is chosen only now
            warn_of_numerics(before, numerics(trainer))
        if not self.best.exists():  # the best of the run that this one continues is its own
            self.best_score = -math.inf
        if not self.last.exists():  # from here on there is always one to continue from
            self.save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        if trainer.state.fn == TrainerFn.FITTING:
            self._score = float(pl_module.metrics_eval[MONITOR])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        before, score = self.best_score, self._score
        improved = score > -math.inf and score >= before
        self.best_score, self._score = max(before, score), -math.inf
        if not self.save(trainer, best=improved):
            self.best_score = before

    def save(self, trainer: pl.Trainer, best: bool = False) -> bool:
        """Write ``last.ckpt``, also as the best, and keep the one before; whether it succeeded."""
        try:
            if self.last.exists():
                link_checkpoint(self.last, "previous.ckpt")
            trainer.save_checkpoint(self.last, weights_only=False)
            if best:
                link_checkpoint(self.last, self.best.name)
        except OSError as error:
            kept = (
                f"{self.last} of an earlier time stays" if self.last.exists() else "there is none"
            )
            reason = error.strerror or str(error)
            warn(f"checkpoint not saved ({reason}): {kept}")
            return False
        return True

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[NUMERICS] = numerics(trainer)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._numerics_before = read_numerics(checkpoint, "the checkpoint")

    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_score = state_dict["best_score"]


def numerics(trainer: pl.Trainer) -> dict[str, str]:
    """What rounding depends on, besides the versions."""
    module = trainer.lightning_module
    assert isinstance(module, RHERModule)
    return {
        "threads": str(torch.get_num_threads()),
        "precision": str(trainer.precision),
        "device": trainer.strategy.root_device.type,
        "engine": module.td3.engine.value,
    }


def warn_of_numerics(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """One line on stderr, if a run goes on under other rounding than it was stopped with."""
    other = [f"{k} {before.get(k)} (now {v})" for k, v in now.items() if before.get(k) != v]
    if other:
        warn(f"not bit for bit the run that was stopped: {', '.join(other)}")
