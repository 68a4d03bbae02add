"""How to look at what was recorded, from where the user is."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from rher_pl.tracking.making import opened
from rher_pl.tracking.store import default_store

TRAINING_PAGES = "workflowType=machine_learning"
"""Part of an address: shows MLflow's pages for training, not those for language models."""
VIEW = "rher_pl"
"""Name of the view of an experiment that lists its runs with our columns."""
CHECKOUT = Path(__file__).parents[2]
"""Folder of the Makefile, where there is one."""


def open_command(tracking_uri: str) -> str:
    """The command, or the address, that shows what a store holds."""
    if tracking_uri.startswith("http"):
        return tracking_uri
    in_checkout = (CHECKOUT / "Makefile").is_file() and Path.cwd() == CHECKOUT
    if in_checkout and tracking_uri == default_store("mlruns"):
        return "make ui"
    found = shutil.which("mlflow")
    ours = found is not None and Path(found).parent == Path(sys.executable).parent
    command = "mlflow" if ours else f"{shlex.quote(sys.executable)} -m mlflow"
    return f"{command} ui --workers 1 --backend-store-uri {shlex.quote(tracking_uri)}"


def runs_page(experiment_id: str, server: str = "") -> str:
    """Address of the runs of an experiment, with success as a column.

    Args:
        experiment_id: of the experiment.
        server: address of the server; without it, the link works within MLflow's pages.
    """
    page = f"#/experiments/{experiment_id}/runs?{TRAINING_PAGES}&viewStateShareKey={VIEW}"
    return f"{server}/{page}" if server else page


def where_to_look(database: Path, server: str) -> list[str]:
    """Addresses to begin with: the runs of each task, or the list of tasks while it is empty."""
    described = f"mlflow.sharedViewState.{VIEW}"
    query = (
        "SELECT name, experiment_id FROM experiments JOIN experiment_tags USING (experiment_id) "
        "WHERE key = ? AND lifecycle_stage = 'active' ORDER BY last_update_time DESC"
    )
    with opened(database, "ro") as store:
        found = store.execute(query, [described]).fetchall()
    return [f"{name}: {runs_page(number, server)}" for name, number in found] or [
        f"nothing is recorded yet: {server}/#/experiments?{TRAINING_PAGES}"
    ]
