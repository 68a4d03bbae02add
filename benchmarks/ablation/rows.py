"""Figures of each row of a suite that explain its success."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.ablation.suite import Row, Suite
from benchmarks.learning.records import Record, Records
from rher_pl.compare.curves import read_records
from rher_pl.compare.groups import Group, make_groups
from rher_pl.compare.statistics import Array, Centre, last_five

LEGEND = (
    "Means over seeds of the last five evaluations. Q - MC: Q of the first action of an evaluation "
    "episode minus the return that followed (lower if reward_radius is below 1: Q is learned from "
    "rewards within that part of epsilon, the return counts all of epsilon). INNR: share of "
    "relabelled samples of the last subtask whose reward is 0 whatever the action. Contact: share "
    "of collected episodes in which the object was touched. First subtask: its success; in records "
    "of rher_pl 0.1, under its own policy. Last policy: success of the last subtask's policy "
    "alone, without serving."
)
"""How to read :func:`explanation`."""


@dataclass(frozen=True)
class RowCurves:
    """A row with its recorded evaluations.

    Args:
        row: of the suite.
        group: its success over S seeds and E evaluations.
        records: all that is recorded of it.
    """

    row: Row
    group: Group
    records: list[Record]

    @property
    def subtasks(self) -> list[str]:
        return list(self.records[0]["success_per_subtask"])

    def metric(self, name: str) -> Array:
        """A metric at all evaluations, [S, E]; NaN where it was not recorded."""
        return self._values(lambda record: record["metrics"].get(name))

    @property
    def q_gap(self) -> Array:
        """Q minus the return that followed, [S, E]; above 0 is over-estimation."""
        last = self.subtasks[-1]
        return self.metric(f"eval/q/{last}") - self.metric(f"eval/monte_carlo_return/{last}")

    @property
    def innr(self) -> Array:
        """INNR share of the last subtask's relabelled samples, see ``LEGEND``, [S, E]."""
        return self.metric(f"relay/innr_share/{self.subtasks[-1]}")

    @property
    def contact(self) -> Array:
        """Share of collected episodes in which an object was touched, [S, E]."""
        return self.metric("relay/contact_rate")

    @property
    def last_policy(self) -> Array:
        """Success of the last subtask's policy alone, [S, E]."""
        return self.metric("eval/success_last_policy")

    @property
    def reach(self) -> Array:
        """Success of the first subtask, [S, E]; NaN in a chain of one."""
        first = self.subtasks[0] if len(self.subtasks) > 1 else "none"
        return self._values(lambda record: record["success_per_subtask"].get(first))

    def _values(self, read: Callable[[Record], float | None]) -> Array:
        found = {(r["seed"], r["env_steps"]): read(r) for r in self.records}
        steps = self.group.env_steps.tolist()
        return np.array([[found[seed, step] for step in steps] for seed in self.group.seeds], float)


def read(suite: Suite, results: Path) -> list[RowCurves]:
    """The rows that have records."""
    return [
        make(row, records)
        for row in suite.rows
        if (records := Records(results / suite.name / row.name)).read()
    ]


def make(row: Row, records: Records) -> RowCurves:
    """A row with what is recorded of it."""
    (group,) = make_groups(read_records(records.path, "success"), Centre.mean)
    return RowCurves(row, replace(group, label=row.label), records.read())


def explanation(rows: Sequence[RowCurves]) -> Table:
    """A line of figures for each row; the last policy has a column only if it was recorded."""
    columns: dict[str, Callable[[RowCurves], Array]] = {
        "Q - MC": lambda data: data.q_gap,
        "INNR": lambda data: data.innr,
        "contact": lambda data: data.contact,
        "first subtask": lambda data: data.reach,
    }
    if any(np.isfinite(data.last_policy).any() for data in rows):
        columns["last policy"] = lambda data: data.last_policy
    table = Table("row", title="what explains it")
    for heading in columns:
        table.add_column(heading, justify="right")
    for data in rows:
        values = (last_five(read(data)).mean() for read in columns.values())
        table.add_row(data.row.label, *map(_number, values))
    return table


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
