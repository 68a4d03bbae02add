"""Checks of options before anything is built.

Each raises :class:`ConfigError` with one line that says what to write instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rher_pl.choices import LINKED
from rher_pl.cli.yaml_guard import read_config
from rher_pl.errors import require
from rher_pl.learner.precision import PRECISIONS


def check_linked(configs: Sequence[Any] | None) -> None:
    """A config that sets an option which follows another one would be ignored silently."""
    for config in configs or ():
        values = yaml.safe_load(read_config(Path(str(config))))
        for key, source in LINKED.items():
            section, _, name = key.partition(".")
            below = values.get(section) if isinstance(values, dict) else None
            require(
                not isinstance(below, dict) or name not in below,
                f"{key} in {config} follows {source}: set {source} instead",
            )


def check_seed(seed: int) -> None:
    """NumPy's legacy generator takes 32 bits."""
    require(0 <= seed < 2**32, f"seed_everything must be in [0, {2**32}), got {seed}")


def check_precision(precision: Any) -> None:
    """Lightning would put another in place of some that this machine cannot compute in."""
    require(
        str(precision) in (*PRECISIONS, "32", "bf16"),
        f"trainer.precision {precision!s:.40} is not computed in: write one of "
        f"{', '.join(PRECISIONS)}",
    )


def check_limits(trainer: Any) -> None:
    """Training must have an end, or Lightning's default of 1000 epochs would be run."""
    limits = (trainer.max_epochs, trainer.max_time)
    bounded = any(limit is not None for limit in limits) or trainer.max_steps > 0
    require(
        bounded or bool(trainer.fast_dev_run),
        "trainer.max_epochs is not set: add it to the config, or --trainer.max_epochs 24",
    )
    epochs = trainer.max_epochs
    require(epochs is None or epochs >= 1, f"trainer.max_epochs must be at least 1, got {epochs}")
