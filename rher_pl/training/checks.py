"""What a trainer must be like."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor
from lightning.pytorch.strategies import SingleDeviceStrategy

from rher_pl.errors import require
from rher_pl.learner.precision import PRECISIONS

NEED_A_LOGGER = (LearningRateMonitor, DeviceStatsMonitor)
"""Callbacks that Lightning refuses only in mid-run if there is none."""


def check_trainer(trainer: pl.Trainer) -> None:
    """One process, in a precision that the learner computes in.

    Several would each train a copy of their own and evaluate it on a share of the episodes.

    Raises:
        ConfigError: if it is otherwise.
    """
    single = isinstance(trainer.strategy, SingleDeviceStrategy) and trainer.num_nodes == 1
    require(
        single,
        "a run trains in one process on one device: write --trainer.devices 1 and leave out "
        "trainer.num_nodes and trainer.strategy; several seeds are several runs",
    )
    require(
        str(trainer.precision) in PRECISIONS,
        f"trainer.precision {trainer.precision!s:.40} is not computed in: write one of "
        f"{', '.join(PRECISIONS)}",
    )
    require(
        trainer.limit_train_batches != 0,
        "trainer.limit_train_batches 0 trains nothing: leave it out, or evaluate a checkpoint with "
        "python -m rher_pl.fit test --ckpt_path FILE",
    )


def check_loggers(trainer: pl.Trainer) -> None:
    """Callbacks that write to a logger have one.

    Raises:
        ConfigError: names the first that has none.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    needy = [type(each).__name__ for each in callbacks if isinstance(each, NEED_A_LOGGER)]
    require(
        not needy or bool(trainer.loggers),
        f"{', '.join(needy)} writes to a logger: add --trainer.logger CSVLogger "
        "--trainer.logger.save_dir logs",
    )
