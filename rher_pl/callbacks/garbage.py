"""Python's garbage collector, off while a run starts."""

from __future__ import annotations

import gc

import lightning.pytorch as pl


class GarbageCollection(pl.Callback):
    """Turns the collector on when training starts; ``fit.py`` turned it off.

    Objects made before are frozen until the command ends: the collector skips them.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        gc.freeze()
        gc.enable()
