"""The picture of an inspected episode: a plan from above and a time line for each subtask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from rher_pl.pictures import palette
from rher_pl.pictures.inspection import Inspected
from rher_pl.pictures.inspection_plan import draw_plan

CELLS = (palette.CELL, palette.CELL_SOLVED, palette.CELL_RELABELED, palette.CELL_INERT)
MEANINGS = ("reward -1, or no", "reward 0", "relabelled", "inert: reward 0 whatever the action")
ROWS = ("reward, original goal", "relabelled", "reward, as drawn", "inert (INNR)")


def inspection_figure(inspected: Sequence[Inspected], title: str) -> Figure:
    """A row for each subtask."""
    figure = Figure(figsize=(13.0, 4.6 * len(inspected) + 0.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    grid = figure.add_gridspec(2 * len(inspected), 2, width_ratios=(1.0, 1.35))
    for row, one in enumerate(inspected):
        draw_plan(figure.add_subplot(grid[2 * row : 2 * row + 2, 0]), one)
        _draw_distances(figure.add_subplot(grid[2 * row, 1]), one)
        _draw_time_line(figure.add_subplot(grid[2 * row + 1, 1]), one)
    return figure


def _draw_distances(axes: Any, one: Inspected) -> None:
    """How far the next state is from the goal, before and after relabelling."""
    times = torch.arange(len(one.reward))
    following = one.achieved[1:]
    # The goal that the policy saw at t, as the reward is counted.
    original = one.relay.goals(
        one.achieved[:-1], one.desired.expand(len(times), -1, -1), one.subtask
    )
    before = _worst(one, original, following)
    after = _worst(one, one.goals, following)
    axes.plot(times, before, color=palette.GOAL, lw=1.6, label="to the original goal")
    chosen = one.relabeled
    axes.plot(
        times[chosen], after[chosen], "x", color=palette.HINDSIGHT, label="to the hindsight goal"
    )
    epsilon = one.relay.epsilon
    axes.axhline(epsilon, color=palette.LIMIT_LINE, lw=1.0, ls="--")
    axes.text(len(times) - 0.5, epsilon, " epsilon", fontsize=7, va="center", color=palette.GREY)
    axes.set(ylabel="distance of the\nnext state in m", xlim=(-0.5, len(times) - 0.5))
    axes.set_ylim(bottom=0.0)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, loc="upper right")


def _worst(one: Inspected, goals: Tensor, achieved: Tensor) -> Tensor:
    """Largest distance over the slots in use, [T]."""
    distance = torch.linalg.vector_norm(goals - achieved, dim=-1)
    return distance[:, one.relay.slots.used[one.subtask]].amax(-1)


def _draw_time_line(axes: Any, one: Inspected) -> None:
    """Reward before and after, and which transitions were relabelled or are inert."""
    cells = torch.stack(
        [
            (one.original_reward == 0).long() * 1,
            one.relabeled.long() * 2,
            (one.reward == 0).long() * 1,
            one.inert.long() * 3,
        ]
    )
    axes.pcolormesh(
        torch.arange(cells.shape[1] + 1) - 0.5,
        torch.arange(len(ROWS) + 1),
        cells,
        cmap=ListedColormap(CELLS),
        vmin=-0.5,
        vmax=3.5,
        edgecolors="white",
        linewidth=0.8,
    )
    axes.set_yticks([row + 0.5 for row in range(len(ROWS))], ROWS, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="t, env steps", xlim=(-0.5, cells.shape[1] - 0.5))
    axes.legend(
        handles=[Patch(color=colour, label=label) for colour, label in zip(CELLS, MEANINGS)],
        fontsize=7,
        ncols=4,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.28),
        frameon=False,
    )
