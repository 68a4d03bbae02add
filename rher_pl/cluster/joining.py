"""Ray: started on this machine, or joined at an address."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rher_pl
from rher_pl.errors import ConfigError, one_line, require


def require_packages(what: str, names: Sequence[str]) -> None:
    """Require optional packages to be installed.

    Args:
        what: needs them, for the message.
        names: of the packages: Ray, and Optuna for a search.

    Raises:
        ConfigError: names those that are missing.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    require(
        not missing,
        f"{what} needs {' and '.join(missing)}, not installed here: pip install 'ray[tune]' optuna",
    )


@contextmanager
def joined(address: str | None, cores: int, imports: Sequence[str]) -> Iterator[None]:
    """Join the Ray cluster at an address, or start one on this machine; leave it at the end.

    Call ``prepare_environment`` before. A cluster that this process has joined already is used, and
    not left.

    Args:
        address: of a Ray head; None starts a cluster here.
        cores: of the cluster that is started.
        imports: the user's own modules, whose packages all machines get.

    Raises:
        ConfigError: if there is no cluster at the address, or it has another version.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    if address is None:
        paths = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}  # of the user's own modules
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False}
        options |= {"runtime_env": paths}
    else:
        options |= {"address": address, "runtime_env": {"py_modules": code(imports)}}
    try:
        ray.init(**options)
    except Exception as error:  # of another version, or gone in this moment
        raise ConfigError(
            f"address {address}: Ray cannot be joined ({one_line(error)[:150]}): "
            "install the same versions there and here"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def code(imports: Sequence[str]) -> list[str]:
    """Folders of the packages that every machine gets from here: ours, and the user's own.

    Raises:
        ConfigError: for a module that is a single file: Ray ships packages only.
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
