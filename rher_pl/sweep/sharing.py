"""What the machines of a sweep must share: its folder, and the store that its trials record to."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from rher_pl.cluster.machines import ask, look, require_same_code
from rher_pl.errors import ConfigError, require


def look_at(token: str, tracking_uri: str) -> dict[str, Any]:
    """What a machine sees; this function runs on that machine.

    Args:
        token: path of a file in the sweep's folder.
        tracking_uri: of the store.
    """
    from rher_pl.tracking.uri import check_tracking_uri

    problem = ""
    try:
        if not tracking_uri.startswith("sqlite:"):
            check_tracking_uri(tracking_uri)
    except ConfigError as error:
        problem = str(error)
    return look() | {"seen": Path(token).is_file(), "store": problem}


def check_machines(folder: Path, tracking_uri: str, gpus: int) -> None:
    """Every machine runs the same code and versions, and sees the folder and the store.

    Raises:
        ConfigError: names the first machine that does not, and what to do.
    """
    import ray

    token = folder / f"token.{uuid.uuid4().hex}"
    token.touch()
    try:
        here = look_at(str(token), tracking_uri)
        for name, found in ask(look_at, str(token), tracking_uri).items():
            compare(name, found, here, folder, tracking_uri)
    finally:
        with suppress(OSError):
            token.unlink()
    require(
        not gpus or ray.cluster_resources().get("GPU", 0) >= gpus,
        "trainer.accelerator asks for a GPU and the cluster has none: write cpu, or add a machine",
    )


def compare(
    name: str, found: dict[str, Any], here: dict[str, Any], folder: Path, tracking_uri: str
) -> None:
    """Refuse a machine that would compute something else, or record elsewhere."""
    require_same_code(name, found, here)
    require(
        found["seen"],
        f"machine {name} does not see {folder}: all machines need it on a shared disk; "
        "say where with --folder",
    )
    is_file = tracking_uri.startswith("sqlite:")
    require(
        not is_file or found["machine"] == here["machine"],
        f"machine {name} cannot record to a SQLite file on this one: start `mlflow server` and "
        "give --tracking_uri http://<host>:<port>",
    )
    require(not found["store"], f"machine {name}: {found['store']}")
