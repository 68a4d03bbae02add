"""What the records of a benchmark say: curves over seeds, levels reached, a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.records import Record
from rher_pl.compare.groups import LEVELS, WINDOW, first_reaching
from rher_pl.compare.published import Published, published

Array = NDArray[np.float64]

LEGEND = (
    "At: env steps at which the mean over seeds first reaches the level; in brackets, at which its "
    "trailing mean over five evaluations does."
)
"""How to read the table."""


@dataclass(frozen=True)
class Curves:
    """Evaluations that every seed has: E of them, of S seeds.

    Args:
        task: registered task name.
        seeds: in the order of the rows below.
        env_steps: [E], increasing.
        success: [S, E] share of episodes solved at their last step.
        unsolved: [S, E] the same among episodes that did not start solved.
        subtasks: of each subtask by name, [S, E].
        metrics: all metrics by name, [S, E]; NaN where there was none.
        seconds: [S, E] wall-clock from the start to each of these evaluations.
    """

    task: str
    seeds: tuple[int, ...]
    env_steps: NDArray[np.int64]
    success: Array
    unsolved: Array
    subtasks: dict[str, Array]
    seconds: Array
    metrics: dict[str, Array]

    def last_five(self, values: Array) -> Array:
        """Mean of each seed's last five evaluations, [S]; of fewer where there are fewer."""
        result: Array = values[:, -WINDOW:].mean(axis=1)
        return result


def curves(records: Sequence[Record]) -> Curves | None:
    """Align seeds on the env steps that all of them have; None where there are none."""
    seeds = tuple(sorted({r["seed"] for r in records}))
    found = {(r["seed"], r["env_steps"]): r for r in records}
    steps = [
        step
        for step in sorted({r["env_steps"] for r in records})
        if all((seed, step) in found for seed in seeds)
    ]
    if not steps:
        return None
    rows = [[found[seed, step] for step in steps] for seed in seeds]

    def array(key: str) -> Array:
        return np.array([[record[key] for record in row] for row in rows], dtype=float)

    names = rows[0][0]["success_per_subtask"]
    return Curves(
        task=rows[0][0]["task"],
        seeds=seeds,
        env_steps=np.array(steps),
        success=array("success"),
        unsolved=array("success_not_solved_at_reset"),
        subtasks={
            name: np.array([[r["success_per_subtask"][name] for r in row] for row in rows])
            for name in names
        },
        seconds=array("seconds"),
        metrics={
            name: np.array([[r["metrics"].get(name) for r in row] for row in rows], dtype=float)
            for name in sorted(
                {name for row in rows for record in row for name in record["metrics"]}
            )
        },
    )


def _steps(first: int | None, trailing: int | None) -> str:
    return "-" if first is None else f"{first:,} ({'-' if trailing is None else f'{trailing:,}'})"


def table(name: str, data: Curves) -> Table:
    """Ours beside the published figures, then each seed."""
    peers: tuple[Published, ...] = published(data.task)
    ours = data.success.mean(axis=0)
    count = len(data.seeds)
    result = Table(
        title=f"{name}: {data.task}, {count} seed{'s'[: count > 1]}, "
        f"{data.env_steps[-1]:,} env steps",
    )
    result.add_column("success")
    for heading in ("ours", *(peer.method for peer in peers)):
        result.add_column(heading, justify="right")
    for level in LEVELS:
        reached = [first_reaching(data.env_steps, ours, level, window) for window in (1, WINDOW)]
        theirs = [_steps(*peer.reached.get(level, (None, None))) for peer in peers]
        result.add_row(f"{level:.0%} at", _steps(*reached), *theirs)
    result.add_section()
    success, unsolved = data.last_five(data.success), data.last_five(data.unsolved)
    result.add_row(
        "last 5 evaluations",
        f"{success.mean():.3f}",
        *(f"{peer.final:.3f} (last 20)" for peer in peers),
    )
    result.add_row("  not solved at reset", f"{unsolved.mean():.3f}")
    for seed, value in zip(data.seeds, success, strict=True):
        result.add_row(f"  seed {seed}", f"{value:.3f}")
    result.add_row("seconds, median", f"{statistics.median(data.seconds[:, -1].tolist()):,.0f}")
    return result
