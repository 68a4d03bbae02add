"""MLflow's client, set up to fail within seconds."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rher_pl.errors import one_line, warn
from rher_pl.tracking.store import absolute_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DATABASE_ERROR = re.compile(r"\(\w+\.\w*Error\) (?P<reason>.*)")
"""Finds a database's own message in an error text of SQLAlchemy."""
ENDED_BY = "ended_by"
"""The tag that names what ended a run before its time."""
HTTP_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""Seconds, and number of retries: by default MLflow retries for minutes, before we do."""


def connect(tracking_uri: str) -> MlflowClient:
    """A client whose requests fail within seconds rather than minutes."""
    from mlflow.tracking import MlflowClient

    for name, value in HTTP_LIMITS.items():
        os.environ.setdefault(name, value)
    return MlflowClient(absolute_uri(tracking_uri))


def end_run(client: MlflowClient, run_id: str, status: str, tags: Mapping[str, str]) -> bool:
    """Set a run's status and last tags; returns whether the store took them."""
    try:
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
        client.set_terminated(run_id, status)
    except Exception as error:  # a store has many ways to fail
        warn_not_taken(f"the status {status}", error)
        return False
    return True


def end_run_within(seconds: float, client: MlflowClient, run_id: str, ended_by: str) -> None:
    """Set a run's status to KILLED before this process ends; safe in any thread.

    It waits at most ``seconds``.
    """
    arguments = (client, run_id, "KILLED", {ENDED_BY: ended_by})
    writer = threading.Thread(target=end_run, args=arguments, daemon=True)
    writer.start()
    writer.join(seconds)


def warn_not_taken(what: str, error: Exception) -> None:
    """Warn that the store did not take ``what``."""
    warn(f"MLflow did not take {what}: {short(error)}")


def short(error: Exception) -> str:
    """An error's message, shortened: the database's own if it has one; the type if it is empty."""
    text = str(error)
    if database := DATABASE_ERROR.search(text):
        text = database["reason"]
    return one_line(text.partition("\n")[0])[:200] or type(error).__name__
