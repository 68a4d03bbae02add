"""The picture of an ablation: success of all rows, and what explains it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from benchmarks.ablation_summary import RowCurves
from benchmarks.plot_learning import bootstrap_band
from benchmarks.summary import Array
from rher_pl.pictures.palette import STYLE

matplotlib.use("Agg")

# Okabe and Ito's colours, told apart with any colour vision; the line tells more rows apart.
_COLORS = ("#0072B2", "#D55E00", "#555555", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LINES = ("-", "--", "-.", ":")


def plot(rows: Sequence[RowCurves], path: Path) -> None:
    """Draw success on the left and four panels on the right, all against env steps."""
    names = max((list(data.curves.subtasks) for data in rows), key=len)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 5.6), dpi=110, layout="constrained")
        grid = figure.add_gridspec(2, 3, width_ratios=(2.0, 1, 1))
        main = figure.add_subplot(grid[:, 0])
        gap, innr, contact, reach = (figure.add_subplot(grid[i, j]) for i in (0, 1) for j in (1, 2))
        panels: list[tuple[Any, str, str]] = [
            (main, "success", f"{rows[0].curves.task}: success of noise-free episodes"),
            (gap, "q_gap", f"Q minus return, {names[-1]}"),
            (innr, "innr", f"INNR share, {names[-1]}"),
            (contact, "contact", "collected episodes with contact"),
            (reach, "reach", f"success of {names[0]} on its own"),
        ]
        for axes, name, title in panels:
            for data in rows:
                _draw(axes, data, getattr(data, name))
            _finish(axes, title, share=name != "q_gap")
        gap.axhline(0.0, color="#555555", linewidth=0.8)
        figure.legend(*main.get_legend_handles_labels(), loc="outside lower left", ncols=3)
        draft = path.with_suffix(".draft.png")
        figure.savefig(draft)
        draft.replace(path)


def _draw(axes: Any, data: RowCurves, values: Array) -> None:
    """Mean over seeds [S, E] with its 95% bootstrap interval; gaps where nothing was recorded."""
    if np.isnan(values).all():
        return
    color = _COLORS[data.place % len(_COLORS)]
    line = _LINES[data.place // len(_COLORS) % len(_LINES)]
    count, steps = len(data.curves.seeds), data.curves.env_steps
    if count > 1:
        axes.fill_between(steps, *bootstrap_band(values), color=color, alpha=0.15, lw=0)
    label = f"{data.row.label}, {count} seed{'s'[: count > 1]}"
    axes.plot(steps, values.mean(axis=0), line, color=color, linewidth=2.0, label=label)


def _finish(axes: Any, title: str, share: bool) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlim(left=0)
    axes.set_xlabel("env steps")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:g}k"))
    if share:
        axes.set_ylim(0.0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
