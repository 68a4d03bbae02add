"""Finds artifacts after their folder was moved: MLflow stores absolute paths."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rher_pl.tracking.making import opened

LOCATIONS = (
    ("runs", "artifact_uri", "run_uuid"),
    ("logged_models", "artifact_location", "model_id"),
    ("experiments", "artifact_location", "experiment_id"),
)
"""Where MLflow keeps paths of artifacts: table, column, key."""


def follow_folder(path: Path, artifacts: Path) -> None:
    """Change the locations in a database that was moved or copied together with its artifacts.

    A location is changed if its files are in the present folder, or if the old folder is gone.

    Args:
        path: of the database.
        artifacts: folder beside it that holds the artifacts of all its runs.
    """
    here = artifacts.resolve().as_uri()
    with opened(path, "rw") as database, database:
        found = database.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        for (root,) in found:
            ours = str(root).startswith("file://") and str(root).endswith(f"/{artifacts.name}")
            if ours and root != here:
                _relocate(database, root, here)


def _relocate(database: sqlite3.Connection, root: str, here: str) -> None:
    """Replace ``root`` at the beginning of locations by the URI ``here``."""
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
