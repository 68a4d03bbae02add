"""The evaluations of a run so far, with what training did between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, float]
"""One evaluation: ``env_steps``, and metrics by name."""

CLOCKS = ("perf/seconds", "perf/updates")
"""Metrics that only increase."""


class History:
    """The data of figures and benchmark records; a part of each checkpoint."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._since: list[Row] = []
        """Metrics of the iterations since the last evaluation."""

    def add_iteration(self, metrics: Row) -> None:
        """Metrics of one iteration of training."""
        self._since.append(metrics)

    def add_evaluation(self, env_steps: int, metrics: Row) -> None:
        """Close a row: an evaluation, with the means of the iterations before it."""
        self.rows.append({"env_steps": env_steps, **mean(self._since), **metrics})
        self._since = []

    def state_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {
            "history": [dict(row) for row in self.rows],
            "since": [dict(row) for row in self._since],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.rows = [dict(row) for row in state["history"]]
        self._since = [dict(row) for row in state["since"]]


def mean(iterations: Sequence[Mapping[str, float]]) -> Row:
    """Mean of each metric over the iterations that have it; of ``CLOCKS``, the last value."""
    names = {name: None for metrics in iterations for name in metrics}
    values = {name: [m[name] for m in iterations if name in m] for name in names}
    means = {name: sum(found) / len(found) for name, found in values.items()}
    return means | {name: values[name][-1] for name in names if name in CLOCKS}
