"""``--import my_package.tasks``: modules of the user's own, for every command."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from rher_pl.errors import ConfigError, fault, require

OPTION = "--import"
IMPORTED: list[str] = []
"""What was asked for, so that other processes can import it, too."""


def without_imports(arguments: Sequence[str]) -> list[str]:
    """Import what the arguments name, from the working folder too, and return the others.

    Raises:
        ConfigError: if a module is not there, or fails.
    """
    rest: list[str] = []
    todo = iter(arguments)
    for argument in todo:
        option, equals, value = argument.partition("=")
        if option != OPTION:
            rest.append(argument)
            continue
        name = value if equals else next(todo, "")
        require(bool(name), f"{OPTION} needs the name of a module, such as my_package.tasks")
        import_own(name)
    return rest


def import_own(name: str) -> None:
    """Import a module of the user's."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:  # as `python -m` has it, but `rher-fit` not
        sys.path.insert(0, here)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{OPTION} {name:.100}: no module {error.name!r:.60}: write its name with dots, "
            "and run where it can be imported"
        ) from error
    except Exception as error:  # it may do anything
        raise ConfigError(f"{OPTION} {name:.100} fails: {fault(error)[:200]}") from error
    IMPORTED.append(name)
