"""Checks within seconds that an MLflow store can be reached; MLflow's retries take minutes.

Each check raises :class:`ConfigError` with one line that says what to write instead.
"""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from rher_pl.errors import ConfigError, require
from rher_pl.tracking.database import check_database
from rher_pl.tracking.store import default_store

CONNECT_SECONDS = 5.0
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
EXAMPLE = default_store("mlruns")
OPTION = "recorder.tracking_uri"


def check_tracking_uri(uri: str, option: str = OPTION) -> None:
    """Check that the store of a URI can be reached.

    Args:
        uri: of an MLflow store.
        option: that it was given with, for messages.

    Raises:
        ConfigError: if the URI is malformed, or nothing usable answers there.
    """
    scheme = uri.partition(":")[0].partition("+")[0] if "://" in uri else ""
    if scheme == "sqlite":
        _check_sqlite(uri, option)
    elif scheme in ("http", "https"):
        _check_server(uri, option)
    elif scheme in DATABASE_PORTS:
        _check_port(uri, DATABASE_PORTS[scheme], option)
    else:
        raise ConfigError(
            f"{option} {uri!r:.200} is not one that MLflow can record to: "
            f"write {EXAMPLE} or http://<host>:<port>"
        )


def _check_sqlite(uri: str, option: str) -> None:
    path = uri.removeprefix("sqlite:///")
    require(
        uri.startswith("sqlite:///") and bool(path.strip("/")),
        f"{option} {uri!r:.200} names no file: write {EXAMPLE}",
    )
    require(
        "?" not in path,
        f"{option} {uri!r:.100} has options after the file name: leave out what begins with the ?",
    )
    check_database(Path(path), option, EXAMPLE)


def _check_server(uri: str, option: str) -> None:
    try:
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=CONNECT_SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):  # the server asks for a login, which MLflow's client sends
            return
        raise ConfigError(
            f"{option} {uri} answers, but is no MLflow server (status {error.code}): "
            f"write {EXAMPLE} or http://<host>:<port>"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{option} {uri} cannot be reached: start `mlflow server` there, or write {EXAMPLE}"
        ) from error


def without_password(text: str) -> str:
    """A text with ``***`` in place of the password of each address in it."""
    return re.sub(r"(?<=://)([^/@:\s]+):[^/@\s]+@", r"\1:***@", text)


def _check_port(uri: str, default_port: int, option: str) -> None:
    try:
        parts = urlsplit(uri)
        address = (parts.hostname or "localhost", parts.port or default_port)
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:  # the URI itself may hold a password: not printed
        raise ConfigError(
            f"{option}: the database cannot be reached: start it, or write {EXAMPLE}"
        ) from error
