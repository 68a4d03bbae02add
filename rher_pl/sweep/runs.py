"""The sweep in the MLflow store: one parent run, and a child run for each trial."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rher_pl.sweep.place import Place, Trial
from rher_pl.tracking.client import ENDED_BY, connect, end_run
from rher_pl.tracking.existing import exists
from rher_pl.tracking.experiment import make_experiment
from rher_pl.tracking.store import creating, sqlite_path

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PARENT, OPTION = "mlflow.parentRunId", "sweep."
RUN_ID = "run_id"
"""File in a trial's folder."""


def begin_parent(tracking_uri: str, experiment: str, artifacts: Path, run_id: str | None) -> str:
    """Id of the run of the whole sweep: the earlier one if the store has it, or a new one."""
    with creating(tracking_uri):
        client = connect(tracking_uri)
        if run_id is not None and exists(client, run_id):
            client.update_run(run_id, status="RUNNING")
            return run_id
        local = artifacts if sqlite_path(tracking_uri) else None
        experiment_id = make_experiment(client, experiment, local)
        run = client.create_run(experiment_id, run_name=f"sweep {experiment}")
        return str(run.info.run_id)


def child_run(place: Place, trial: Trial) -> str:
    """Id of the run of a trial, which is made once and kept in the trial's folder."""
    file = place.of(trial) / RUN_ID
    client = connect(place.tracking_uri)
    if file.is_file() and exists(client, run_id := file.read_text().strip()):
        return run_id
    tags = {PARENT: place.parent} | {OPTION + name: text for name, text in trial.options.items()}
    experiment_id = client.get_run(place.parent).info.experiment_id
    run = client.create_run(experiment_id, run_name=trial.label, tags=tags)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(run.info.run_id)
    return str(run.info.run_id)


def fail_child(place: Place, run_id: str, reason: str) -> None:
    """Mark the run of a training that failed, which may have ended before it could do so."""
    end_run(connect(place.tracking_uri), run_id, "FAILED", {ENDED_BY: reason})


def end_parent(place: Place, status: str, files: tuple[Path, ...] = ()) -> None:
    """Put results beside the parent run, and close it."""
    client: MlflowClient = connect(place.tracking_uri)
    for file in files:
        client.log_artifact(place.parent, str(file))
    end_run(client, place.parent, status, {})
