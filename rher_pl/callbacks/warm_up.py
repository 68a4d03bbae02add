"""Compiles the update before the first iteration, in view of the user."""

from __future__ import annotations

import time

import lightning.pytorch as pl
from rich.console import Console

from rher_pl.module import RHERModule


class WarmUp(pl.Callback):
    """With ``model.compiled``: compile at the start of fit, and say how long it took.

    Without this callback the first update does it, silently.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        if not pl_module.hparams["compiled"]:
            return
        pl_module.on_fit_start()  # Lightning calls it after those of the callbacks
        console, begin = Console(), time.perf_counter()
        with console.status("compiling the update (kept in a cache for the next run)"):
            pl_module.warm_up(trainer.datamodule.batch_sizes)  # type: ignore[attr-defined]
        console.print(f"update compiled in {time.perf_counter() - begin:.0f} s")
