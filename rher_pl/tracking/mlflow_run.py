"""An MLflow run that is written in the background and loses nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rher_pl.errors import warn
from rher_pl.tracking.client import end_run
from rher_pl.tracking.late_writes import LateWrites
from rher_pl.tracking.metric_queue import MetricQueue, Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.tracking import MlflowClient

PATIENCE = 5.0  # seconds that the end of a run waits for a store that takes nothing


class MLflowRun:
    """A thin handle on one run.

    Metrics are queued and sent by a thread (see :class:`MetricQueue`). Metrics that the run has
    already are not sent again: it may have been stopped after the checkpoint that it continues
    from. All else is written at once, or when the store is back (see :class:`LateWrites`).

    Args:
        client: of the store.
        run_id: of a run that exists; see ``experiment.py`` for how one begins.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        info = client.get_run(run_id).info
        self.experiment_id, self.name = str(info.experiment_id), str(info.run_name)
        self.stored = _stored_steps(client, run_id)
        self.queue = MetricQueue(self._send)
        self._late = LateWrites(lambda: self.queue.away)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Queue metrics; ``step`` is in env steps."""
        values = {name: readable(value) for name, value in metrics.items()}
        self.log_point({"step": step, "time": int(time.time() * 1000), "values": values})

    def log_point(self, point: Point) -> None:
        """Queue those metrics of a point that the run does not have yet."""
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
            self._late.write(key, partial(self.client.set_tag, self.run_id, key, value))

    def set_experiment_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the experiment that the run belongs to."""
        write = self.client.set_experiment_tag
        for key, value in tags.items():
            self._late.write(f"experiment {key}", partial(write, self.experiment_id, key, value))

    def log_text(self, text: str, file: str) -> None:
        """Write a text file."""
        self._late.write(file, lambda: self.client.log_text(self.run_id, text, file))

    def log_dict(self, values: dict[str, Any], file: str) -> None:
        """Write plain values as JSON or YAML, by the file's suffix."""
        self._late.write(file, lambda: self.client.log_dict(self.run_id, values, file))

    def log_figure(self, figure: Figure, file: str) -> None:
        """Write a picture."""
        self._late.write(file, lambda: self.client.log_figure(self.run_id, figure, file))

    def log_file(self, path: Path, folder: str) -> None:
        """Copy a file to a folder of the run."""
        self._late.write_path(
            path, lambda file: self.client.log_artifact(self.run_id, str(file), folder)
        )

    def log_model(self, folder: Path, name: str, step: int) -> None:
        """Log a saved model: ``models:/<its id>`` and ``runs:/<run id>/<name>`` then load it.

        Nothing is done if the run has a model of this step already.
        """
        made: list[str] = []  # the model's id: another try writes to the same model
        self._late.write_path(folder, lambda saved: self._log_model(saved, name, step, made))

    def _log_model(self, folder: Path, name: str, step: int, made: list[str]) -> None:
        from mlflow.entities import LoggedModelOutput

        if not made:
            outputs = self.client.get_run(self.run_id).outputs
            if outputs and any(each.step == step for each in outputs.model_outputs):
                return
            model = self.client.create_logged_model(
                self.experiment_id, name=name, source_run_id=self.run_id
            )
            made.append(str(model.model_id))
        self.client.log_model_artifacts(made[0], str(folder))
        self.client.finalize_logged_model(made[0], "READY")
        self.client.log_outputs(self.run_id, [LoggedModelOutput(made[0], step)])

    def end(self, status: str, tags: Mapping[str, str]) -> bool:
        """Send what is queued, then set the run's status: FINISHED, FAILED or KILLED.

        Returns:
            whether the store has everything.
        """
        if left := self.queue.close(PATIENCE):
            warn(
                f"{left} batches of metrics did not reach MLflow; when it is back, "
                "continue from the last checkpoint (--ckpt_path last), which has them"
            )
            return False
        self._late.catch_up()
        if waiting := self._late.waiting:
            warn(
                f"MLflow never took {', '.join(waiting)[:160]}: make its artifact folder writable; "
                "the run's checkpoints have all that was learned"
            )
        return end_run(self.client, self.run_id, status, tags)


def readable(value: float) -> float:
    """A value with as many digits as float32 has: 0.94, not 0.9399999976."""
    return value if float(value).is_integer() else float(f"{value:.7g}")


def _stored_steps(client: MlflowClient, run_id: str) -> dict[str, int]:
    """Last step of each metric that the run has; points arrive in order, so none is missing."""
    names = client.get_run(run_id).data.metrics
    return {
        name: max(metric.step for metric in client.get_metric_history(run_id, name))
        for name in names
    }
