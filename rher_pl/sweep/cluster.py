"""Ray: started on this machine, or joined at an address; every machine is looked at first."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import rher_pl
from rher_pl.errors import ConfigError, one_line, require

ANSWER_SECONDS = 8.0
"""Ray's own attempts to reach an address take more than a minute."""
LOOK_SECONDS = 120.0
"""Until a machine has unpacked the code and imported it."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""No messages home, no logs of Ray's own beside ours, signals are handled here."""


def require_packages(names: Sequence[str]) -> None:
    """Ray, and Optuna for a search."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    require(
        not missing,
        f"a sweep needs {' and '.join(missing)}, not installed here: pip install 'rher_pl[ray]'",
    )


def check_address(address: str) -> None:
    """Whether a Ray head answers there, found out within ten seconds.

    Raises:
        ConfigError: if none does.
    """
    hint = "start one with `ray start --head`, or leave out --address to use this machine alone"
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=ANSWER_SECONDS, check=False, text=True
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"--address {address:.80}: no Ray answers there, or it wants its token: {hint}"
        ) from error
    if done.returncode != 0:
        raise ConfigError(f"--address {address:.80}: no running Ray was found: {hint}")


@contextmanager
def joined(address: str | None, jobs: int, imports: Sequence[str]) -> Iterator[None]:
    """Ray is there: that of the address, or one of our own with ``jobs`` places.

    Raises:
        ConfigError: if there is none at the address, or it is of another version.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if address is not None:
        check_address(address)

    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    if address is None:
        options |= {"address": "local", "num_cpus": jobs, "include_dashboard": False}
    else:
        options |= {"address": address, "runtime_env": {"py_modules": code(imports)}}
    try:
        ray.init(**options)
    except Exception as error:  # of another version, or gone in this moment
        raise ConfigError(
            f"--address {address}: Ray cannot be joined ({one_line(error)[:150]}): "
            "install the same versions there and here"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def code(imports: Sequence[str]) -> list[str]:
    """Folders of the packages that every machine gets from here: ours, and the user's own.

    Raises:
        ConfigError: for a module that is one file: Ray ships packages.
    """
    folders = [str(Path(rher_pl.__file__).parent)]
    for name in imports:
        package = name.partition(".")[0]
        found = importlib.util.find_spec(package)
        places = list(found.submodule_search_locations or ()) if found else []
        require(
            bool(places),
            f"--import {name:.80} is no package: other machines get folders with an __init__.py",
        )
        folders.append(str(places[0]))
    return list(dict.fromkeys(folders))


def look(token: str, tracking_uri: str) -> dict[str, Any]:
    """What a machine sees; run there.

    Args:
        token: path of a file in the sweep's folder.
        tracking_uri: of the store.
    """
    from rher_pl.tracking.provenance import versions
    from rher_pl.tracking.uri import check_tracking_uri

    problem = ""
    try:
        if not tracking_uri.startswith("sqlite:"):
            check_tracking_uri(tracking_uri)
    except ConfigError as error:
        problem = str(error)
    machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    seen = Path(token).is_file()
    found = versions()
    return {"versions": found, "code": digest(), "seen": seen, "store": problem, "machine": machine}


def digest() -> str:
    """Of the source of this package: the same text everywhere gives the same results."""
    found = hashlib.sha256()
    root = Path(rher_pl.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".cpp", ".h", ".xml"):
            found.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return found.hexdigest()


def check_machines(folder: Path, tracking_uri: str, gpus: int) -> None:
    """Every machine runs the same code and versions, and sees the folder and the store.

    Raises:
        ConfigError: names the first machine that does not, and what to do.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = folder / f"token.{uuid.uuid4().hex}"
    token.touch()
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    try:
        asked = {}
        for node in nodes:
            strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            remote = ray.remote(num_cpus=0, max_retries=0)(look)
            task = remote.options(scheduling_strategy=strategy).remote(str(token), tracking_uri)
            asked[task] = node["NodeManagerAddress"]
        here = look(str(token), tracking_uri)
        for task, name in asked.items():
            try:
                found = ray.get(task, timeout=LOOK_SECONDS)
            except Exception as error:  # of Ray, or of an import there
                raise ConfigError(
                    f"machine {name} cannot run rher_pl ({one_line(error)[-120:]}): "
                    "install it there as here"
                ) from error
            compare(name, found, here, folder, tracking_uri)
    finally:
        with suppress(OSError):
            token.unlink()
    require(bool(nodes), "the cluster has no machine with a core for trials: start a worker")
    require(
        not gpus or ray.cluster_resources().get("GPU", 0) >= gpus,
        "trainer.accelerator asks for a GPU and the cluster has none: write cpu, or add a machine",
    )


def compare(
    name: str, found: dict[str, Any], here: dict[str, Any], folder: Path, tracking_uri: str
) -> None:
    """Refuse a machine that would compute something else, or record elsewhere."""
    other = [
        f"{key} {found['versions'].get(key, 'missing')} (here {value})"
        for key, value in here["versions"].items()
        if key != "rher_pl" and found["versions"].get(key) != value
    ]
    require(
        not other,
        f"machine {name} has other versions: {', '.join(other):.120}: install the same there",
    )
    require(found["code"] == here["code"], f"machine {name} runs other code: install the same")
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
