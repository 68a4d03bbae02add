"""A comparison as a table, and as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rher_pl.compare.groups import Cost, Group
from rher_pl.compare.published import PROTOCOL, Published, published
from rher_pl.compare.statistics import LEVELS, Centre

LEGEND = (
    "Last five: {centre} over seeds of the mean of the last five evaluations. Worst seed: the "
    "lowest of these means. 95% at: env steps of the first evaluation whose {centre} over seeds "
    "reaches 95%; in brackets, the first at which its trailing mean over five evaluations does. "
    "Published figures are means over seeds."
)


def show(groups: Sequence[Group], with_published: bool, picture: Path | None) -> None:
    """Print a table for each task, and how to read it."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # a log file has no width of its own
    for task in dict.fromkeys(group.task for group in groups):
        mine = [group for group in groups if group.task == task]
        console.print(table(task, mine, published(task) if with_published else ()))
    console.print(LEGEND.format(centre=groups[0].statistic.value))
    if with_published:
        console.print(PROTOCOL)
    if picture is not None:
        console.print(f"picture {picture}", soft_wrap=True)


def table(task: str, groups: Sequence[Group], peers: Sequence[Published]) -> Table:
    """A row for each group and each published curve of a task."""
    result = Table(title=f"{task}: what it takes")
    result.add_column("runs")
    for heading in ("seeds", "env steps", "last five", "worst seed"):
        result.add_column(heading, justify="right")
    for level in LEVELS:
        result.add_column(f"{level:.0%} at", justify="right")
    for group in groups:
        label = group.label.removeprefix(f"{task}, ")
        label = "these runs" if label == task else label
        costs = [cost_cell(group.cost(level)) for level in LEVELS]
        end = f"{group.env_steps[-1]:,}"
        last, worst = f"{group.last_five:.3f}", f"{group.worst.last_five:.3f}"
        result.add_row(label, str(len(group.seeds)), end, last, worst, *costs)
    if peers:
        result.add_section()
    for peer in peers:
        reached = [peer.reached.get(level) for level in LEVELS]
        costs = ["-" if found is None else _published_cell(*found) for found in reached]
        seeds = "" if peer.seeds is None else str(peer.seeds)
        result.add_row(f"{peer.method}; {peer.where}", seeds, "", peer.end, "", *costs)
    return result


def _published_cell(env_steps: int, trailing: int | None) -> str:
    return f"{env_steps:,}" if trailing is None else f"{env_steps:,}\n({trailing:,})"


def cost_cell(cost: Cost | None) -> str:
    """Env steps with the trailing ones in brackets; below them, updates and time."""
    if cost is None:
        return "-"
    trailing = "-" if cost.trailing is None else f"{cost.trailing:,}"
    updates = "-" if cost.updates is None else f"{cost.updates:,}"
    return f"{cost.env_steps:,} ({trailing})\n{updates} updates\n{clock(cost.seconds)}"


def clock(seconds: float | None) -> str:
    """Such as ``8 min 5 s``."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def as_plain(groups: Sequence[Group], with_published: bool) -> dict[str, Any]:
    """Everything that table and picture show."""
    tasks = dict.fromkeys(group.task for group in groups)
    peers = {task: [asdict(peer) for peer in published(task)] for task in tasks}
    return {"groups": [_plain(g) for g in groups], "published": peers if with_published else {}}


def _plain(group: Group) -> dict[str, Any]:
    band = group.band()
    costs = {f"{level:g}": group.cost(level) for level in LEVELS}
    return {
        "label": group.label,
        "task": group.task,
        "seeds": list(group.seeds),
        "env_steps": group.env_steps.tolist(),
        **{each.name: each.of(group.success).tolist() for each in Centre},
        "centre": group.statistic.name,
        "band_low": None if band is None else band[0].tolist(),
        "band_high": None if band is None else band[1].tolist(),
        "updates": [None if math.isnan(v) else v for v in group.updates.tolist()],
        "seconds": [None if math.isnan(v) else v for v in group.seconds.tolist()],
        "last_five": group.last_five,
        "worst_seed": asdict(group.worst),
        "reached": {level: None if cost is None else asdict(cost) for level, cost in costs.items()},
    }
