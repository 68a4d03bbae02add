"""Checks that a SQLite file can be recorded to: it is MLflow's or new, not another program's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rher_pl.errors import ConfigError, require
from rher_pl.paths import check_writable, require_name, require_plain
from rher_pl.tracking.making import opened, require_whole

TABLES = {"alembic_version", "experiments", "runs", "metrics", "params", "tags"}
"""Tables that MLflow's database has in all versions; there are more."""


def check_database(path: Path, option: str, example: str) -> None:
    """Check a database file, if there is one, without changing it.

    Args:
        path: of the database.
        option: that the path was given with, for messages.
        example: what to write instead, for messages.

    Raises:
        ConfigError: one line that names the database.
    """
    require_name(path, option)
    require_plain(path, option)
    check_writable(str(path.parent), option)
    if not path.exists():
        return
    if path.is_file():
        require_whole(path, option)
    shown = f"{option}: {str(path)[-100:]}"
    try:
        found = _tables(path)
    except (OSError, sqlite3.Error) as error:
        locked = "locked" in str(error)
        raise ConfigError(
            f"{shown} is locked by another program: end that, or write {example}"
            if locked
            else f"{shown} is not a database that can be written ({error}): "
            f"name another file, such as {example}"
        ) from error
    require(
        not found or found >= TABLES,
        f"{shown} is the database of another program, and MLflow would add tables to it: "
        f"name another file, such as {example}",
    )


def _tables(path: Path) -> set[str]:
    """Names of the tables; none for an empty file.

    Raises:
        sqlite3.Error, OSError: if it is no database, is damaged, locked or cannot be written.
    """
    if not path.is_file():
        raise OSError("not a file")
    with opened(path, "rw") as database:
        database.execute("BEGIN IMMEDIATE")  # takes the right to write, as a test
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        database.rollback()
    return {name for (name,) in rows}
