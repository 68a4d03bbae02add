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
    """Refuse a config that sets an option which follows another: it would be silently ignored."""
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
    """Require a seed of 32 bits, the most that NumPy's legacy generator takes."""
    require(0 <= seed < 2**32, f"seed_everything must be in [0, {2**32}), got {seed}")


def check_precision(precision: Any) -> None:
    """Require a known precision: Lightning would replace some that this machine lacks."""
    require(
        str(precision) in (*PRECISIONS, "32", "bf16"),
        f"trainer.precision {precision!s:.40} is not supported: write one of "
        f"{', '.join(PRECISIONS)}",
    )


def check_limits(trainer: Any) -> None:
    """Require an end of training: without one, Lightning would run 1000 epochs."""
    limits = (trainer.max_epochs, trainer.max_time)
    bounded = any(limit is not None for limit in limits) or trainer.max_steps > 0
    require(
        bounded or bool(trainer.fast_dev_run),
        "trainer.max_epochs is not set: add it to the config, or --trainer.max_epochs 24",
    )
    epochs = trainer.max_epochs
    require(epochs is None or epochs >= 1, f"trainer.max_epochs must be at least 1, got {epochs}")
