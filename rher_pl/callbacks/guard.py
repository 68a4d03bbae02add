"""Stops a run at the first NaN or infinite value."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn
from tensordict import TensorDictBase
from torch import Tensor

from rher_pl.callbacks.checkpoint import checkpoint_folder
from rher_pl.errors import TrainingError
from rher_pl.training.module import RHERModule


class FiniteGuard(pl.Callback):
    """Raises :class:`TrainingError` on NaN or Inf in observations, losses or other metrics.

    New episodes are checked before the module takes them in, so that the checkpoint saved then has
    a normaliser without NaN and Inf.
    """

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        episodes: TensorDictBase = batch["episodes"]
        self._check(trainer, pl_module, episodes.items())

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, RHERModule)
        self._check(trainer, pl_module, pl_module.metrics.items())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            assert isinstance(pl_module, RHERModule)
            self._check(trainer, pl_module, pl_module.metrics_eval.items())

    def _check(
        self, trainer: pl.Trainer, module: pl.LightningModule, values: Iterable[tuple[str, Tensor]]
    ) -> None:
        for name, value in values:
            if value.is_floating_point() and not torch.isfinite(value).all():
                self._stop(trainer, module, name, value)

    def _stop(
        self, trainer: pl.Trainer, module: pl.LightningModule, name: str, value: Tensor
    ) -> None:
        assert isinstance(module, RHERModule)
        kind = "NaN" if torch.isnan(value).any() else "Inf"
        path = Path(checkpoint_folder(trainer)) / "not_finite.ckpt"
        try:
            trainer.save_checkpoint(path, weights_only=False)
            saved = f"checkpoint saved to {path}"
        except OSError as error:
            saved = f"its state could not be saved ({error.strerror or error})"
        iteration = trainer.fit_loop.epoch_loop.total_batch_idx
        raise TrainingError(
            f"{kind} in {name} at iteration {iteration} ({module.env_steps} env steps, "
            f"{module.updates} updates): stopped, {saved}"
        )
