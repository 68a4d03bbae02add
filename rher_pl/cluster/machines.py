"""The machines of a cluster; one with other code or versions is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rher_pl
from rher_pl.errors import ConfigError, one_line, require

LOOK_SECONDS = 120.0
"""Longest time for a machine to unpack the code and import it."""


def ask(question: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Run a function on each machine that has a core; returns the answers by address.

    Raises:
        ConfigError: names the first one that cannot answer, or says that there is none.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    require(bool(nodes), "the cluster has no machine with a core: start a worker")
    remote = ray.remote(num_cpus=0, max_retries=0)(question)
    asked = {}
    for node in nodes:
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = remote.options(scheduling_strategy=strategy).remote(*arguments)
        asked[node["NodeManagerAddress"]] = task
    answers = {}
    for name, task in asked.items():
        try:
            answers[name] = ray.get(task, timeout=LOOK_SECONDS)
        except Exception as error:  # of Ray, or of an import there
            raise ConfigError(
                f"machine {name} cannot run rher_pl ({one_line(error)[-120:]}): "
                "install it there as here"
            ) from error
    return answers


def look() -> dict[str, Any]:
    """Versions, code and identity of this machine."""
    from rher_pl.tracking.provenance import versions

    machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"versions": versions(), "code": digest(), "machine": machine}


def digest() -> str:
    """SHA-256 of the source of this package: the same source gives the same results."""
    found = hashlib.sha256()
    root = Path(rher_pl.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".cpp", ".h", ".xml"):
            found.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return found.hexdigest()


def check_machines() -> None:
    """Every machine runs the same code and versions.

    Raises:
        ConfigError: names the first machine that does not, and what to do.
    """
    here = look()
    for name, found in ask(look).items():
        require_same_code(name, found, here)


def require_same_code(name: str, found: dict[str, Any], here: dict[str, Any]) -> None:
    """Refuse a machine that would compute something else."""
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
