"""Compiles the update before the first iteration, and says so."""

from __future__ import annotations

import time

import lightning.pytorch as pl
from rich.console import Console

from rher_pl.training.module import RHERModule

WORTH_A_LINE = 1.0
"""Seconds; a line reports a compilation that took at least this long."""


class WarmUp(pl.Callback):
    """Compiles the update when fit begins, if its engine is compiled, and says how long it took.

    Without this callback the first update compiles it, silently.

    Args:
        console: where to write; standard output by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        begin = time.perf_counter()
        with self.console.status("compiling the update (kept in a cache for the next run)"):
            pl_module.warm_up(trainer.datamodule.batch_sizes)  # type: ignore[attr-defined]
        seconds = time.perf_counter() - begin
        if seconds >= WORTH_A_LINE:
            self.console.print(f"update compiled in {seconds:.0f} s")
