"""Pictures of a run, drawn from its evaluations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from rher_pl.collect.behavior import Chooser
from rher_pl.pictures import palette

Row = Mapping[str, float]
"""One evaluation: ``env_steps``, and metrics by name."""

HEADLINE = "eval/success_not_solved_at_reset"
SHARE = (-0.02, 1.02)


def draw_figures(history: Sequence[Row], title: str) -> dict[str, Figure]:
    """All pictures by file name; ``history`` is in order of env steps."""
    figures = {"overview.png": _figure(history, PANELS, title)}
    for name in PANELS:
        figures[f"{name}.png"] = _figure(history, [name], title)
    return figures


def success_panel(axes: Any, history: Sequence[Row]) -> None:
    """Success of the task over episodes that did not start solved, and of each subtask."""
    for name, color in _subtasks(history, "eval/success/"):
        label = f"subtask {name}, any start"
        _line(axes, history, f"eval/success/{name}", label, color=color, linestyle="--")
    _line(axes, history, HEADLINE, "task, not solved at reset", color=palette.BLUE, linewidth=2.4)
    axes.set(title="success", ylim=SHARE)


def seconds_panel(axes: Any, history: Sequence[Row]) -> None:
    """Success of the task against wall-clock."""
    minutes = [{**row, "minutes": row.get("perf/seconds", float("nan")) / 60} for row in history]
    _line(axes, minutes, HEADLINE, "task, not solved at reset", "minutes", color=palette.BLUE)
    axes.set(title="success against wall-clock", ylim=SHARE)


def q_panel(axes: Any, history: Sequence[Row]) -> None:
    """Q against the Monte-Carlo return of the same actions: Q above it is over-estimation."""
    for name, color in _subtasks(history, "eval/q/"):
        _line(axes, history, f"eval/q/{name}", f"{name}: Q", color=color)
        label = f"{name}: Monte-Carlo return"
        _line(axes, history, f"eval/monte_carlo_return/{name}", label, color=color, linestyle="--")
    axes.set(title="Q against the return that followed")


def innr_panel(axes: Any, history: Sequence[Row]) -> None:
    """Share of relabelled samples with identical non-negative rewards (INNR), per subtask."""
    for name, color in _subtasks(history, "relay/innr_share/"):
        _line(axes, history, f"relay/innr_share/{name}", name, color=color)
    axes.set(title="relabelled samples that teach nothing (INNR)", ylim=SHARE)


def contact_panel(axes: Any, history: Sequence[Row]) -> None:
    """In how many episodes an object was touched: while exploring, and in evaluations."""
    _line(axes, history, "relay/contact_rate", "collected episodes", color=palette.BLUE)
    for name, color in _subtasks(history, "eval/contact_rate/"):
        label = f"evaluated, {name}"
        _line(axes, history, f"eval/contact_rate/{name}", label, color=color, linestyle="--")
    axes.set(title="episodes with the object touched", ylim=SHARE)


def actors_panel(axes: Any, history: Sequence[Row]) -> None:
    """Who chose the collected actions, by the subtask that came next."""
    for actor, color in zip(Chooser, palette.ACTORS, strict=True):
        who = actor.name.lower()
        prefix = f"relay/{who}_share/"
        for (name, _), style in zip(_subtasks(history, prefix), ("-", "--", "-.", ":")):
            _line(axes, history, prefix + name, f"{who} at {name}", color=color, linestyle=style)
    axes.set(title="who acted, by the subtask that comes next", ylim=SHARE)


PANELS: dict[str, Callable[[Any, Sequence[Row]], None]] = {
    "success": success_panel,
    "q": q_panel,
    "innr": innr_panel,
    "wall_clock": seconds_panel,
    "contact": contact_panel,
    "actors": actors_panel,
}
"""By file name, in the order of the overview."""


def _figure(history: Sequence[Row], names: Iterable[str], title: str) -> Figure:
    """One panel, or several in rows of two: as wide as MLflow shows without scrolling."""
    drawn = list(names)
    columns, rows = min(len(drawn), 2), (len(drawn) + 1) // 2
    size = (4.3 * columns, 3.5 * rows) if rows > 1 else (6.4, 4.4)
    with matplotlib.rc_context(palette.STYLE):
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        FigureCanvasAgg(figure)  # no display, and none of pyplot's global state
        figure.suptitle(title)
        for axes, name in zip(figure.subplots(rows, columns, squeeze=False).flat, drawn):
            axes.set_xlabel("env steps")
            axes.xaxis.set_major_formatter(FuncFormatter(palette.thousands))
            PANELS[name](axes, history)
            axes.set_xlim(left=0)
            if axes.lines:
                below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17)}
                axes.legend(**below, ncols=2, fontsize=8, frameon=False)
    return figure


def _subtasks(history: Sequence[Row], prefix: str) -> list[tuple[str, str]]:
    """Names that follow a prefix, in the order of the relay, each with its colour."""
    order = {name: None for row in history for name in row if name.startswith("eval/success/")}
    found = {name for row in history for name in row if name.startswith(prefix)}
    names = [name.removeprefix("eval/success/") for name in order]
    colors = [palette.SUBTASKS[i % len(palette.SUBTASKS)] for i in range(len(names))]
    return [(name, color) for name, color in zip(names, colors) if prefix + name in found]


def _line(
    axes: Any, history: Sequence[Row], metric: str, label: str, x: str = "env_steps", **style: Any
) -> None:
    points = [(row[x], row[metric]) for row in history if metric in row]
    if not points:
        return
    across, values = zip(*points)
    axes.plot(across, values, marker=".", label=label, **style)
    if x != "env_steps":
        axes.set_xlabel(x)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
