"""The picture of a learning benchmark, drawn from its records."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from benchmarks.summary import Array, Curves
from rher_pl.compare.published import published
from rher_pl.pictures import palette

matplotlib.use("Agg")

_OURS, _RHER, _HER = palette.BLUE, palette.VERMILION, palette.GREY
_SUBTASKS = tuple(zip(palette.SUBTASKS, ("-", "--", "-.", ":")))


def bootstrap_band(
    values: Array, resamples: int = 2000, share: float = 0.95
) -> tuple[Array, Array]:
    """Percentile bootstrap of the mean over seeds, [S, E] to two [E]; draws whole seeds."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(values), (resamples, len(values)))
    means = values[drawn].mean(axis=1)  # [R, E]
    tail = 50.0 * (1.0 - share)
    low, high = np.percentile(means, [tail, 100.0 - tail], axis=0)
    return low, high


def plot(data: Curves, path: Path) -> None:
    """Draw success against env steps on the left, each subtask's on the right."""
    with matplotlib.rc_context(palette.STYLE):
        figure = Figure(figsize=(10, 4.8), dpi=110, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2.4, 1))
        _draw_success(left, data)
        _draw_published(left, data)
        _draw_subtasks(right, data)
        for axes in (left, right):
            axes.set_ylim(0.0, 1.02)
            axes.set_xlim(0, data.env_steps[-1] * 1.01)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.xaxis.set_major_formatter(FuncFormatter(palette.thousands))
            axes.set_xlabel("env steps")
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False
        )
        draft = path.with_suffix(".draft.png")
        figure.savefig(draft)
        draft.replace(path)


def _draw_success(axes: Any, data: Curves) -> None:
    count = len(data.seeds)
    for row in data.success:
        axes.plot(data.env_steps, row, color=_OURS, alpha=0.3, linewidth=0.8)
    if count > 1:
        low, high = bootstrap_band(data.success)
        label = "95% bootstrap interval of the mean"
        axes.fill_between(data.env_steps, low, high, color=_OURS, alpha=0.18, lw=0, label=label)
    label = f"this trainer, mean of {count} seeds" if count > 1 else f"seed {data.seeds[0]}"
    axes.plot(data.env_steps, data.success.mean(axis=0), color=_OURS, linewidth=2.4, label=label)
    axes.set_title(f"{data.task}: success of noise-free episodes", loc="left")


def _draw_published(axes: Any, data: Curves) -> None:
    """Diamonds where published means first reach a level; words for what lies off the axis."""
    end = data.env_steps[-1]
    for curve, color in zip(published(data.task), (_RHER, _HER), strict=False):
        points = [(steps, level) for level, (steps, _) in curve.reached.items()]
        inside: list[tuple[float, float]] = [point for point in points if point[0] <= end]
        words = [f"first {' and '.join(f'{level:.0%}' for _, level in inside)}"] * bool(inside)
        words += [f"{level:.0%} at {steps:,}" for steps, level in points if steps > end]
        label = f"{curve.method}, Fetch-v1: {', '.join(words)}"
        style = {"color": color, "marker": "D" if inside else "$→$", "markersize": 7}
        shown = np.array(inside or [(np.nan, np.nan)])  # off the axis: in the legend alone
        axes.plot(shown[:, 0], shown[:, 1], linestyle="", zorder=5, label=label, **style)
        for steps, level in inside:
            axes.plot([steps, steps], [0, level], color=color, linewidth=1.0, linestyle=":")
            axes.text(steps - end * 0.006, 0.03, f"{level:.0%}", color=color, ha="right")


def _draw_subtasks(axes: Any, data: Curves) -> None:
    for (name, values), (color, line) in zip(data.subtasks.items(), cycle(_SUBTASKS)):
        axes.plot(data.env_steps, values.mean(axis=0), line, color=color, linewidth=2, label=name)
    axes.set_title("each subtask, mean", loc="left")
    axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none", fontsize=9)
