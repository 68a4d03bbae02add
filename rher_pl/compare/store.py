"""Learning curves from an MLflow store."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rher_pl.compare.curve import Curve, Point
from rher_pl.errors import ConfigError
from rher_pl.tracking.client import connect
from rher_pl.tracking.existing import exists
from rher_pl.tracking.store import sqlite_path
from rher_pl.tracking.uri import check_tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run

NOT_CONFIG = (
    "data.seed",
    "data.num_threads",
    "data.eval_envs",
    "trainer.max_epochs",
)
"""Parameters that runs of one group may differ in: they change length or speed only."""
MOST_RUNS = 5000


class Store:
    """The runs of an MLflow store.

    Args:
        tracking_uri: as in ``--recorder.tracking_uri``.

    Raises:
        ConfigError: if it cannot be read.
    """

    def __init__(self, tracking_uri: str) -> None:
        from mlflow.exceptions import MlflowException

        file = sqlite_path(tracking_uri)
        if file is not None and not file.is_file():
            raise ConfigError(f"no store {file}: say where the runs are with --tracking_uri")
        check_tracking_uri(tracking_uri, "tracking_uri")
        try:
            self.client = connect(tracking_uri)
            self.experiments = [e.experiment_id for e in self.client.search_experiments()]
        except MlflowException as error:
            raise ConfigError(f"--tracking_uri cannot be read: {error}") from error

    def read(self, name: str, metric: str) -> list[Curve]:
        """Curves of the run with that id, or of all whose names match; empty ones are left out."""
        runs = self._runs(name)
        if not runs:
            latest = self.client.search_runs(self.experiments, max_results=3)
            names = ", ".join(str(run.info.run_name) for run in latest) or "none at all"
            raise ConfigError(f"no run {name!r} in the store: the latest are {names}")
        curves = [self._curve(run, metric) for run in runs]
        return [curve for curve in curves if curve.points]

    def _runs(self, name: str) -> list[Run]:
        """The run with that id, or all whose names match, the latest first.

        The store itself filters by name: reading hundreds of other runs would take seconds.
        """
        if exists(self.client, name):
            return [self.client.get_run(name)]
        found = self.client.search_runs(
            self.experiments, f"attributes.run_name LIKE '{like(name)}'", max_results=MOST_RUNS
        )
        return [run for run in found if fnmatchcase(run.info.run_name or "", name)]

    def _curve(self, run: Run, metric: str) -> Curve:
        seconds, updates = self._history(run, "perf/seconds"), self._history(run, "perf/updates")
        params, tags = dict(run.data.params), run.data.tags
        return Curve(
            source=run.info.run_id,
            task=tags.get("task", params.get("data.task", "")),
            seed=int(tags.get("seed", params.get("data.seed", 0))),
            config={key: value for key, value in params.items() if key not in NOT_CONFIG},
            points={
                step: Point(value, _at(updates, step), _at(seconds, step))
                for step, value in self._history(run, f"eval/{metric}").items()
            },
        )

    def _history(self, run: Run, metric: str) -> dict[int, float]:
        """Values by env steps; the latest if there are several at one step."""
        entries = self.client.get_metric_history(run.info.run_id, metric)
        ordered = sorted(entries, key=lambda entry: (entry.step, entry.timestamp))
        return {entry.step: entry.value for entry in ordered}


def like(pattern: str) -> str:
    """An SQL pattern that matches at least what a pattern of file names matches."""
    plain = re.sub(r"\[.*", "*", pattern)  # ranges have no counterpart
    return re.sub(r"['\"\\?]", "_", plain).replace("*", "%")


def _at(history: dict[int, float], step: int) -> Any:
    """The last value up to a step, or None."""
    return next((history[s] for s in sorted(history, reverse=True) if s <= step), None)
