"""An MLflow run that is written in the background and loses nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rher_pl.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.tracking import MlflowClient


class MLflowRun:
    """A thin handle on one run.

    Metrics are queued and written by a thread of MLflow's; :meth:`flush` waits for them, and
    queues again what the store refused.

    Args:
        client: of the store.
        run_id: of a run that exists.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        self._pending: list[tuple[list[Any], Any]] = []

    @classmethod
    def begin(
        cls, tracking_uri: str, artifacts: Path, experiment: str, name: str, run_id: str | None
    ) -> MLflowRun:
        """Continue the run ``run_id`` if the store has it, else make a new one.

        Args:
            artifacts: folder for the artifacts of an experiment made here in a local store; a
                server chooses its own place.

        Raises:
            ConfigError: if the store cannot be used.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        try:
            client = MlflowClient(absolute_uri(tracking_uri))
            if run_id is not None and _exists(client, run_id):
                client.update_run(run_id, status="RUNNING")
                return cls(client, run_id)
            local = tracking_uri.startswith("sqlite:")
            experiment_id = _experiment(client, experiment, artifacts if local else None)
            return cls(client, client.create_run(experiment_id, run_name=name).info.run_id)
        except MlflowException as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(f"recorder.tracking_uri cannot be recorded to: {reason}") from error

    def set_tags(self, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self.client.set_tag(self.run_id, key, value)

    def log_params(self, params: Mapping[str, str]) -> None:
        """Log parameters that the run does not have yet: MLflow's cannot be changed."""
        from mlflow.entities import Param

        known = self.client.get_run(self.run_id).data.params
        new = [Param(key, value) for key, value in params.items() if key not in known]
        self.client.log_batch(self.run_id, params=new)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Queue metrics; ``step`` is in env steps."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._submit([Metric(name, value, now, step) for name, value in metrics.items()])

    def log_text(self, text: str, file: str) -> None:
        self.client.log_text(self.run_id, text, file)

    def log_dict(self, values: dict[str, Any], file: str) -> None:
        self.client.log_dict(self.run_id, values, file)

    def log_figure(self, figure: Figure, file: str) -> None:
        self.client.log_figure(self.run_id, figure, file)

    def log_file(self, path: str, folder: str) -> None:
        self.client.log_artifact(self.run_id, path, folder)

    def log_model(self, folder: Path, name: str, step: int) -> None:
        """Log a saved model: ``models:/<its id>`` and ``runs:/<run id>/<name>`` then load it."""
        from mlflow.entities import LoggedModelOutput

        experiment = self.client.get_run(self.run_id).info.experiment_id
        model = self.client.create_logged_model(experiment, name=name, source_run_id=self.run_id)
        self.client.log_model_artifacts(model.model_id, str(folder))
        self.client.finalize_logged_model(model.model_id, "READY")
        self.client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step)])

    def flush(self) -> int:
        """Wait for queued metrics, queue again those that failed; returns how many batches did."""
        failed = [metrics for metrics, operation in self._pending if not _succeeded(operation)]
        self._pending = []
        for metrics in failed:
            self._submit(metrics)
        return len(failed)

    def end(self, status: str) -> None:
        """Write what is queued, then set the run's status: FINISHED, FAILED or KILLED."""
        if self.flush() and (lost := self.flush()):
            print(f"warning: {lost} batches of metrics were not recorded", file=sys.stderr)
        self.client.set_terminated(self.run_id, status)

    def _submit(self, metrics: list[Any]) -> None:
        operation = self.client.log_batch(self.run_id, metrics=metrics, synchronous=False)
        self._pending.append((metrics, operation))


def absolute_uri(tracking_uri: str) -> str:
    """A SQLite URI with an absolute path: MLflow keeps stores by URI when the folder changes."""
    prefix, _, path = tracking_uri.partition("sqlite:///")
    if prefix or not path:
        return tracking_uri
    return f"sqlite:///{Path(path).absolute()}"


def _succeeded(operation: Any) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        operation.wait()
    except MlflowException:
        return False
    return True


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
    location = None if artifacts is None else artifacts.resolve().as_uri()
    return str(client.create_experiment(name, artifact_location=location))
