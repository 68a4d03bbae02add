"""Colours and style that all pictures of the package share."""

from __future__ import annotations

from typing import Any

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#555555",
)
"""Okabe and Ito's colours, told apart with any colour vision."""

SUBTASKS = (GREEN, PURPLE, ORANGE, SKY)
"""One for each subtask, in order; they repeat in longer relays."""

STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "axes.axisbelow": True,
}
"""Matplotlib settings for ``matplotlib.rc_context``."""


def thousands(value: float, _position: int | None = None) -> str:
    """Such as ``60k`` or ``1.22M``: a count of env steps as an axis shows it."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if abs(value) >= 1e3 else f"{value:g}"
