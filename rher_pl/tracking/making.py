"""MLflow's SQLite database, made whole or not at all.

MLflow makes its tables one by one, and cannot go on if it was stopped in between.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from rher_pl.errors import require

LOCKED_SECONDS = 5.0
"""To wait for a database that another program uses; MLflow's own writes take far less."""


def make_database(path: Path) -> None:
    """Make the tables in a draft beside ``path``, which is renamed when it is whole."""
    if path.is_file() and path.stat().st_size:
        return
    from mlflow.tracking import MlflowClient

    beside, name = path.absolute().parent, f"{path.name}.draft-"
    for leftover in beside.glob(f"{escape(name)}*"):  # of a process that was killed here
        shutil.rmtree(leftover, ignore_errors=True)
    with TemporaryDirectory(prefix=name, dir=beside) as folder:
        draft = Path(folder) / path.name
        MlflowClient(f"sqlite:///{draft}").search_experiments(max_results=1)
        os.replace(draft, path)


def require_whole(path: Path, option: str) -> None:
    """Raise :class:`ConfigError` for a database that MLflow did not finish making.

    The last thing it makes is its default experiment, so there can be no run yet.
    """
    try:
        with opened(path, "ro") as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            begun = bool(tables & {"experiments", "runs", "alembic_version"})
            whole = "experiments" in tables and _any(database, "experiments")
            whole = whole and "alembic_version" in tables and _any(database, "alembic_version")
    except sqlite3.Error:
        return  # locked, or not readable by SQLite: MLflow reports that
    require(
        whole or not begun,
        f"{option}: {path} is half made, because its first start was stopped, and holds no runs: "
        "delete it",
    )


def _any(database: sqlite3.Connection, table: str) -> bool:
    return database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None


@contextmanager
def opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """An existing SQLite database; ``mode`` is ``ro`` (read) or ``rw`` (write)."""
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"
    with closing(sqlite3.connect(address, uri=True, timeout=LOCKED_SECONDS)) as database:
        yield database
