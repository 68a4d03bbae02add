"""What fits on this machine: a size that cannot is refused before it is tried."""

from __future__ import annotations

import os

from rher_pl.errors import require

MAX_ENVS = 10_000
MAX_EVAL_EPISODES = 1_000_000
GIB = 2**30


def require_memory(size: float, options: str) -> None:
    """Raise :class:`ConfigError` if ``size`` bytes, which ``options`` ask for, are not there."""
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    require(
        size <= have,
        f"{options} would need {size / GIB:,.1f} GiB of memory, "
        f"this machine has {have / GIB:,.1f} GiB: choose less",
    )
