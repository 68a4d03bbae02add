"""A comparison as a picture: success against env steps, and against time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from rher_pl.compare.groups import Group
from rher_pl.compare.published import published
from rher_pl.pictures import palette

LINES = ("-", "--", ":")
"""Line styles, for more groups than there are colours."""
INSIDE = 3
"""Most groups whose legend lies within the panel."""
MARKERS = ("D", "s")
"""Markers of published curves."""


def draw(groups: Sequence[Group], with_published: bool) -> Figure:
    """A row of two panels for each task."""
    tasks = list(dict.fromkeys(group.task for group in groups))
    height = 4.4 + (0.2 * len(groups) if len(groups) > INSIDE else 0.0)
    with matplotlib.rc_context(palette.STYLE):
        figure = Figure(figsize=(11, height * len(tasks)), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)  # no display, and none of pyplot's global state
        rows = figure.subplots(len(tasks), 2, squeeze=False, width_ratios=(1.7, 1))
        for task, (left, right) in zip(tasks, rows):
            mine = [group for group in groups if group.task == task]
            styles = ((color, line) for line in LINES for color in palette.CONFIGS)
            for group, (color, line) in zip(mine, cycle(styles)):
                _draw_group(left, right, group, color, line)
            if with_published:
                _draw_published(left, task)
            centre = mine[0].statistic.value
            left.set_title(f"{task}: success, {centre} with 95% bootstrap band", loc="left")
            right.set_title("against wall-clock", loc="left")
            left.set_xlabel("env steps")
            right.set_xlabel("minutes, median seed")
            left.xaxis.set_major_formatter(FuncFormatter(palette.thousands))
            for axes in (left, right):
                axes.set_ylim(0.0, 1.02)
                axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            # A long legend would cover the curves: it goes below the panel.
            place: dict[str, Any] = {"loc": "lower right"}
            if len(mine) > INSIDE:
                place = {"loc": "upper left", "bbox_to_anchor": (0.0, -0.15)}
            left.legend(framealpha=0.9, edgecolor="none", fontsize=9, **place)
    return figure


def _draw_group(left: Any, right: Any, group: Group, color: str, line: str) -> None:
    """The centre with its band on the left, and over the median seed's time on the right."""
    count, band = len(group.seeds), group.band()
    label = f"{group.label}, " + (f"{count} seeds" if count > 1 else f"seed {group.seeds[0]}")
    for axes, across in ((left, group.env_steps), (right, group.seconds / 60)):
        axes.plot(across, group.centre, line, color=color, lw=2.2, label=label)
        if band is not None:
            axes.fill_between(across, *band, color=color, alpha=0.18, lw=0)


def _draw_published(axes: Any, task: str) -> None:
    """Where published means first reach a level; they lie far out: the axis is logarithmic."""
    for curve, color, marker in zip(published(task), palette.PUBLISHED, MARKERS):
        if not curve.reached:
            continue
        points = np.array([(steps, level) for level, (steps, _) in curve.reached.items()])
        label = f"{curve.method}; {curve.where}"
        axes.plot(*points.T, f"{marker}:", color=color, label=label)
        words = [f"{level:.0%} at {palette.thousands(steps)}" for steps, level in points]
        axes.annotate(
            "\n".join(words),
            points[0],
            (0, -9),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8,
            color=color,
        )
        axes.set_xscale("log")
