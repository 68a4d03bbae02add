"""The picture of an inspected episode: a plan from above and a time line for each subtask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch
from torch import Tensor

from rher_pl.pictures import palette
from rher_pl.pictures.inspection import Inspected
from rher_pl.pictures.names import point_name

CELLS = (palette.CELL, palette.CELL_SOLVED, palette.CELL_RELABELED, palette.CELL_INERT)
MEANINGS = ("reward -1, or no", "reward 0", "relabelled", "inert: reward 0 whatever the action")
ROWS = ("reward, original goal", "relabelled", "reward, as drawn", "inert (INNR)")
TICK = 10
"""Env steps between two marks on the gripper's path."""


def inspection_figure(inspected: Sequence[Inspected], title: str) -> Figure:
    """A row for each subtask."""
    figure = Figure(figsize=(13.0, 4.6 * len(inspected) + 0.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    grid = figure.add_gridspec(2 * len(inspected), 2, width_ratios=(1.0, 1.35))
    for row, one in enumerate(inspected):
        _draw_plan(figure.add_subplot(grid[2 * row : 2 * row + 2, 0]), one)
        _draw_distances(figure.add_subplot(grid[2 * row, 1]), one)
        _draw_time_line(figure.add_subplot(grid[2 * row + 1, 1]), one)
    return figure


def _draw_plan(axes: Any, one: Inspected) -> None:
    """Paths, original goals with their epsilon, and where hindsight put the goals."""
    for point, path in enumerate(one.achieved.unbind(1)):
        x, y, colour = path[:, 0], path[:, 1], palette.of_point(point, one.relay.reach)
        label = f"{point_name(one.relay, point)}: from the hollow to the full dot"
        axes.plot(x, y, color=colour, lw=1.6, label=label)
        axes.plot(x[0], y[0], "o", color=colour, ms=6, mfc="white")
        axes.plot(x[-1], y[-1], "o", color=colour, ms=8)
    for time in range(TICK, len(one.achieved), TICK):
        x, y = one.achieved[time, 0, :2].tolist()
        axes.annotate(str(time), (x, y), fontsize=7, textcoords="offset points", xytext=(4, 4))
    for slot in one.relay.slots.used[one.subtask].nonzero().flatten().tolist():
        _draw_goals(axes, one, slot)
    name = one.relay.names[one.subtask]
    share = float(one.relabeled.float().mean())
    axes.set_title(f"{name}: {share:.0%} of the transitions relabelled", fontsize=11)
    axes.set(xlabel="x in m (seen from above)", ylabel="y in m")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles))  # slots share labels
    style = {"fontsize": 7, "ncols": 2, "frameon": False}
    axes.legend(
        once.values(), once.keys(), loc="upper center", bbox_to_anchor=(0.5, -0.12), **style
    )


def _draw_goals(axes: Any, one: Inspected, slot: int) -> None:
    """Of one slot: the original goal at the start, and the hindsight goals that were drawn."""
    relay, colour = one.relay, palette.GOAL
    x, y = relay.goals(one.achieved[0], one.desired, one.subtask)[slot, :2].tolist()
    axes.add_patch(Circle((x, y), relay.epsilon, fill=False, ec=colour, lw=2.0))
    moves = relay.moving_goal(one.subtask, slot)
    label = "original goal at t = 0, it moves with the object" if moves else "original goal"
    axes.plot(x, y, "+", color=colour, ms=10, mew=2, label=f"{label} (ring: epsilon)")
    if relay.num_objects > 1:
        near = {"textcoords": "offset points", "xytext": (8, 8), "fontsize": 7}
        axes.annotate(f"for {point_name(relay, slot)}", (x, y), color=colour, **near)
    drawn = one.goals[one.relabeled, slot, :2]
    origin = one.achieved[:-1][one.relabeled, slot, :2]
    for begin, end in zip(origin.tolist(), drawn.tolist(), strict=True):
        axes.plot(*zip(begin, end), color=palette.HINDSIGHT, lw=0.5, alpha=0.35)
    if len(drawn):
        label = "hindsight goal, line from where it was drawn"
        axes.plot(drawn[:, 0], drawn[:, 1], "x", color=palette.HINDSIGHT, ms=6, label=label)


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
