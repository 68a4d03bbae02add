"""The rows of an ablation: one config, and the options in which each row differs from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from rher_pl.errors import ConfigError, require

FOLDER = Path(__file__).parent / "suites"


@dataclass(frozen=True)
class Row:
    """One line of the comparison.

    Args:
        name: names its folder of results.
        label: as shown.
        options: what differs from the config, by dotted name.
        seeds: one training each.
        env_steps: budget of each seed.
    """

    name: str
    label: str
    options: dict[str, Any]
    seeds: tuple[int, ...]
    env_steps: int

    @property
    def overrides(self) -> dict[str, str]:
        """The options as on the command line; what is not text is written as JSON."""
        return {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in self.options.items()
        }


@dataclass(frozen=True)
class Claim:
    """Row ``more`` has more of a measure than row ``less``.

    Args:
        text, source: the claim, and who makes it.
        measure: a name in ``claims.MEASURES``.
    """

    text: str
    source: str
    more: str
    less: str
    measure: str


@dataclass(frozen=True)
class Suite:
    """Rows that share a picture; the first is the one that the others are compared with.

    Args:
        name: of the suite.
        config: what every row starts from.
        rows: in the order of the picture.
        claims: about these rows.
    """

    name: str
    config: Path
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()

    def select(
        self, names: Sequence[str] | None, seeds: Sequence[int] | None, env_steps: int | None
    ) -> Suite:
        """Only these rows, with other seeds and another budget where they are given.

        Raises:
            ConfigError: for a row that does not exist.
        """
        rows = {row.name: row for row in self.rows}
        for name in names or ():
            require(name in rows, f"no row {name!r}: choose from {', '.join(rows)}")
        chosen = [rows[name] for name in rows if names is None or name in names]
        other = {"seeds": tuple(seeds or ()), "env_steps": env_steps}
        changed = {key: value for key, value in other.items() if value}
        return replace(self, rows=tuple(replace(row, **changed) for row in chosen))


def known_suites() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Suite:
    """The suite of that name, or in that file.

    Raises:
        ConfigError: if there is none, or it is no valid suite.
    """
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    known = ", ".join(known_suites())
    require(path.is_file(), f"no suite {name}: choose from {known}, or name a YAML file")
    try:
        content = yaml.safe_load(path.read_text())
        shared = {key: content[key] for key in ("seeds", "env_steps")}
        common = content.get("options") or {}
        rows = []
        for key, row in content["rows"].items():
            found = {"label": key, **shared, **(row or {})}
            options = common | (found.pop("options", None) or {})
            rows.append(Row(key, options=options, **found | {"seeds": tuple(found["seeds"])}))
        claims = tuple(Claim(**claim) for claim in content.get("claims", ()))
        return Suite(path.stem, Path(content["config"]), tuple(rows), claims)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"suite {path} is not valid, see {FOLDER / 'push.yaml'}: {error}"
        ) from error
