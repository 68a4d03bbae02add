"""Existing runs and experiments that a training may be recorded to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rher_pl.errors import ConfigError, require
from rher_pl.tracking.client import connect, short
from rher_pl.tracking.store import creating

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def require_same_run(
    client: MlflowClient, run_id: str, params: Mapping[str, str], fresh: bool
) -> None:
    """Refuse to record to a run whose record would become wrong.

    Args:
        client: of the store.
        run_id: of the run.
        params: parameters of the training that begins.
        fresh: whether training begins anew.

    Raises:
        ConfigError: names the difference.
    """
    own = "leave out recorder.run_id to begin a run of its own"
    require(exists(client, run_id), f"there is no run {run_id}: {own}")
    known = client.get_run(run_id).data
    other = [f"{k} {known.params[k]}" for k, v in params.items() if known.params.get(k, v) != v]
    require(not other, f"run {run_id} has other options ({', '.join(other)!s:.120}): {own}")
    require(
        not (fresh and known.metrics),
        f"run {run_id} has been trained: add --ckpt_path last to continue it, or {own}",
    )


def require_something_left(client: MlflowClient, run_id: str | None, over: str | None) -> None:
    """Refuse to record a run in which nothing would happen.

    Args:
        client: of the store.
        run_id: of the run that is continued, None for another one.
        over: what to change to train on, if nothing is left to train; a run that is continued may
            still have to be ended.

    Raises:
        ConfigError: says what to change.
    """
    if over is None:
        return
    require(run_id is not None, f"nothing is left to train: {over}")
    finished = run_id is not None and client.get_run(run_id).info.status == "FINISHED"
    require(not finished, f"this run is finished: {over}")


def exists(client: MlflowClient, run_id: str) -> bool:
    """Whether the store has a run of that id that was not deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException:
        return False


def experiment_of(tracking_uri: str, experiment: str | None, task: str) -> str:
    """Name of the experiment: ``experiment``, else that of MLflow's own variables, else the task.

    Raises:
        ConfigError: if there is no experiment ``MLFLOW_EXPERIMENT_ID``.
    """
    named = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
    number = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if named or not number:
        return named or task
    from mlflow.exceptions import MlflowException

    try:
        with creating(tracking_uri):
            return str(connect(tracking_uri).get_experiment(number).name)
    except MlflowException as error:
        raise ConfigError(
            f"MLFLOW_EXPERIMENT_ID {number:.40} is no experiment of the store ({short(error)}): "
            "unset it, or give --recorder.experiment"
        ) from error
