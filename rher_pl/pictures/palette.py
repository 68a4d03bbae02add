"""All colours, and the style that all figures share."""

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
"""Okabe and Ito's colours, which can be told apart with any colour vision."""

SUBTASKS = (GREEN, PURPLE, ORANGE, SKY)
"""One for each subtask, in order; they repeat in longer relays."""
CONFIGS = (BLUE, GREEN, ORANGE, SKY, PURPLE)
"""One for each group of runs that is compared."""
PUBLISHED = (VERMILION, GREY)
"""Of published curves: the method, then the baseline."""
ACTORS = (ORANGE, BLUE, GREY)
"""Who acted: guide, learner, random."""

GRIPPER = "#1E1E1E"
OBJECTS = (VERMILION, BLUE, PURPLE, ORANGE)
"""One for each object, in order; they repeat where there are more."""
GOAL, HINDSIGHT = GREEN, "#7B3FA0"

CELL, CELL_SOLVED, CELL_RELABELED, CELL_INERT = "#ECECEA", "#7FCFB6", "#C9A9DC", "#F2C14E"
"""Cells of a time line; MEANINGS in ``inspection_figure.py`` says what each stands for."""
LIMIT_LINE = "#888888"
"""A line that marks a limit."""

GROUND, GRID = "#FAFAF8", "#E4E4E0"
"""Background and grid of a plan from above."""
STANDING, EDGE = ("#D3D9DF", "#F0F2F4"), "#6B7680"
"""Walls, holes and drawers in a plan (the larger ones, and those within), and their outlines."""
BAND, TEXT, DIM_TEXT = "#181A1E", "#F0F0EC", "#787C82"
"""The caption beneath a picture: background, text, and dimmed text."""
DONE, OPEN = "#00BE8C", "#F0AA3C"
"""What is solved, and what is not."""

STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "axes.axisbelow": True,
}
"""Matplotlib settings for ``matplotlib.rc_context``."""


def of_point(point: int, reach: bool) -> str:
    """Colour of a point of a relay: of the gripper, or of an object.

    Args:
        point: its index.
        reach: whether the gripper is the first of the points.
    """
    if reach and point == 0:
        return GRIPPER
    return OBJECTS[(point - reach) % len(OBJECTS)]


def thousands(value: float, _position: int | None = None) -> str:
    """Such as ``60k`` or ``1.22M``: a count of env steps as an axis shows it."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if abs(value) >= 1e3 else f"{value:g}"
