"""How fast a run goes and how far it is, as metrics of the module."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
import torch

from rher_pl.training.module import RHERModule


class Throughput(pl.Callback):
    """Adds ``perf/*`` to ``module.metrics`` after each iteration.

    ``perf/seconds`` is wall-clock since the run's first iteration began, evaluations included; a
    resumed run goes on from where it stopped. Rates are those of the latest iteration. Put it
    before the callbacks that read ``module.metrics``.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._earlier = 0.0
        self._begin: float | None = None

    @property
    def began(self) -> bool:
        """Whether training has begun."""
        return self._begin is not None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._earlier, self._begin = self.seconds, time.perf_counter()
        self._start_iteration(pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start_iteration(pl_module)  # checkpoints, videos and so on are no part of it

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, RHERModule)
        self._update_seconds()
        elapsed = max(time.perf_counter() - self._iteration_begin, 1e-9)
        values = {
            "perf/seconds": self.seconds,
            "perf/updates": pl_module.updates,
            "perf/env_steps_per_second": (pl_module.env_steps - self._env_steps) / elapsed,
            "perf/updates_per_second": (pl_module.updates - self._updates) / elapsed,
        }
        pl_module.metrics |= {
            name: torch.tensor(float(value), dtype=torch.float64) for name, value in values.items()
        }
        self._start_iteration(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._begin is not None:
            self._update_seconds()
            self._start_iteration(pl_module)

    def _start_iteration(self, module: pl.LightningModule) -> None:
        assert isinstance(module, RHERModule)
        self._iteration_begin = time.perf_counter()
        self._env_steps, self._updates = module.env_steps, module.updates

    def _update_seconds(self) -> None:
        assert self._begin is not None
        self.seconds = self._earlier + time.perf_counter() - self._begin

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = state_dict["seconds"]
