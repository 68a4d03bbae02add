"""``--import my_package.tasks``: modules of the user's own, for every command."""

from __future__ import annotations

from collections.abc import Sequence

from rher_pl.errors import ConfigError, fault, require
from rher_pl.own_modules import import_own

OPTION = "--import"


def without_imports(arguments: Sequence[str]) -> list[str]:
    """Import the modules that ``--import`` names, and return the other arguments.

    Modules may lie in the working folder.

    Raises:
        ConfigError: if a module is not found, or its import fails.
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
        _import(name)
    return rest


def _import(name: str) -> None:
    try:
        import_own(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{OPTION} {name:.100}: no module {error.name!r:.60}: write its name with dots, "
            "and run where it can be imported"
        ) from error
    except Exception as error:  # the user's code may raise anything
        raise ConfigError(f"{OPTION} {name:.100} fails: {fault(error)[:200]}") from error
