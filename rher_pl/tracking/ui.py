"""How to look at what was recorded, from where the user is."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from rher_pl.tracking.store import default_store

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
