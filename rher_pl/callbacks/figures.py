"""Pictures of a run, drawn from its evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Row = Mapping[str, float]
"""One evaluation: ``env_steps``, and metrics by name."""

HEADLINE = "eval/success_not_solved_at_reset"
SUCCESS = "eval/success/"
INNR = "relay/innr_share/"


def draw_figures(history: Sequence[Row], title: str) -> dict[str, Figure]:
    """All pictures by file name; ``history`` is in order of env steps."""
    return {
        "success.png": success_figure(history, title),
        "q.png": q_figure(history, title),
        "innr.png": innr_figure(history, title),
    }


def success_figure(history: Sequence[Row], title: str) -> Figure:
    """Success per subtask, and of the task over episodes that did not start solved."""
    curves = _named(history, SUCCESS, "{}, any start")
    curves[HEADLINE] = "task, not solved at reset"
    return _plot(history, curves, title, "success", (-0.02, 1.02))


def q_figure(history: Sequence[Row], title: str) -> Figure:
    """Q against the Monte-Carlo return of the same actions: Q above it is over-estimation."""
    curves = _named(history, "eval/q/", "{}: Q")
    curves |= _named(history, "eval/monte_carlo_return/", "{}: Monte-Carlo return")
    return _plot(history, curves, title, "discounted return")


def innr_figure(history: Sequence[Row], title: str) -> Figure:
    """Share of relabelled samples that are identical non-negative rewards, per subtask."""
    return _plot(history, _named(history, INNR, "{}"), title, "INNR share", (-0.02, 1.02))


def _named(history: Sequence[Row], prefix: str, label: str) -> dict[str, str]:
    names = {name: None for row in history for name in row if name.startswith(prefix)}
    return {name: label.format(name.removeprefix(prefix)) for name in names}


def _plot(
    history: Sequence[Row],
    curves: Mapping[str, str],
    title: str,
    ylabel: str,
    limits: tuple[float, float] | None = None,
) -> Figure:
    figure = Figure(figsize=(6.4, 4.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # no display, and none of pyplot's global state
    axes = figure.add_subplot()
    for name, label in curves.items():
        points = [(row["env_steps"], row[name]) for row in history if name in row]
        if points:
            steps, values = zip(*points)
            axes.plot(steps, values, marker=".", label=label)
    axes.set(xlabel="env steps", ylabel=ylabel, title=title)
    if limits:
        axes.set_ylim(*limits)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    return figure
