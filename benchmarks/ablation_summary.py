"""What the records of an ablation say: curves of each row, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.records import Records
from benchmarks.suite import Row, Suite, reused
from benchmarks.summary import LEVELS, WINDOW, Array, Curves, curves, first_reaching

LEGEND = (
    "At: env steps at which the trailing mean over five evaluations of the mean over seeds first "
    "reaches the level. After: median over seeds of the wall-clock seconds to there, on one core a "
    "seed; rows made at other times had other company on the machine. Best: the highest such mean. "
    "Last: the mean of each seed's last five evaluations, as are the figures right of it. Q - MC: "
    "Q of the first action of an evaluation episode minus the return that followed (lower where "
    "goals are met within a part of epsilon only, as Q counts by that part and the return by the "
    "whole). INNR: relabelled samples of the last subtask whose reward is 0 whatever the action. "
    "Contact: collected episodes in which the object was touched."
)
"""How to read the table."""


@dataclass(frozen=True)
class RowCurves:
    """A row, its place in the suite, its recorded evaluations, and the file that holds them."""

    row: Row
    place: int
    curves: Curves
    records: Records

    @property
    def success(self) -> Array:
        """Share of episodes solved at their last step, [S, E]."""
        return self.curves.success

    @property
    def last(self) -> str:
        """Name of the last subtask, the task itself."""
        return list(self.curves.subtasks)[-1]

    def metric(self, name: str) -> Array:
        """[S, E]; NaN where it was not recorded."""
        missing = np.full_like(self.success, np.nan)
        return self.curves.metrics.get(name, missing)

    @property
    def q_gap(self) -> Array:
        """Q minus the return that followed, [S, E]; above 0 is over-estimation."""
        return self.metric(f"eval/q/{self.last}") - self.metric(
            f"eval/monte_carlo_return/{self.last}"
        )

    @property
    def innr(self) -> Array:
        """Share of inert samples among the relabelled ones of the last subtask, [S, E]."""
        return self.metric(f"relay/innr_share/{self.last}")

    @property
    def contact(self) -> Array:
        """Share of collected episodes in which an object was touched, [S, E]."""
        return self.metric("relay/contact_rate")

    @property
    def reach(self) -> Array:
        """Success of the first subtask under its own policy, [S, E]; NaN in a chain of one."""
        names = list(self.curves.subtasks)
        return self.curves.subtasks[names[0]] if len(names) > 1 else self.metric("none")

    def reaching(self, level: float) -> int | None:
        """Env steps at which the trailing mean over five evaluations first is ``level``."""
        mean = self.success.mean(axis=0)
        return first_reaching(self.curves.env_steps, mean, level, WINDOW)

    def seconds(self, env_steps: int) -> float:
        """Median over seeds of the wall-clock seconds to the evaluation at ``env_steps``."""
        at = list(self.curves.env_steps).index(env_steps)
        return float(np.median(self.curves.seconds[:, at]))

    @property
    def best(self) -> float:
        """Highest trailing mean; NaN before there are five evaluations."""
        mean = self.success.mean(axis=0)
        trailing = np.convolve(mean, np.ones(WINDOW) / WINDOW, "valid")
        return float(trailing.max()) if len(mean) >= WINDOW else float("nan")


def read(suite: Suite, results: Path) -> list[RowCurves]:
    """Rows with at least one evaluation that all their seeds share, up to the row's budget."""
    found = []
    for place, row in enumerate(suite.rows):
        own = Records(results / f"{row.name}.jsonl")
        records = reused(row, own) or own
        within = [record for record in records.read() if record["env_steps"] <= row.env_steps]
        data = curves(within)
        if data is not None:
            found.append(RowCurves(row, place, data, records))
    return found


def cells(data: RowCurves) -> list[str]:
    """One line of the table, without its label."""
    count, env_steps = len(data.curves.seeds), data.curves.env_steps[-1]
    reached = [data.reaching(level) for level in LEVELS]
    success = data.curves.last_five(data.success)
    spread = f" ± {success.std(ddof=1):.3f}" if count > 1 else ""
    return [
        str(count),
        f"{env_steps:,}",
        *("-" if steps is None else f"{steps:,}" for steps in reached),
        "-" if reached[-1] is None else f"{data.seconds(reached[-1]):,.0f} s",
        _number(data.best),
        f"{success.mean():.3f}{spread}",
        *(_number(data.curves.last_five(v).mean()) for v in (data.q_gap, data.innr, data.contact)),
    ]


HEADINGS = (
    "seeds",
    "env steps",
    *(f"{level:.0%} at" for level in LEVELS),
    f"{LEVELS[-1]:.0%} after",
    "best",
    "last ± std over seeds",
    "Q - MC",
    "INNR",
    "contact",
)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def table(name: str, rows: Sequence[RowCurves]) -> Table:
    """All rows, in the order of the suite."""
    result = Table(title=f"{name}: {rows[0].curves.task}")
    result.add_column("row")
    for heading in HEADINGS:
        result.add_column(heading, justify="right")
    for data in rows:
        result.add_row(data.row.label, *cells(data))
    return result
