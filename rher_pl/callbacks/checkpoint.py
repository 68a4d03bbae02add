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
from rher_pl.callbacks.until import UntilSolved
from rher_pl.checkpoints.file import link_checkpoint
from rher_pl.checkpoints.layout import NUMERICS, read_numerics
from rher_pl.errors import warn
from rher_pl.training.module import RHERModule

MONITOR = "eval/success_not_solved_at_reset"


def checkpoint_folder(trainer: pl.Trainer) -> str:
    """Where the run's checkpoints go: the recorder's folder for them, else one in ``mlruns``."""
    recorder = find_recorder(trainer)
    return recorder.checkpoint_folder if recorder else "mlruns/checkpoints/unrecorded"


class Checkpoints(Checkpoint):
    """Saves ``last.ckpt`` after every epoch, to continue from, and ``best.ckpt``.

    The best one has the highest success over evaluation episodes that did not start solved; among
    equal ones the latest, as it has learned for longer. If fresh episodes end the run, it is the
    one that played them. It is a hard link to the ``last.ckpt`` of its epoch and takes no space of
    its own. ``previous.ckpt`` is the checkpoint before the last.

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

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.best.is_file() and self.last.is_file():
            newer = self.best.stat().st_mtime_ns > self.last.stat().st_mtime_ns
            if newer and Path(str(trainer.ckpt_path)).resolve() == self.best.resolve():
                link_checkpoint(self.best, self.last.name)  # a crash came before it

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if before := self._numerics_before:  # the engine is chosen only now
            warn_of_numerics(before, numerics(trainer))
        if not self.best.exists():  # the best score was of the run that this one continues
            self.best_score = -math.inf
        if not self.last.exists():  # from here on there is always one to continue from
            self.save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._score = float(pl_module.metrics_eval[MONITOR])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        before, score = self.best_score, self._score
        solved = any(isinstance(each, UntilSolved) and each.solved for each in trainer.callbacks)  # type: ignore[attr-defined]
        improved = score > -math.inf and (solved or score >= before)
        self.best_score, self._score = score if improved else before, -math.inf
        if not self.save(trainer, best=improved):
            self.best_score = before

    def save(self, trainer: pl.Trainer, best: bool = False) -> bool:
        """Write ``last.ckpt``, and keep the one before as ``previous.ckpt``.

        Args:
            trainer: that saves.
            best: also make it ``best.ckpt``.

        Returns:
            Whether the state was written, under one name at least.
        """
        written = False
        try:
            if self.last.exists():
                link_checkpoint(self.last, "previous.ckpt")
            # The best one first: after a crash in between, it is the newest and will be continued.
            trainer.save_checkpoint(self.best if best else self.last, weights_only=False)
            written = True
            if best:
                link_checkpoint(self.best, self.last.name)
        except OSError as error:
            kept = f"the earlier {self.last} stays" if self.last.exists() else "there is none yet"
            reason = error.strerror or str(error)
            warn(f"checkpoint not saved ({reason}): {kept}")
        return written

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
    """What the rounding of results depends on, besides the package versions."""
    module = trainer.lightning_module
    assert isinstance(module, RHERModule)
    return {
        "threads": str(torch.get_num_threads()),
        "precision": str(trainer.precision),
        "device": trainer.strategy.root_device.type,
        "engine": module.td3.engine.value,
    }


def warn_of_numerics(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Warn if a run continues with other numerics than before, which changes rounding."""
    other = [f"{k} {before.get(k)} (now {v})" for k, v in now.items() if before.get(k) != v]
    if other:
        warn(f"continuing, but not bit for bit as before: {', '.join(other)}")
