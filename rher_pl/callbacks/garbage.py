"""Python's garbage collector, off while a run starts."""

from __future__ import annotations

import gc

import lightning.pytorch as pl


class GarbageCollection(pl.Callback):
    """Turns the collector on when training starts; ``fit.py`` turned it off.

    What was made before is frozen until the command ends: it is not walked through again.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        gc.freeze()
        gc.enable()
