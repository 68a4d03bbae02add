"""The rows of an ablation: one config, and the options in which each row differs from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.records import Records
from rher_pl.errors import ConfigError, require

FOLDER = Path(__file__).parent / "suites"


@dataclass(frozen=True)
class Row:
    """One line of the comparison.

    Args:
        name: names its files.
        label: as shown.
        options: what differs from the config, by dotted name.
        seeds: one training each.
        env_steps: budget of each seed.
        reuse: records of a learning benchmark that stand for this row if it was made with the
            same settings.
    """

    name: str
    label: str
    options: dict[str, Any]
    seeds: tuple[int, ...]
    env_steps: int
    reuse: Path | None

    @property
    def overrides(self) -> list[str]:
        """The options as arguments of the command line."""
        return [f"--{k}={_argument(value)}" for k, value in self.options.items()]


@dataclass(frozen=True)
class Suite:
    """Rows that belong into one picture; the first is the one that the others are set against.

    Args:
        name: of the suite.
        config: what every row starts from.
        rows: in the order of the picture.
    """

    name: str
    config: Path
    rows: tuple[Row, ...]

    def select(
        self, names: Sequence[str] | None, seeds: Sequence[int] | None, env_steps: int | None
    ) -> Suite:
        """Only these rows, with other seeds and another budget where they are given.

        Raises:
            ConfigError: for a row that does not exist.
        """
        known = [row.name for row in self.rows]
        for name in names or ():
            require(name in known, f"no row {name!r}: choose from {', '.join(known)}")
        chosen = [
            replace(row, seeds=tuple(seeds or row.seeds), env_steps=env_steps or row.env_steps)
            for row in self.rows
            if names is None or row.name in names
        ]
        return replace(self, rows=tuple(chosen))


def known_suites() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Suite:
    """The suite of that name, or in that file.

    Raises:
        ConfigError: there is none, or it is not written as a suite is.
    """
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    known = ", ".join(known_suites())
    require(path.is_file(), f"no suite {name}: choose from {known}, or name a YAML file")
    try:
        content = yaml.safe_load(path.read_text())
        shared = {key: content[key] for key in ("seeds", "env_steps")}
        common = content.get("options") or {}
        rows = [_row(key, shared | (row or {}), common) for key, row in content["rows"].items()]
        return Suite(path.stem, Path(content["config"]), tuple(rows))
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"suite {path} is not written as benchmarks/suites/push.yaml is: {error}"
        ) from error


def reused(row: Row, own: Records) -> Records | None:
    """The learning benchmark that stands for a row without records of its own, if one does."""
    from benchmarks.learning_settings import differing

    kept = own.path.with_suffix(".yaml")
    if row.reuse is None or own.read() or not (row.reuse.is_file() and kept.is_file()):
        return None
    same = not differing(row.reuse.with_suffix(".yaml"), kept.read_text())
    return Records(row.reuse) if same else None


def covers(records: Records, row: Row) -> bool:
    """Whether all seeds of a row are there, up to its budget."""
    return all(records.env_steps(seed) >= row.env_steps for seed in row.seeds)


def _row(name: str, content: dict[str, Any], common: dict[str, Any]) -> Row:
    """A row from its part of the file; ``common`` are the options of all rows."""
    known = {"label", "options", "seeds", "env_steps", "reuse"}
    if unknown := sorted(content.keys() - known):
        raise KeyError(f"{name} has {', '.join(unknown)}, known are {', '.join(sorted(known))}")
    reuse = content.get("reuse")
    return Row(
        name=name,
        label=content.get("label", name),
        options=common | (content.get("options") or {}),
        seeds=tuple(content["seeds"]),
        env_steps=int(content["env_steps"]),
        reuse=None if reuse is None else Path(reuse),
    )


def _argument(value: Any) -> str:
    """Numbers, lists and truth values as JSON, which YAML reads as well; names as they are."""
    return value if isinstance(value, str) else json.dumps(value)
