"""MLflow's client, set up to fail within seconds."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rher_pl.tracking.store import absolute_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

HTTP_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""Seconds, and times: MLflow's own retries take minutes, and ours come after them."""


def connect(tracking_uri: str) -> MlflowClient:
    """A client whose requests fail within seconds rather than minutes."""
    from mlflow.tracking import MlflowClient

    for name, value in HTTP_LIMITS.items():
        os.environ.setdefault(name, value)
    return MlflowClient(absolute_uri(tracking_uri))


def end_run(client: MlflowClient, run_id: str, status: str, tags: Mapping[str, str]) -> bool:
    """Set a run's status and last tags; whether the store took them."""
    try:
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
        client.set_terminated(run_id, status)
    except Exception as error:  # a store has many ways to fail
        warn_not_taken(f"the status {status}", error)
        return False
    return True


def end_run_within(seconds: float, client: MlflowClient, run_id: str, ended_by: str) -> None:
    """Set a run's status to KILLED as this process is about to end; safe in any thread."""
    arguments = (client, run_id, "KILLED", {"ended_by": ended_by})
    writer = threading.Thread(target=end_run, args=arguments, daemon=True)
    writer.start()
    writer.join(seconds)


def warn_not_taken(what: str, error: Exception) -> None:
    """One line on stderr."""
    print(f"warning: MLflow did not take {what}: {short(error)}", file=sys.stderr, flush=True)


def short(error: Exception) -> str:
    """The first line of an error, cut where it gets long; its type if it says nothing."""
    return str(error).partition("\n")[0][:200] or type(error).__name__
