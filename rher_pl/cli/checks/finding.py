"""The outcome of a check of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is; the value is the colour it is shown in."""

    OK = "green"
    """Nothing to do."""
    SLOW = "yellow"
    """Training works; something is slower or missing."""
    BROKEN = "red"
    """Training would fail, or give wrong results."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Args:
        name: of what was checked.
        level: how bad it is.
        detail: what was found.
        fix: what to do about it; empty if nothing can or must be done.
    """

    name: str
    level: Level
    detail: str
    fix: str = ""
