"""Makes the SQLite file that MLflow records to, one process at a time.

``python -m rher_pl.tracking.store sqlite:///mlruns/mlflow.db`` makes it if it is not there, for a
viewer that starts together with a first run. With ``--server`` it prints where to begin in that
viewer.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rher_pl.system import locked
from rher_pl.tracking.making import make_database

URI_VARIABLE = "MLFLOW_TRACKING_URI"


def store_of(folder: str | Path, tracking_uri: str | None) -> str:
    """URI of the store: ``tracking_uri``, else that of MLflow's own variable, else the default."""
    return tracking_uri or os.environ.get(URI_VARIABLE) or default_store(folder)


def named_by(tracking_uri: str | None, option: str) -> str:
    """What chose the store, for messages: the environment variable, or else the option."""
    return URI_VARIABLE if not tracking_uri and os.environ.get(URI_VARIABLE) else option


def default_store(folder: str | Path) -> str:
    """URI of the store that runs in an output folder are recorded to, unless another is named."""
    return f"sqlite:///{folder}/mlflow.db"


def absolute_uri(tracking_uri: str) -> str:
    """A SQLite URI with an absolute path: MLflow caches stores by URI, whatever the folder is."""
    path = sqlite_path(tracking_uri)
    return tracking_uri if path is None else f"sqlite:///{path.absolute()}"


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a SQLite URI, None for any other store."""
    prefix, _, path = tracking_uri.partition("sqlite:///")
    return None if prefix or not path else Path(path)


@contextmanager
def creating(tracking_uri: str) -> Iterator[None]:
    """Make the tables of a SQLite store, and hold its lock while the context lasts."""
    path = sqlite_path(tracking_uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        locked(lock, wait=True)
        make_database(path)
        yield


def main() -> None:
    """Make the tables of a store, and print where to look at what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tracking_uri", help="such as sqlite:///mlruns/mlflow.db")
    parser.add_argument("--server", help="address of the viewer, such as http://127.0.0.1:5000")
    options = parser.parse_args()
    with creating(options.tracking_uri):
        pass
    path = sqlite_path(options.tracking_uri)
    if options.server and path is not None:
        from rher_pl.tracking.ui import where_to_look

        print(*where_to_look(path, options.server), sep="\n")


if __name__ == "__main__":
    main()
