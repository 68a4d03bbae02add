"""Builds the update before the first iteration, in view of the user."""

from __future__ import annotations

import time

import lightning.pytorch as pl
from rich.console import Console

from rher_pl.learner.engine import Engine
from rher_pl.training.module import RHERModule

WORTH_A_LINE = 1.0
"""Seconds of waiting that are told."""


class WarmUp(pl.Callback):
    """Where machine code is made for the update: do so when fit begins, and say how long it took.

    Without this callback the first update does it, silently.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        console, begin = Console(), time.perf_counter()
        with console.status("compiling the update (kept in a cache for the next run)"):
            if pl_module.engine == Engine.plain:
                return
            pl_module.on_fit_start()  # Lightning calls it after those of the callbacks
            pl_module.warm_up(trainer.datamodule.batch_sizes)  # type: ignore[attr-defined]
        seconds = time.perf_counter() - begin
        if seconds >= WORTH_A_LINE:
            console.print(f"update compiled in {seconds:.0f} s")
