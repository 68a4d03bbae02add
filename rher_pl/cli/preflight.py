"""Checks before anything is spent: checkpoint, tracking URI, output folder, limits.

Each raises :class:`ConfigError` with one line that says what to write instead.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
import yaml

from rher_pl.checkpoints.file import is_whole, read_checkpoint_file, versions
from rher_pl.cli.messages import LINKED
from rher_pl.errors import ConfigError, require
from rher_pl.training.datamodule import RelayDataModule

KEYWORDS = ("last", "best")
"""Values of ``--ckpt_path`` that stand for the newest whole checkpoint of that name."""
HARMLESS = ("data.num_threads",)
"""Options of which no result depends."""
CONNECT_SECONDS = 5.0
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
EXAMPLE_URI = "sqlite:///mlruns/mlflow.db or http://<host>:<port>"


@dataclass(frozen=True)
class MadeWith:
    """What a checkpoint says of the run that wrote it.

    Args:
        path: of the checkpoint.
        task: name of its task.
        relay: its relay, as ``Relay.description`` gives it.
        options: command line options by dotted name, with the values it was made with.
        shapes: of the module's tensors, by name.
        run_id: MLflow run that it belongs to, or None.
        versions: of the packages that wrote it, by name.
        resumable: whether replay and optimizers are in it; evaluating needs neither.
    """

    path: str
    task: str
    relay: list[list[Any]]
    options: dict[str, Any]
    shapes: dict[str, torch.Size]
    run_id: str | None
    versions: dict[str, str]
    resumable: bool

    @property
    def all_options(self) -> dict[str, Any]:
        return {"data.task": self.task, **self.options}

    def changed(self, options: Mapping[str, Any]) -> list[str]:
        """Names of options that are not those it was made with, if that can change a result."""
        before = self.options
        return [k for k in before if k not in HARMLESS and options.get(k, before[k]) != before[k]]


def find_checkpoint(keyword: str, folder: str, wanted: Mapping[str, Any]) -> str:
    """Path of the newest whole checkpoint in an output folder.

    Args:
        keyword: ``last`` takes any checkpoint that can be continued, so that the one before stands
            in for one that is damaged; ``best`` only takes ``best.ckpt``.
        folder: output folder of the runs.
        wanted: options, such as ``data.task``, that it must have been made with.

    Raises:
        ConfigError: if there is none.
    """
    names = ("last.ckpt", "previous.ckpt", "best.ckpt") if keyword == "last" else ("best.ckpt",)
    found = [path for name in names for path in Path(folder).glob(f"checkpoints/*/{name}")]
    others: list[str] = []
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        if not is_whole(path):
            print(f"warning: checkpoint {path} is damaged: looking further", file=sys.stderr)
            continue
        options = read_checkpoint(str(path)).all_options
        if all(options.get(name) == value for name, value in wanted.items()):
            return str(path)
        others.append(str(path))
    asked = " and ".join(f"{name} {value}" for name, value in wanted.items())
    raise ConfigError(
        f"no {keyword} checkpoint{' with ' + asked if asked else ''} in {folder}/checkpoints: "
        + (f"there is {others[0]}, made otherwise" if others else "give --ckpt_path a .ckpt file")
    )


def read_checkpoint(path: str) -> MadeWith:
    """Look into a checkpoint, without running code from it.

    Raises:
        ConfigError: if there is none, if it is damaged, or if another program wrote it.
    """
    require(Path(path).is_file(), f"no checkpoint {path}: --ckpt_path must name a .ckpt file")
    content = read_checkpoint_file(Path(path))
    try:
        return _made_with(path, content)
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"checkpoint {path} was not written by rher_pl: give --ckpt_path one of its .ckpt files"
        ) from error


def _made_with(path: str, content: Mapping[str, Any]) -> MadeWith:
    ours = content["rher_pl"]
    model, data = (
        dict(content.get(key, {})) for key in ("hyper_parameters", "datamodule_hyper_parameters")
    )
    options = {f"model.{key}": value for key, value in model.items()}
    options |= {f"data.{key}": value for key, value in data.items()}
    options = {key: value for key, value in options.items() if key not in LINKED}
    if precision := content.get("numerics", {}).get("precision"):
        options["trainer.precision"] = precision
    if "seed" in data:
        options["seed_everything"] = data["seed"]
    shapes = {name: value.shape for name, value in content["state_dict"].items()}
    recorder = content.get("callbacks", {}).get("RunRecorder", {})
    return MadeWith(
        path,
        str(ours["task"]),
        ours["relay"],
        options,
        shapes,
        recorder.get("run_id"),
        dict(content["header"]["versions"]),
        "optimizer_states" in content and RelayDataModule.__name__ in content,
    )


def check_made_with(made_with: MadeWith, task: str, relay: list[list[Any]], fit: bool) -> None:
    """A checkpoint continues or is evaluated on its own task only.

    Args:
        made_with: of the checkpoint.
        task: that the config says.
        relay: of that task, here.
        fit: whether training is to go on from it.
    """
    path = made_with.path
    require(
        made_with.task == task,
        f"checkpoint {path} is of task {made_with.task}, but the config says {task}: "
        f"use a config with data.task {made_with.task}, or another checkpoint",
    )
    require(
        made_with.relay == relay,
        f"checkpoint {path} has another relay than {task} has here: "
        "use the version of rher_pl that wrote it",
    )
    require(
        made_with.resumable or not fit,
        f"checkpoint {path} holds no replay or optimizers: it can be evaluated, not continued",
    )
    here = versions()
    other = {k: v for k, v in made_with.versions.items() if here.get(k, v) != v}
    if other:
        pairs = ", ".join(f"{name} {value} (here {here[name]})" for name, value in other.items())
        print(
            f"warning: checkpoint {path} was made with {pairs}: results may differ", file=sys.stderr
        )


def check_shapes(
    made_with: MadeWith, shapes: Mapping[str, torch.Size], model: Mapping[str, Any]
) -> None:
    """The networks that the config describes must be those of the checkpoint.

    Args:
        shapes: of the new module's tensors, by name.
        model: the new module's options.
    """
    if shapes == made_with.shapes:
        return
    before = made_with.options
    now = {LINKED.get(f"model.{key}", f"model.{key}"): value for key, value in model.items()}
    changed = [key for key in now if before.get(key, now[key]) != now[key]]
    wanted = ", ".join(f"--{key} {before[key]}" for key in changed)
    raise ConfigError(
        f"checkpoint {made_with.path} holds networks of other sizes: "
        + (f"use {wanted}" if wanted else "another version of rher_pl wrote it")
    )


def check_linked(configs: Sequence[Any] | None) -> None:
    """A config that sets an option which follows another one would be ignored silently."""
    for config in configs or ():
        values = yaml.safe_load(Path(str(config)).read_text())
        for key, source in LINKED.items():
            section, _, name = key.partition(".")
            require(
                name not in (values.get(section) or {}),
                f"{key} in {config} follows {source}: set {source} instead",
            )


def check_seed(seed: int) -> None:
    """NumPy's legacy generator takes 32 bits."""
    require(0 <= seed < 2**32, f"seed_everything must be in [0, {2**32}), got {seed}")


def check_limits(trainer: Any) -> None:
    """Training must have an end, or Lightning's default of 1000 epochs would be run."""
    limits = (trainer.max_epochs, trainer.max_time)
    bounded = any(limit is not None for limit in limits) or trainer.max_steps > 0
    require(
        bounded or bool(trainer.fast_dev_run),
        "trainer.max_epochs is not set: add it to the config, or --trainer.max_epochs 24",
    )
    epochs = trainer.max_epochs
    require(epochs is None or epochs >= 1, f"trainer.max_epochs must be at least 1, got {epochs}")


def check_writable(folder: str, option: str = "--recorder.folder") -> None:
    """Make the output folder that ``option`` names, and a file in it."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # a ValueError for a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"cannot write to the output folder {folder!r} ({reason}): choose another with {option}"
        ) from error


def check_tracking_uri(uri: str) -> None:
    """Reach what the URI names within seconds; MLflow's own retries take minutes.

    Raises:
        ConfigError: if the URI is malformed, or nothing usable answers there.
    """
    scheme = uri.partition(":")[0].partition("+")[0] if "://" in uri else ""
    if scheme == "sqlite":
        _check_sqlite(uri)
    elif scheme in ("http", "https"):
        _check_server(uri)
    elif scheme in DATABASE_PORTS:
        _check_port(uri, DATABASE_PORTS[scheme])
    else:
        raise ConfigError(
            f"recorder.tracking_uri {uri!r} is not one that MLflow can record to: "
            f"write {EXAMPLE_URI}"
        )


def _check_sqlite(uri: str) -> None:
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    require(
        uri.startswith("sqlite:///") and bool(path.strip("/")),
        f"recorder.tracking_uri {uri!r} names no file: write sqlite:///mlruns/mlflow.db",
    )
    check_writable(str(Path(path).parent))
    file = Path(path)
    if not file.exists():
        return
    usable = file.is_file() and os.access(file, os.W_OK)
    header = file.read_bytes()[:16] if usable else b"-"
    require(
        header in (b"", b"SQLite format 3\x00"),
        f"recorder.tracking_uri: {path} is not a database that can be written: "
        "name another file, such as sqlite:///mlruns/mlflow.db",
    )


def _check_server(uri: str) -> None:
    try:
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=CONNECT_SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):  # a server that asks who we are; MLflow's client answers it
            return
        raise ConfigError(
            f"recorder.tracking_uri {uri} answers, but is no MLflow server (status {error.code}): "
            f"write {EXAMPLE_URI}"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"recorder.tracking_uri {uri} cannot be reached: start `mlflow server` there, "
            "or write sqlite:///mlruns/mlflow.db"
        ) from error


def _check_port(uri: str, default_port: int) -> None:
    try:
        parts = urlsplit(uri)
        address = (parts.hostname or "localhost", parts.port or default_port)
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:  # the URI itself may hold a password: not printed
        raise ConfigError(
            "recorder.tracking_uri: the database cannot be reached: start it, "
            "or write sqlite:///mlruns/mlflow.db"
        ) from error
