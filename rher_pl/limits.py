"""Which values options may have, and what fits on this machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rher_pl.errors import require
from rher_pl.system import physical_memory

GIB = 2**30
MANY = 10**15
"""Largest whole number of an option; sizes computed from larger ones may overflow a float."""
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Range:
    """The numbers from ``low`` to ``high``; NaN and infinity are never among them.

    Args:
        low, high: the ends.
        low_open, high_open: whether an end itself is left out.
    """

    low: float
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return bool(above and below and value != math.inf)

    def __str__(self) -> str:
        low, high = map(_plain, (self.low, self.high))
        if self.high == math.inf:
            return f"{'above' if self.low_open else 'at least'} {low}"
        return f"in {'[('[self.low_open]}{low}, {high}{'])'[self.high_open]}"


def _plain(end: float) -> str:
    """An end as text, such as 0.5 or 1,000,000."""
    return f"{end:,.0f}" if end >= 1_000 else f"{end:g}"


SHARE = Range(0, 1)
ABOVE_ZERO_SHARE = Range(0, 1, low_open=True)
COUNT = Range(1)
NOT_NEGATIVE = Range(0)


def number(value: object) -> str:
    """A value in few characters; Python refuses to print whole numbers of thousands of digits."""
    huge = isinstance(value, int) and abs(value) > MANY
    return f"more than {MANY:,}" if huge else f"{value!s:.40}"


def check_ranges(values: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Require each value to lie in the range of its name; None always passes.

    Raises:
        ConfigError: names the first value that does not.
    """
    for name, allowed in ranges.items():
        value = values[name]
        if value is not None:
            require(value in allowed, f"{name} must be {allowed}, got {number(value)}")
            require(value <= MANY or isinstance(value, float), f"{name} must be at most {MANY:,}")


def memory() -> float:
    """Bytes of memory for this process: the machine's, or the container's limit if lower."""
    have = physical_memory()
    try:
        return min(have, int(CONTAINER_LIMIT.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        return have


def require_memory(size: float, options: str) -> None:
    """Raise :class:`ConfigError` if ``options`` need more memory, ``size`` bytes, than there is."""
    have = memory()
    require(
        size <= have,
        f"{options} would need {size / GIB:,.1f} GiB of memory, "
        f"this machine has {have / GIB:,.1f} GiB: choose smaller values",
    )
