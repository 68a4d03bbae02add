"""Configs that come with the package, by name: ``--config push``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rher_pl.paths import is_file

PACKAGE = Path(__file__).parents[1]
FOLDERS = (PACKAGE / "configs", PACKAGE.parent / "configs")
"""Where they lie in an installed package, and in a checkout."""
OPTIONS = ("--config", "-c")


def shipped_configs() -> dict[str, Path]:
    """The YAML files that come with the package, by name."""
    folder = next((folder for folder in FOLDERS if folder.is_dir()), None)
    return {} if folder is None else {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def with_shipped_configs(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the path of each config that they name, as in ``--config push``.

    A file of that name in the working folder takes precedence.
    """
    found: list[str] = []
    for before, argument in zip(["", *arguments], arguments):
        option, _, value = argument.partition("=")
        if before in OPTIONS:
            argument = _path(argument)
        elif option in OPTIONS and value:
            argument = f"{option}={_path(value)}"
        found.append(argument)
    return found


def _path(name: str) -> str:
    known = shipped_configs()
    return str(known[name]) if name in known and not is_file(name) else name
