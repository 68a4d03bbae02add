"""The plan from above of an inspected episode: paths, goals, and what stands around."""

from __future__ import annotations

from typing import Any

from matplotlib.patches import Circle, Rectangle

from rher_pl.pictures import palette
from rher_pl.pictures.inspection import Inspected
from rher_pl.pictures.names import object_name, point_name
from rher_pl.pictures.standing import standing

TICK = 10
"""Env steps between two marks on the gripper's path."""


def draw_plan(axes: Any, one: Inspected) -> None:
    """Paths, original goals with their epsilon, and where hindsight put the goals."""
    _draw_standing(axes, one)
    for point, path in enumerate(one.achieved.unbind(1)):
        x, y, colour = path[:, 0], path[:, 1], palette.of_point(point, one.relay.reach)
        label = f"{point_name(one.relay, point, one.look)}: from the hollow to the full dot"
        axes.plot(x, y, color=colour, lw=1.6, label=label)
        axes.plot(x[0], y[0], "o", color=colour, ms=6, mfc="white")
        axes.plot(x[-1], y[-1], "o", color=colour, ms=8)
    for time in range(TICK, len(one.achieved), TICK):
        x, y = one.achieved[time, 0, :2].tolist()
        axes.annotate(str(time), (x, y), fontsize=7, textcoords="offset points", xytext=(4, 4))
    for slot in one.relay.slots.used[one.subtask].nonzero().flatten().tolist():
        _draw_goals(axes, one, slot)
    _draw_other_goals(axes, one)
    name = one.relay.names[one.subtask]
    share = float(one.relabeled.float().mean())
    axes.set_title(f"{name}: {share:.0%} of the transitions relabelled", fontsize=11)
    axes.set(xlabel="x in m (seen from above)", ylabel="y in m")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles))
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12), "frameon": False}
    axes.legend(once.values(), once.keys(), fontsize=7, ncols=2, **below)


def _draw_standing(axes: Any, one: Inspected) -> None:
    """Walls, holes and drawers, as they are at the start."""
    start = one.achieved[0]
    found = standing(one.look, one.relay, start, start, one.desired, one.places)
    for index, thing in enumerate(found):
        fill = palette.STANDING[index % len(palette.STANDING)]
        corner = (thing.x, thing.y)
        axes.add_patch(Rectangle(corner, *thing.size, fc=fill, ec=palette.EDGE, zorder=0.5))
        axes.annotate(thing.footprint.name, corner, fontsize=7, color=palette.EDGE, va="top")


def _draw_other_goals(axes: Any, one: Inspected) -> None:
    """Desired goals of the objects that do not have to be there in this subtask."""
    relay = one.relay
    used = relay.slots.used[one.subtask]
    for index in range(relay.num_desired):
        slot = index + relay.reach
        if used[slot] and not relay.moving_goal(one.subtask, slot):
            continue
        x, y = one.desired[index, :2].tolist()
        colour = palette.of_point(index + relay.reach, relay.reach)
        label = f"goal of {object_name(relay, index, one.look)}, not needed here"
        axes.plot(x, y, "+", color=colour, ms=8, label=label)
        axes.add_patch(Circle((x, y), relay.epsilon, fill=False, ec=colour, ls=":", lw=1.2))


def _draw_goals(axes: Any, one: Inspected, slot: int) -> None:
    """For one slot: the original goal at the start, and the hindsight goals that were drawn."""
    relay, colour = one.relay, palette.GOAL
    x, y = relay.goals(one.achieved[0], one.desired, one.subtask)[slot, :2].tolist()
    axes.add_patch(Circle((x, y), relay.epsilon, fill=False, ec=colour, lw=2.0))
    moves = relay.moving_goal(one.subtask, slot)
    label = "original goal at t = 0, it moves with the object" if moves else "original goal"
    axes.plot(x, y, "+", color=colour, ms=10, mew=2, label=f"{label} (ring: epsilon)")
    if relay.num_objects > 1:
        near = {"textcoords": "offset points", "xytext": (8, 8), "fontsize": 7}
        axes.annotate(f"for {point_name(relay, slot, one.look)}", (x, y), color=colour, **near)
    drawn = one.goals[one.relabeled, slot, :2]
    origin = one.achieved[:-1][one.relabeled, slot, :2]
    for begin, end in zip(origin.tolist(), drawn.tolist(), strict=True):
        axes.plot(*zip(begin, end), color=palette.HINDSIGHT, lw=0.5, alpha=0.35)
    if len(drawn):
        label = "hindsight goal, line from the point at t"
        axes.plot(drawn[:, 0], drawn[:, 1], "x", color=palette.HINDSIGHT, ms=6, label=label)
