"""The SQLite file that MLflow records to, made by one process at a time.

``python -m rher_pl.tracking.store sqlite:///mlruns/mlflow.db`` makes it if it is not there, which a
viewer that starts together with a first run must do before it looks.
"""

from __future__ import annotations

import argparse
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def default_store(folder: str | Path) -> str:
    """URI of the store that runs in an output folder are recorded to, unless another is named."""
    return f"sqlite:///{folder}/mlflow.db"


def absolute_uri(tracking_uri: str) -> str:
    """A SQLite URI with an absolute path: MLflow keeps stores by URI when the folder changes."""
    path = sqlite_path(tracking_uri)
    return tracking_uri if path is None else f"sqlite:///{path.absolute()}"


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a SQLite URI, None for any other store."""
    prefix, _, path = tracking_uri.partition("sqlite:///")
    return None if prefix or not path else Path(path)


@contextmanager
def creating(tracking_uri: str) -> Iterator[None]:
    """Keeps other processes of this package from making the same tables at the same moment."""
    path = sqlite_path(tracking_uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Make the tables of a store."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tracking_uri", help="such as sqlite:///mlruns/mlflow.db")
    uri = parser.parse_args().tracking_uri
    from mlflow.tracking import MlflowClient

    with creating(uri):
        MlflowClient(absolute_uri(uri)).search_experiments(max_results=1)


if __name__ == "__main__":
    main()
