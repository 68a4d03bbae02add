"""The job by ``python -m rher_pl.fit``, as a user starts it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import lightning.pytorch as pl

from rher_pl.callbacks.until import UntilSolved
from rher_pl.training.module import RHERModule


class Finish(pl.Callback):
    """Writes a line for each evaluation, as ``benchmarks.whole_job.sb3`` does.

    Args:
        path: JSON lines to write.
        begin: seconds since the epoch at which the command was started.
        limit: seconds after which training ends.
    """

    def __init__(self, path: str, begin: float, limit: float) -> None:
        self.path, self.begin, self.limit = Path(path), begin, limit

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        until = next(c for c in trainer.callbacks if isinstance(c, UntilSolved))  # type: ignore[attr-defined]
        played = [*until.fresh.values()] if until.played_at == pl_module.env_steps else []
        fresh = [task["success"].float().mean().item() for task in played[-1:]]
        line = {
            "env_steps": pl_module.env_steps,
            "updates": pl_module.updates,
            "seconds": time.time() - self.begin,
            "success": float(pl_module.metrics_eval["eval/success"]),
            "fresh": fresh,
            "done": until.solved,
        }
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if time.time() - self.begin > self.limit:
            trainer.should_stop = True
