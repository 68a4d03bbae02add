"""The learning curve of one seed, from the MLflow store or from benchmark records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rher_pl.errors import ConfigError, require

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

NOT_CONFIG = (
    "data.seed",
    "data.num_threads",
    "data.eval_envs",
    "trainer.max_epochs",
)
"""Parameters that runs of one group may differ in: they change length or speed only."""


@dataclass(frozen=True)
class Point:
    """One evaluation: success in [0, 1]; counters since the start, None if not recorded."""

    success: float
    updates: int | None
    seconds: float | None


@dataclass(frozen=True)
class Curve:
    """What one run recorded.

    Args:
        source: names the run.
        task: registered task name.
        seed: of the run.
        config: what makes runs comparable, by option; runs with the same one are a group.
        points: evaluations by env steps.
    """

    source: str
    task: str
    seed: int
    config: dict[str, str]
    points: dict[int, Point]


def find(names: Sequence[str], tracking_uri: str, metric: str) -> list[Curve]:
    """The curves of all runs that are named, each once.

    Args:
        names: files of records, run ids, or patterns of run names.
        tracking_uri: MLflow store in which runs are looked up.
        metric: ``success`` or ``success_not_solved_at_reset``.

    Raises:
        ConfigError: if a name finds nothing, or nothing with an evaluation.
    """
    curves: dict[str, Curve] = {}
    store: Store | None = None
    for name in names:
        if name.endswith(".jsonl"):
            found = read_records(Path(name), metric)
        else:
            store = store or Store(tracking_uri)
            found = store.read(name, metric)
        require(bool(found), f"{name} holds no evaluation yet: name another run")
        curves |= {curve.source: curve for curve in found}
    return list(curves.values())


def read_records(path: Path, metric: str) -> list[Curve]:
    """One curve per seed of a file of benchmark records, which is one group by its name."""
    require(path.is_file(), f"no file {path}: give a run, or records such as push.jsonl")
    try:
        records = [json.loads(line) for line in path.read_text().splitlines()]
        by_seed: dict[tuple[str, int], dict[int, Point]] = {}
        for record in sorted(records, key=lambda r: (r["seed"], r["env_steps"])):
            point = Point(float(record[metric]), record["updates"], record["seconds"])
            points = by_seed.setdefault((record["task"], record["seed"]), {})
            points[record["env_steps"]] = point
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no file of benchmark records: name another one") from error
    return [
        Curve(f"{path} seed {seed}", task, seed, {"benchmark": path.stem}, points)
        for (task, seed), points in by_seed.items()
    ]


class Store:
    """The runs of an MLflow store.

    Args:
        tracking_uri: as in ``--recorder.tracking_uri``.

    Raises:
        ConfigError: if it cannot be read.
    """

    def __init__(self, tracking_uri: str) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        from rher_pl.cli.preflight import check_tracking_uri
        from rher_pl.tracking.mlflow_run import absolute_uri

        file = Path(tracking_uri.removeprefix("sqlite:///"))
        if tracking_uri.startswith("sqlite:") and not file.is_file():
            raise ConfigError(f"no store {file}: say where the runs are with --tracking_uri")
        check_tracking_uri(tracking_uri)
        try:
            self.client: MlflowClient = MlflowClient(absolute_uri(tracking_uri))
            experiments = [e.experiment_id for e in self.client.search_experiments()]
            self.runs: list[Run] = list(self.client.search_runs(experiments, max_results=5000))
        except MlflowException as error:
            raise ConfigError(f"--tracking_uri cannot be read: {error}") from error

    def read(self, name: str, metric: str) -> list[Curve]:
        """Curves of the runs of that id, or whose names match; those without evaluations not."""
        runs = [run for run in self.runs if name == run.info.run_id]
        runs = runs or [run for run in self.runs if fnmatchcase(run.info.run_name or "", name)]
        if not runs:
            latest = ", ".join(str(run.info.run_name) for run in self.runs[:3]) or "none at all"
            raise ConfigError(f"no run {name!r} in the store: the latest are {latest}")
        curves = [self._curve(run, metric) for run in runs]
        return [curve for curve in curves if curve.points]

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
        entries = self.client.get_metric_history(run.info.run_id, metric)
        ordered = sorted(entries, key=lambda entry: (entry.step, entry.timestamp))
        return {entry.step: entry.value for entry in ordered}


def _at(history: dict[int, float], step: int) -> Any:
    """The last value up to a step, or None."""
    return next((history[s] for s in sorted(history, reverse=True) if s <= step), None)
