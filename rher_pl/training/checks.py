"""What a trainer must be like."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.strategies import SingleDeviceStrategy

from rher_pl.errors import require

PRECISIONS = ("32-true", "bf16-mixed")


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
