"""Where the checkpoints of recorded runs are."""

from __future__ import annotations

from pathlib import Path

from rher_pl.cli.preflight import check_tracking_uri
from rher_pl.errors import ConfigError, require
from rher_pl.tracking.mlflow_run import absolute_uri

NAMES = ("best.ckpt", "last.ckpt")
"""Of a run's checkpoints, in order of preference."""


def run_checkpoint(run_id: str, folder: str, tracking_uri: str | None) -> Path:
    """The best checkpoint of a run: from the output folder, else from its artifacts.

    Args:
        run_id: of the MLflow run, or the first characters of it.
        folder: output folder of the run.
        tracking_uri: MLflow store, by default the one in ``folder``.

    Raises:
        ConfigError: if there is no such run, or if it has no checkpoint.
    """
    folders = sorted(Path(folder).glob(f"checkpoints/{run_id}*"))
    require(
        len(folders) <= 1,
        f"{run_id} begins {len(folders)} run ids in {folder}: write more of it",
    )
    for found in (path / name for path in folders for name in NAMES):
        if found.is_file():
            return found
    uri = tracking_uri or f"sqlite:///{folder}/mlflow.db"
    if tracking_uri is None and not Path(folder, "mlflow.db").is_file():
        raise ConfigError(f"no runs in {folder}: name another --folder, or a --tracking_uri")
    check_tracking_uri(uri)
    return _download(run_id, uri)


def _download(run_id: str, uri: str) -> Path:
    """A checkpoint among the artifacts of a run; a local store's is used where it is."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    client = MlflowClient(absolute_uri(uri))
    try:
        files = {Path(file.path).name for file in client.list_artifacts(run_id, "checkpoints")}
        for name in NAMES:
            if name in files:
                return Path(client.download_artifacts(run_id, f"checkpoints/{name}"))
    except MlflowException as error:
        raise ConfigError(f"no run {run_id} in {uri}: see `make ui` for the ids of runs") from error
    raise ConfigError(f"run {run_id} has recorded no checkpoint yet: it does so at its end")
