"""Settings of a benchmark: resolved by the trainer itself, kept beside the records."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rher_pl.errors import require

Settings = dict[str, dict[str, Any]]
"""Options by section: model, data and trainer."""

DECIDED = {"seed_everything": "--seeds", "trainer.max_epochs": "--env_steps"}
"""Options that a benchmark sets, with the option of its own that decides them."""


PROTOCOL = {"data.eval_episodes": "100"}
"""Options of all recorded runs; a run by itself plays fewer episodes, which is faster."""


def read_overrides(arguments: Sequence[str]) -> dict[str, str]:
    """``--data.num_envs 8 --model.gamma=0.9`` as names and values.

    Raises:
        ConfigError: for anything but options of model, data and trainer.
    """
    words = [part for word in arguments for part in _split(word)]
    overrides = dict(zip(words[::2], words[1::2]))
    for option in words[::2]:
        name = option.removeprefix("--")
        require(name not in DECIDED, f"a benchmark sets {option} itself: use {DECIDED.get(name)}")
        known = re.fullmatch(r"--(model|data|trainer)\.[\w.]+", option)
        require(bool(known), f"unknown option {option}: write those of model, data and trainer")
    require(len(words) % 2 == 0, f"{words[-1:]} has no value: write --data.num_envs 8")
    return {option.removeprefix("--"): value for option, value in overrides.items()}


def _split(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--") else [word]


def folder_name(config: Path, overrides: dict[str, str]) -> str:
    """Such as ``push+data.num_envs=8``: the config, and the options that were changed."""
    parts = [config.stem, *(f"{name}={value}" for name, value in sorted(overrides.items()))]
    return re.sub(r"[^\w.,=+\[\]-]", "", "+".join(parts))


def task_name(settings: Settings) -> str:
    """The name of a registered task, or the environment's id where a config describes the task."""
    task = settings["data"]["task"]
    return task if isinstance(task, str) else str(task["init_args"]["id"]).rpartition(":")[2]


def resolve(config: Path, overrides: dict[str, str]) -> Settings:
    """All settings of model, data and trainer, as ``fit --print_config`` tells them.

    Raises:
        ConfigError: a setting is unknown or of the wrong type.
    """
    found = resolve_all(config, overrides)
    settings = {section: found[section] for section in ("model", "data", "trainer")}
    settings["trainer"] = {
        key: value
        for key, value in settings["trainer"].items()
        if value is not None and key != "max_epochs"
    }
    return settings


def resolve_all(config: Path, overrides: dict[str, str]) -> Settings:
    """As :func:`resolve`, of all sections and as they are."""
    from rher_pl.cli.resolving import resolve as resolved

    require(config.is_file(), f"no config file {config}: write --config configs/push.yaml")
    return resolved(["--config", str(config), *(f"--{k}={v}" for k, v in overrides.items())])


def differing(now: Settings, recorded: Settings) -> list[str]:
    """Names of the settings that differ, as ``model.gamma``.

    For an option that is newer than a record, the record counts as made with its default.
    """
    ours, theirs = flat(now), flat(recorded)
    before = defaults() | theirs if theirs else {}
    return sorted(key for key in ours.keys() | theirs if ours.get(key) != before.get(key))


def flat(settings: Settings) -> dict[str, Any]:
    """Values by dotted name."""
    return {f"{s}.{key}": value for s, keys in settings.items() for key, value in keys.items()}


def defaults() -> dict[str, Any]:
    """Defaults of all options of model and data, by dotted name."""
    from rher_pl.choices import plain
    from rher_pl.training.datamodule import RelayDataModule
    from rher_pl.training.module import RHERModule

    found: dict[str, Any] = {}
    for section, owner in {"model": RHERModule, "data": RelayDataModule}.items():
        given = {n: p.default for n, p in inspect.signature(owner).parameters.items()}
        found |= {f"{section}.{name}": value for name, value in plain(given).items()}
    return found
