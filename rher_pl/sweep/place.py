"""Where a sweep is kept: its folder, its place in the store, and the trainings in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rher_pl.errors import ConfigError, require

SETTINGS, STATE = "settings.yaml", "sweep.yaml"
SECTIONS = ("model", "data", "trainer")


@dataclass(frozen=True)
class Trial:
    """One training of a sweep.

    Args:
        options: by dotted name, where they differ from the common settings; as on a command line.
        seed: of everything.
        number: id of the proposal of a search, which names the folder, as its options may have many
            digits; else empty.
    """

    options: Mapping[str, str]
    seed: int
    number: str = ""

    @property
    def label(self) -> str:
        """Such as ``gamma 0.95, seed 0``."""
        parts = [f"{name.rpartition('.')[2]} {value}" for name, value in self.options.items()]
        return ", ".join([*parts, f"seed {self.seed}"])

    @property
    def name(self) -> str:
        """Name of its folder, the same at every start of the sweep."""
        parts = [f"{name}={value}" for name, value in sorted(self.options.items())]
        text = self.number or ",".join([*parts, f"seed={self.seed}"])
        return re.sub(r"[^\w.,=+\[\]-]", "", text)


@dataclass(frozen=True)
class Place:
    """What every worker must know of a sweep; plain types.

    Args:
        folder: absolute path that all machines see.
        tracking_uri: of the MLflow store.
        experiment: name of its experiment in the store.
        parent: id of the run that the runs of all trials belong to.
        imports: modules of the user's own.
        epochs: evaluations of a whole training.
    """

    folder: str
    tracking_uri: str
    experiment: str
    parent: str
    imports: tuple[str, ...]
    epochs: int

    @property
    def settings(self) -> Path:
        """The config that all trials have in common."""
        return Path(self.folder) / SETTINGS

    def of(self, trial: Trial) -> Path:
        """Output folder of a trial."""
        return Path(self.folder) / "trials" / trial.name


def common_settings(resolved: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The settings that all trials share, of those that ``fit --print_config`` prints."""
    return {
        section: {key: value for key, value in resolved[section].items() if value is not None}
        for section in SECTIONS
    }


def read_state(folder: Path) -> dict[str, Any]:
    """The state that a sweep wrote to this folder; empty if there is none.

    Raises:
        ConfigError: if it cannot be read.
    """
    path = folder / STATE
    if not path.is_file():
        return {}
    try:
        return dict(yaml.safe_load(path.read_text()))
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is damaged: name another sweep with --name") from error


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the state, and the settings as a config; each file is replaced in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {SETTINGS: state["settings"], STATE: state}
    for name, content in texts.items():
        draft = folder / f"{name}.draft"
        draft.write_text(yaml.safe_dump(dict(content), sort_keys=False))
        os.replace(draft, folder / name)


def require_same(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on in the folder of a sweep with other settings.

    Args:
        before: state that is there.
        now: state that is asked for.
        folder: of both.
    """

    def flat(state: Mapping[str, Any]) -> dict[str, Any]:
        parts = {f"{s}.{k}": v for s, keys in state["settings"].items() for k, v in keys.items()}
        return parts | {"--search": state["search"], "--trials": state["trials"]}

    old, new = flat(before), flat(now)
    names = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    require(
        not names,
        f"{folder} has a sweep with other settings ({', '.join(names)!s:.90}): "
        "go on with the same ones, or begin another with --name",
    )
