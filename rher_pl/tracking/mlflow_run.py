"""An MLflow run that is written in the background and loses nothing."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rher_pl.errors import ConfigError
from rher_pl.tracking.metric_queue import MetricQueue, Point
from rher_pl.tracking.store import absolute_uri, creating

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.tracking import MlflowClient

HTTP_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""Seconds, and times: MLflow's own retries take minutes, and ours come after them."""
PATIENCE = 5.0  # seconds that the end of a run waits for a store that takes nothing


class MLflowRun:
    """A thin handle on one run.

    Metrics are queued and sent by a thread (see :class:`MetricQueue`). Those that the run has
    already, because it was stopped after the checkpoint that it continues from, are not sent again.

    Args:
        client: of the store.
        run_id: of a run that exists.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        self.experiment_id = str(client.get_run(run_id).info.experiment_id)
        self.stored = _stored_steps(client, run_id)
        self.queue = MetricQueue(self._send)
        self._missed: dict[str, Callable[[], Any]] = {}
        self._kept: TemporaryDirectory[str] | None = None

    @classmethod
    def begin(
        cls,
        tracking_uri: str,
        artifacts: Path,
        experiment: str,
        name: str,
        run_id: str | None,
        tags: Mapping[str, str],
        params: Mapping[str, str],
    ) -> MLflowRun:
        """Continue the run ``run_id`` if the store has it, else make a new one.

        Args:
            artifacts: folder for the artifacts of an experiment made here in a local store; a
                server chooses its own place.
            tags: set now.
            params: those that the run does not have yet are logged: MLflow's cannot be changed.

        Raises:
            ConfigError: if the store cannot be used.
        """
        from mlflow.exceptions import MlflowException

        try:
            with creating(tracking_uri):
                client = connect(tracking_uri)
                if run_id is not None and _exists(client, run_id):
                    client.update_run(run_id, status="RUNNING")
                else:
                    local = tracking_uri.startswith("sqlite:")
                    experiment_id = _experiment(client, experiment, artifacts if local else None)
                    run_id = str(client.create_run(experiment_id, run_name=name).info.run_id)
            _describe(client, run_id, tags, params)
            return cls(client, run_id)
        except MlflowException as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(f"recorder.tracking_uri cannot be recorded to: {reason}") from error

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Queue metrics; ``step`` is in env steps."""
        self.log_point({"step": step, "time": int(time.time() * 1000), "values": dict(metrics)})

    def log_point(self, point: Point) -> None:
        """Queue what the run does not have yet of a point."""
        step = point["step"]
        new = {k: v for k, v in point["values"].items() if step > self.stored.get(k, -1)}
        if new:
            self.queue.put(point | {"values": new})

    def _send(self, points: list[Point]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, point["time"], point["step"])
            for point in points
            for name, value in point["values"].items()
        ]
        self.client.log_batch(self.run_id, metrics=metrics)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""
        for key, value in tags.items():
            self._attempt(key, partial(self.client.set_tag, self.run_id, key, value))

    def set_experiment_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the experiment that the run belongs to."""
        for key, value in tags.items():
            self._attempt(
                key, partial(self.client.set_experiment_tag, self.experiment_id, key, value)
            )

    def log_text(self, text: str, file: str) -> None:
        self._attempt(file, lambda: self.client.log_text(self.run_id, text, file))

    def log_dict(self, values: dict[str, Any], file: str) -> None:
        self._attempt(file, lambda: self.client.log_dict(self.run_id, values, file))

    def log_figure(self, figure: Figure, file: str) -> None:
        self._attempt(file, lambda: self.client.log_figure(self.run_id, figure, file))

    def log_file(self, path: Path, folder: str) -> None:
        if not self._attempt(path.name, lambda: self._log_file(path, folder)):
            kept = self._keep(path)
            self._missed[path.name] = lambda: self._log_file(kept, folder)

    def _log_file(self, path: Path, folder: str) -> None:
        self.client.log_artifact(self.run_id, str(path), folder)

    def log_model(self, folder: Path, name: str, step: int) -> None:
        """Log a saved model: ``models:/<its id>`` and ``runs:/<run id>/<name>`` then load it."""
        if not self._attempt(name, lambda: self._log_model(folder, name, step)):
            kept = self._keep(folder)
            self._missed[name] = lambda: self._log_model(kept, name, step)

    def _log_model(self, folder: Path, name: str, step: int) -> None:
        from mlflow.entities import LoggedModelOutput

        model = self.client.create_logged_model(
            self.experiment_id, name=name, source_run_id=self.run_id
        )
        self.client.log_model_artifacts(model.model_id, str(folder))
        self.client.finalize_logged_model(model.model_id, "READY")
        self.client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step)])

    def _attempt(self, what: str, log: Callable[[], Any]) -> bool:
        """What cannot be recorded is reported and waits until the store is back.

        Returns:
            whether it was recorded.
        """
        if not self.queue.away:
            self._catch_up()
            return self._try(what, log)
        self._missed[what] = log
        return False

    def _catch_up(self) -> None:
        missed, self._missed = self._missed, {}
        for what, log in missed.items():
            self._try(what, log)

    def _try(self, what: str, log: Callable[[], Any]) -> bool:
        try:
            log()
        except Exception as error:  # a store has many ways to fail; none may end a run
            reason = str(error).partition("\n")[0][:200]
            print(f"warning: MLflow did not take {what}: {reason}", file=sys.stderr, flush=True)
            self._missed[what] = log
        return what not in self._missed

    def _keep(self, path: Path) -> Path:
        """A copy of a file or folder that may be gone when the store is back."""
        if self._kept is None:
            self._kept = TemporaryDirectory(prefix="rher_pl_")
        copy = Path(self._kept.name) / path.name
        try:
            if path.is_dir():
                shutil.copytree(path, copy, dirs_exist_ok=True)
            else:
                shutil.copy2(path, copy)
        except OSError:  # no room: the original is the only one, and may be there still
            return path
        return copy

    def end(self, status: str, tags: Mapping[str, str]) -> bool:
        """Send what is queued, then set the run's status: FINISHED, FAILED or KILLED.

        Returns:
            whether the store has everything.
        """
        if left := self.queue.close(PATIENCE):
            print(
                f"warning: {left} iterations of metrics did not reach MLflow; when it is back, "
                "continue from the last checkpoint (--ckpt_path last), which has them",
                file=sys.stderr,
                flush=True,
            )
            return False
        self._catch_up()
        return end_run(self.client, self.run_id, status, tags)


def connect(tracking_uri: str) -> MlflowClient:
    """A client whose requests fail within seconds rather than minutes."""
    from mlflow.tracking import MlflowClient

    for name, value in HTTP_LIMITS.items():
        os.environ.setdefault(name, value)
    return MlflowClient(absolute_uri(tracking_uri))


def end_run(client: MlflowClient, run_id: str, status: str, tags: Mapping[str, str]) -> bool:
    """Set a run's status; whether the store took it."""
    try:
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
        client.set_terminated(run_id, status)
    except Exception as error:  # a store has many ways to fail
        reason = str(error).partition("\n")[0][:200]
        print(f"warning: MLflow did not take the status {status}: {reason}", file=sys.stderr)
        return False
    return True


def _describe(
    client: MlflowClient, run_id: str, tags: Mapping[str, str], params: Mapping[str, str]
) -> None:
    from mlflow.entities import Param, RunTag

    known = client.get_run(run_id).data.params
    client.log_batch(
        run_id,
        params=[Param(key, value) for key, value in params.items() if key not in known],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )


def _stored_steps(client: MlflowClient, run_id: str) -> dict[str, int]:
    """Last step of every metric of the run; points arrive in order, so it has all before it."""
    names = client.get_run(run_id).data.metrics
    return {
        name: max(metric.step for metric in client.get_metric_history(run_id, name))
        for name in names
    }


def _exists(client: MlflowClient, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException:
        return False


def _experiment(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage != "deleted":
        return str(found.experiment_id)
    from mlflow.exceptions import MlflowException

    location = None if artifacts is None else artifacts.resolve().as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException:  # another process made it in this very moment
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
