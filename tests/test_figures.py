"""The pictures of a run: what their lines show."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import ImageColor

from rher_pl.pictures import palette
from rher_pl.pictures.figures import HEADLINE, PANELS, draw_figures
from rher_pl.tracking.history import mean

HISTORY = [
    {
        "env_steps": steps,
        HEADLINE: steps / 4000,
        "eval/success/reach": 1.0,
        "eval/success/push": steps / 4000,
        "eval/q/push": -3.0,
        "eval/monte_carlo_return/push": -5.0,
        "relay/guide_share/push": 0.5,
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
    assert line(axes_of(figures["actors.png"]), "guide at push")[1] == [0.5, 0.5]
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


def test_before_the_first_evaluation_panels_are_empty() -> None:
    for name, figure in draw_figures([], "made").items():
        assert len(figure.axes) == (len(PANELS) if name == "overview.png" else 1)
        for axes in figure.axes:
            assert not axes.lines and axes.get_legend() is None and axes.get_title()


def test_a_single_evaluation_can_be_seen() -> None:
    """A line of one point has no length: its marker is drawn, in the line's colour."""
    figure = draw_figures(HISTORY[:1], "made")["success.png"]
    assert line(axes_of(figure), "task, not solved at reset") == ([1000], [0.25])
    for each in list(axes_of(figure).lines):
        if each.get_label() != "task, not solved at reset":
            each.remove()
    blue = blue_pixels(figure)
    axes_of(figure).lines[0].remove()
    assert blue > blue_pixels(figure)


def blue_pixels(figure: Figure) -> int:
    """Of the headline's colour, the legend left out."""
    if legend := axes_of(figure).get_legend():
        legend.remove()
    figure.canvas.draw()
    rgb = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    return int((rgb == ImageColor.getrgb(palette.BLUE)).all(-1).sum())


def test_between_evaluations_metrics_are_averaged_but_clocks_are_read() -> None:
    rows = [{"relay/contact_rate": 0.0, "perf/seconds": 1.0}, {"relay/contact_rate": 1.0}]
    assert mean(rows) == {"relay/contact_rate": 0.5, "perf/seconds": 1.0}
    rows.append({"perf/seconds": 5.0})
    assert mean(rows)["perf/seconds"] == 5.0
