"""Suggestions of known names for an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], otherwise: str, most: int = 1) -> str:
    """A hint for an unknown ``name``: the nearest ``most`` known ones, or ``otherwise``."""
    *others, last = difflib.get_close_matches(name, list(known), most) or [""]
    either = f"{', '.join(others)} or {last}" if others else last
    return f"did you mean {either}?" if last else otherwise
