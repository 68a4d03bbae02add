"""Checks of the Lightning trainer."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor
from lightning.pytorch.strategies import SingleDeviceStrategy

from rher_pl.errors import require
from rher_pl.learner.precision import PRECISIONS

NEED_A_LOGGER = (LearningRateMonitor, DeviceStatsMonitor)
"""Callbacks that need a logger; without one, Lightning refuses them only during the run."""


def check_trainer(trainer: pl.Trainer) -> None:
    """Require one process on one device, a supported precision, and batches to train on.

    Several processes would each train a copy of their own, evaluated on a share of the episodes.

    Raises:
        ConfigError: names what to write instead.
    """
    single = isinstance(trainer.strategy, SingleDeviceStrategy) and trainer.num_nodes == 1
    require(
        single,
        "a run trains in one process on one device: write --trainer.devices 1 and leave out "
        "trainer.num_nodes and trainer.strategy; several seeds are several runs",
    )
    require(
        str(trainer.precision) in PRECISIONS,
        f"trainer.precision {trainer.precision!s:.40} is not supported: write one of "
        f"{', '.join(PRECISIONS)}",
    )
    require(
        trainer.limit_train_batches != 0,
        "trainer.limit_train_batches 0 trains nothing: leave it out, or evaluate a checkpoint with "
        "python -m rher_pl.fit test --ckpt_path FILE",
    )


def check_loggers(trainer: pl.Trainer) -> None:
    """Require a logger if a callback writes to one.

    Raises:
        ConfigError: names the callbacks that need one.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    needy = [type(each).__name__ for each in callbacks if isinstance(each, NEED_A_LOGGER)]
    require(
        not needy or bool(trainer.loggers),
        f"{', '.join(needy)} writes to a logger: add --trainer.logger CSVLogger "
        "--trainer.logger.save_dir logs",
    )
