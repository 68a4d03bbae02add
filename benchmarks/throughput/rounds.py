"""Contestants measured in turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

Contestant = Callable[[], int]
"""Does one round of work, and says how many units (env steps, updates) it did."""
Track = Callable[[Iterable[int], str], Iterable[int]]
"""Passes an iterable through, showing how far it is under a title."""


@dataclass(frozen=True)
class Rate:
    """Units per second over the rounds: median and quartiles."""

    median: float
    low: float
    high: float


def interleave(
    contestants: Mapping[str, Contestant], rounds: int, title: str, track: Track
) -> dict[str, Rate]:
    """One untimed round each, then ``rounds`` timed ones, each of all contestants in turn."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in track(range(rounds + 1), title):
        for name, contestant in contestants.items():
            begin = time.perf_counter()
            units = contestant()
            if number > 0:
                rates[name].append(units / (time.perf_counter() - begin))
    return {name: _rate(values) for name, values in rates.items()}


def _rate(values: list[float]) -> Rate:
    low, median, high = np.percentile(values, [25, 50, 75])
    return Rate(float(median), float(low), float(high))
