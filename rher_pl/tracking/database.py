"""MLflow's SQLite database: made whole or not at all, and its artifacts where its folder is now.

MLflow makes its tables one by one, and cannot go on with some of them. It keeps absolute paths of
artifacts, which are wrong once the folder that holds both was moved.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from rher_pl.errors import require

LOCATIONS = (
    ("runs", "artifact_uri", "run_uuid"),
    ("logged_models", "artifact_location", "model_id"),
    ("experiments", "artifact_location", "experiment_id"),
)
"""Where MLflow keeps paths of artifacts: table, column, key."""


def make_database(path: Path) -> None:
    """Make the tables in a file beside, which becomes ``path`` when it is whole."""
    if path.is_file() and path.stat().st_size:
        return
    from mlflow.tracking import MlflowClient

    draft = path.with_name(path.name + ".draft")
    for leftover in (draft, draft.with_name(draft.name + "-journal")):
        leftover.unlink(missing_ok=True)
    MlflowClient(f"sqlite:///{draft.absolute()}").search_experiments(max_results=1)
    os.replace(draft, path)


def require_whole(path: Path, option: str) -> None:
    """Raise :class:`ConfigError` for a database that MLflow did not finish making.

    The last thing it makes is its default experiment, so there can be no run yet.
    """
    try:
        with _opened(path, "ro") as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            begun = bool(tables & {"experiments", "runs", "alembic_version"})
            whole = "experiments" in tables and _any(database, "experiments")
            whole = whole and "alembic_version" in tables and _any(database, "alembic_version")
    except sqlite3.Error:
        return  # busy, or none that SQLite can read: MLflow says so
    require(
        whole or not begun,
        f"{option}: {path} is half made, as a first start that was stopped leaves it, and holds "
        "no runs: delete it",
    )


def _any(database: sqlite3.Connection, table: str) -> bool:
    return database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None


def follow_folder(path: Path, artifacts: Path) -> None:
    """Look here for what was recorded in a folder that was moved here, or of which this is a copy.

    A location is changed if its files are here, or if the folder that it lies in is no more.

    Args:
        path: of the database.
        artifacts: folder beside it that holds the artifacts of all its runs.
    """
    here = artifacts.resolve().as_uri()
    with _opened(path, "rw") as database, database:
        found = database.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        for (root,) in found:
            ours = str(root).startswith("file://") and str(root).endswith(f"/{artifacts.name}")
            if ours and root != here:
                _relocate(database, root, here)


def _relocate(database: sqlite3.Connection, root: str, here: str) -> None:
    """Put the URI ``here`` for ``root`` at the beginning of locations."""
    gone, copied = not _path(root).exists(), False
    for table, column, key in LOCATIONS:
        for name, value in database.execute(f"SELECT {key}, {column} FROM {table}").fetchall():
            below = str(value).removeprefix(root)
            if below == value or (below and not below.startswith("/")):
                continue
            if gone or (_path(here + below).exists() if below else copied):
                copied = True
                change = f"UPDATE {table} SET {column} = ? WHERE {key} = ?"
                database.execute(change, (here + below, name))


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """The database in a file that is there."""
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"
    with closing(sqlite3.connect(address, uri=True, timeout=5.0)) as database:
        yield database
