"""The pictures of a run: what their lines show."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rher_pl.callbacks.recording import mean
from rher_pl.pictures.figures import HEADLINE, PANELS, draw_figures

HISTORY = [
    {
        "env_steps": steps,
        HEADLINE: steps / 4000,
        "eval/success/reach": 1.0,
        "eval/success/push": steps / 4000,
        "eval/q/push": -3.0,
        "eval/monte_carlo_return/push": -5.0,
        "relay/guide_share/reach": 0.5,
        "perf/seconds": 60.0 * steps,
    }
    for steps in (1000, 2000)
]


def axes_of(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def line(axes: Axes, label: str) -> tuple[list[float], list[float]]:
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return np.asarray(found.get_xdata()).tolist(), np.asarray(found.get_ydata()).tolist()


def test_lines_are_the_metrics_against_env_steps() -> None:
    figures = draw_figures(HISTORY, "made")
    success = axes_of(figures["success.png"])
    assert line(success, "task, not solved at reset") == ([1000, 2000], [0.25, 0.5])
    assert line(success, "subtask reach, any start")[1] == [1.0, 1.0]
    q = axes_of(figures["q.png"])
    assert line(q, "push: Q")[1] == [-3.0, -3.0]
    assert line(q, "push: Monte-Carlo return")[1] == [-5.0, -5.0]
    assert line(axes_of(figures["wall_clock.png"]), "task, not solved at reset")[0] == [1000, 2000]
    assert line(axes_of(figures["actors.png"]), "guide at reach")[1] == [0.5, 0.5]
    assert len(figures["overview.png"].axes) == len(PANELS)


def test_a_subtask_keeps_its_colour_in_every_panel() -> None:
    figures = draw_figures(HISTORY, "made")
    colors = {
        each.get_color()
        for name in ("success.png", "q.png")
        for each in axes_of(figures[name]).lines
        if "push" in str(each.get_label())
    }
    assert len(colors) == 1


@pytest.mark.parametrize("history", [[], HISTORY[:1]])
def test_a_short_history_is_drawn(history: list[dict[str, float]]) -> None:
    for figure in draw_figures(history, "made").values():
        figure.canvas.draw()


def test_between_evaluations_metrics_are_averaged_but_clocks_are_read() -> None:
    rows = [{"relay/contact_rate": 0.0, "perf/seconds": 1.0}, {"relay/contact_rate": 1.0}]
    assert mean(rows) == {"relay/contact_rate": 0.5, "perf/seconds": 1.0}
    rows.append({"perf/seconds": 5.0})
    assert mean(rows)["perf/seconds"] == 5.0
