"""Contestants measured in turns, so that other load affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

Contestant = Callable[[], int]
"""Does one round of work, and says how many units (env steps, updates) it did."""


class Rate(NamedTuple):
    """Units per second over the rounds: quartiles and median."""

    low: float
    median: float
    high: float


def interleave(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, Rate]:
    """One untimed round each, then ``rounds`` timed ones, each of all contestants in turn."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, contestant in contestants.items():
            begin = time.perf_counter()
            units = contestant()
            if number > 0:
                rates[name].append(units / (time.perf_counter() - begin))
    return {
        name: Rate(*np.percentile(values, [25, 50, 75]).tolist()) for name, values in rates.items()
    }
