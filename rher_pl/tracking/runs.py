"""Where the checkpoints of recorded runs are."""

from __future__ import annotations

from pathlib import Path

from rher_pl.checkpoints.finding import OF_A_RUN, checkpoint_of_run
from rher_pl.errors import ConfigError
from rher_pl.tracking.store import absolute_uri, default_store, named_by, sqlite_path, store_of
from rher_pl.tracking.ui import open_command
from rher_pl.tracking.uri import check_tracking_uri


def run_checkpoint(run_id: str, folder: str, tracking_uri: str | None) -> Path:
    """The best checkpoint of a run: from the output folder, else from its artifacts.

    Args:
        run_id: of the MLflow run; in the output folder its first characters are enough.
        folder: output folder of the run.
        tracking_uri: MLflow store, by default the one in ``folder``.

    Raises:
        ConfigError: if there is no such run, or if it has no checkpoint.
    """
    if (found := checkpoint_of_run(run_id, folder)) is not None:
        return found
    uri = store_of(folder, tracking_uri)
    file = sqlite_path(uri)
    if file is not None and not file.is_file():
        raise ConfigError(
            f"no runs in {folder}: name another --folder"
            if uri == default_store(folder)
            else f"no store {uri}: name another --tracking_uri"
        )
    check_tracking_uri(uri, named_by(tracking_uri, "tracking_uri"))
    return _download(run_id, uri)


def _download(run_id: str, uri: str) -> Path:
    """A checkpoint among the artifacts of a run; that of a local store is not copied."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    client = MlflowClient(absolute_uri(uri))
    try:
        files = {Path(file.path).name for file in client.list_artifacts(run_id, "checkpoints")}
        for name in OF_A_RUN:
            if name in files:
                return Path(client.download_artifacts(run_id, f"checkpoints/{name}"))
    except MlflowException as error:
        raise ConfigError(
            f"no run {run_id} in the store: its runs are shown by {open_command(uri)}"
        ) from error
    raise ConfigError(f"run {run_id} has recorded no checkpoint yet: it does so at its end")
