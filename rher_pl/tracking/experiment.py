"""How a run begins: its experiment, its name, its parameters."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rher_pl.errors import ConfigError
from rher_pl.tracking import provenance
from rher_pl.tracking.client import ENDED_BY, connect, short
from rher_pl.tracking.existing import exists, require_same_run, require_something_left
from rher_pl.tracking.mlflow_run import MLflowRun
from rher_pl.tracking.moving import follow_folder
from rher_pl.tracking.store import creating, sqlite_path

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def begin_run(
    tracking_uri: str,
    artifacts: Path,
    experiment: str,
    name: str,
    run_id: str | None,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    fresh: bool = False,
    over: str | None = None,
) -> MLflowRun:
    """Continue the run ``run_id`` if the store has it, else make a new one.

    Args:
        tracking_uri: of the store.
        artifacts: folder for the artifacts of an experiment made here in a local store; a server
            chooses its own place.
        experiment: name of the experiment.
        name: of a new run.
        run_id: of the run to continue, or None.
        tags: set now.
        params: parameters; those that the run has already are not logged, as MLflow cannot change
            them.
        fresh: whether training begins anew, so that the run ``run_id`` must be there, untrained.
        over: what to change to train on, if nothing is left to train.

    Raises:
        ConfigError: if the store cannot be used, if the run has other options or was trained, or if
            nothing is left to do.
    """
    local = sqlite_path(tracking_uri)
    try:
        with creating(tracking_uri):
            if local is not None and local.parent.absolute() == artifacts.parent.absolute():
                follow_folder(local, artifacts)
            client = connect(tracking_uri)
            if run_id is not None and (fresh or exists(client, run_id)):
                require_same_run(client, run_id, params, fresh)
                require_something_left(client, None if fresh else run_id, over)
                client.update_run(run_id, status="RUNNING")
                if ENDED_BY in client.get_run(run_id).data.tags:
                    client.delete_tag(run_id, ENDED_BY)
            else:
                require_something_left(client, None, over)
                experiment_id = make_experiment(client, experiment, artifacts if local else None)
                run_id = str(client.create_run(experiment_id, run_name=name).info.run_id)
        _describe(client, run_id, tags, params)
        return MLflowRun(client, run_id)
    except ConfigError:
        raise
    except Exception as error:  # of MLflow, or of a database below it
        raise cannot_record(tracking_uri, error) from error


def cannot_record(tracking_uri: str, error: Exception) -> ConfigError:
    """The error for a store that fails; names it, unless its address may hold a password."""
    file = sqlite_path(tracking_uri)
    named = tracking_uri.startswith("http") and "@" not in tracking_uri
    store = f"the database {file}" if file else tracking_uri if named else "the store"
    return ConfigError(
        f"recorder.tracking_uri: {store[-120:]} cannot be recorded to ({short(error)[:90]}): "
        "repair it, or name a new one"
    )


def default_run_name(last_subtask: str, algorithm: str, seed: int) -> str:
    """Such as ``push-td3-seed0-0131-0930``: last subtask, algorithm, seed, date and time."""
    return f"{last_subtask}-{algorithm}-seed{seed}-{time.strftime('%m%d-%H%M')}"


def run_tags(task: str, algorithm: str, seed: int) -> dict[str, str]:
    """Tags to find runs by, and the commit and hardware of this one.

    Versions are left out: MLflow's page shows all tags above the result, and they are a dozen.
    """
    tags = {"task": task, "algorithm": algorithm, "seed": str(seed)}
    return tags | provenance.git_state() | provenance.hardware()


def parameters(**groups: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a run by option name, such as ``model.gamma``, from groups of options."""
    return {
        f"{group}.{name}": str(value)
        for group, options in groups.items()
        for name, value in options.items()
    }


def _describe(
    client: MlflowClient, run_id: str, tags: Mapping[str, str], params: Mapping[str, str]
) -> None:
    from mlflow.entities import Param, RunTag

    known = client.get_run(run_id).data
    unset = {key for key, value in tags.items() if value == "None" and key not in known.tags}
    client.log_batch(
        run_id,
        params=[Param(key, value) for key, value in params.items() if key not in known.params],
        tags=[RunTag(key, value) for key, value in tags.items() if key not in unset],
    )


def make_experiment(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    """The id of the experiment of that name, made if there is none."""
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage != "deleted":
        return str(found.experiment_id)
    from mlflow.exceptions import MlflowException

    location = None if artifacts is None else artifacts.resolve().as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException:  # another process made it at the same time
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
