"""The end of a run that was stopped between its last epoch and its end."""

from __future__ import annotations

import lightning.pytorch as pl

from rher_pl.callbacks.recording import find_run
from rher_pl.errors import say
from rher_pl.training.module import RHERModule


class LateEnd(pl.Callback):
    """Ends a run that is continued with nothing left to train.

    Lightning then skips training, and with it what callbacks do at its end: fresh episodes, video,
    the policy as a model. If the run has not ended in order before, the policy is evaluated and
    they do it now. Put it before the callbacks that end the record.
    """

    def __init__(self) -> None:
        self._trained = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._trained = True

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._trained:
            return
        if (run := find_run(trainer)) and run.finished:
            say("this run is finished: to train on, raise trainer.max_epochs or until.success")
            return
        assert isinstance(pl_module, RHERModule)
        batch = trainer.datamodule.val_dataloader().batch  # type: ignore[attr-defined]
        pl_module.evaluations = pl_module.evaluate(batch.env, batch.seeds)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            callback.on_train_end(trainer, pl_module)
