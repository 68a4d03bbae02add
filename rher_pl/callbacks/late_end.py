"""The end of a run that was stopped between its last epoch and its end."""

from __future__ import annotations

import lightning.pytorch as pl

from rher_pl.callbacks.trained_model import ModelRecorder
from rher_pl.callbacks.until import UntilSolved
from rher_pl.callbacks.video import VideoRecorder
from rher_pl.training.module import RHERModule

AT_THE_END = (UntilSolved, VideoRecorder, ModelRecorder)
"""Callbacks that record when training ends."""


class LateEnd(pl.Callback):
    """Ends a run that is continued with nothing left to train.

    Lightning then skips training, and with it what callbacks do at its end: fresh episodes, video,
    the policy as a model. The policy is evaluated and they do it now. Put it before the callbacks
    that end the record.
    """

    def __init__(self) -> None:
        self.began = False
        """Whether such an end has begun."""
        self._trained = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._trained = True

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._trained or not trainer.limit_val_batches:
            return
        assert isinstance(pl_module, RHERModule)
        self.began = True
        batch = trainer.datamodule.val_dataloader().batch  # type: ignore[attr-defined]
        pl_module.evaluations = pl_module.evaluate(batch.env, batch.seeds)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, AT_THE_END):
                callback.on_train_end(trainer, pl_module)
