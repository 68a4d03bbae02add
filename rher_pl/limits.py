"""Which values options may have, and what fits on this machine."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rher_pl.errors import ConfigError, require

GIB = 2**30


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
    """Such as 0.5 or 1,000,000."""
    return f"{end:,.0f}" if end >= 1_000 else f"{end:g}"


SHARE = Range(0, 1)
ABOVE_ZERO_SHARE = Range(0, 1, low_open=True)
COUNT = Range(1)
NOT_NEGATIVE = Range(0)


def check_ranges(values: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Each value must lie in the range of its name; None, where an option allows it, is passed.

    Raises:
        ConfigError: names the first that does not.
    """
    for name, allowed in ranges.items():
        value = values[name]
        require(value is None or value in allowed, f"{name} must be {allowed}, got {value!s:.40}")


def require_memory(size: float, options: str) -> None:
    """Raise :class:`ConfigError` if ``size`` bytes, which ``options`` ask for, are not there."""
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    require(
        size <= have,
        f"{options} would need {size / GIB:,.1f} GiB of memory, "
        f"this machine has {have / GIB:,.1f} GiB: choose less",
    )


def check_writable(folder: str, option: str = "--recorder.folder") -> None:
    """Make the output folder that ``option`` names, and a file in it."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # a ValueError for a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"cannot write to the output folder {folder!r} ({reason}): choose another with {option}"
        ) from error
