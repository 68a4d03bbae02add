"""Options given in Python, by bare or dotted name, turned into command-line arguments."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from enum import Enum
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any

from lightning.pytorch import Trainer

from rher_pl.choices import LINKED
from rher_pl.cli.fit_cli import CALLBACKS
from rher_pl.cli.messages import REMOVED
from rher_pl.errors import ConfigError, require
from rher_pl.gymnasium_task import GymnasiumTask
from rher_pl.own_modules import import_path
from rher_pl.suggest import did_you_mean
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

SECTIONS: dict[str, type] = {
    "model": RHERModule,
    "data": RelayDataModule,
    "trainer": Trainer,
    **CALLBACKS,
}
"""The class whose arguments are the options of a section, by the section's name."""
WITHOUT_SECTION = ("seed_everything", "ckpt_path")


def dotted_name(name: str) -> str:
    """The option that a bare name stands for, such as ``model.gamma``; a dotted one stays.

    Raises:
        ConfigError: if no section has it, or several have.
    """
    if "." in name or name in WITHOUT_SECTION:
        return name
    known: dict[str, set[str]] = {}
    options = [f"{section}.{n}" for section, of in SECTIONS.items() for n in _parameters(of)]
    for option in [*options, *REMOVED]:  # the parser says what replaces a removed one
        known.setdefault(option.rpartition(".")[2], set()).add(LINKED.get(option, option))
    found = sorted(known.get(name, ()))
    hint = did_you_mean(name, known, "python -m rher_pl.fit fit --help lists them")
    require(bool(found), f"unknown option {name:.100}: {hint}")
    require(
        len(found) == 1,
        f"option {name} may be {' or '.join(found)}: write the whole name, {{'{found[0]}': ...}}",
    )
    return found[0]


def _parameters(of: type) -> list[str]:
    return list(inspect.signature(of).parameters)


def as_arguments(options: Iterable[tuple[str, Any]]) -> tuple[list[str], dict[str, Any]]:
    """Options as arguments of the command line.

    Args:
        options: pairs of a bare or dotted name and a value.

    Returns:
        The arguments; and values that are Python objects, such as callbacks, by the name of their
        argument of ``Trainer``.
    """
    named: dict[str, Any] = {}
    for name, value in options:
        option = dotted_name(name)
        require(option not in named, f"option {option} is given twice: leave one out")
        named[option] = value
    arguments, objects = [], {}
    for option, value in named.items():
        section, _, last = option.partition(".")
        if section == "trainer" and not _is_plain(value):
            objects[last] = value
        else:
            arguments.append(f"--{option}={_text(option, value)}")
    return arguments, objects


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, (str, Real, Enum, PathLike, GymnasiumTask))


def _text(option: str, value: Any) -> str:
    """What one would write on the command line."""
    if isinstance(value, type):
        require(
            "<" not in value.__qualname__,
            f"{option}: {value.__qualname__:.100} is inside a function: define it in a module",
        )
        return import_path(value)
    if not _is_plain(value):
        raise ConfigError(f"{option} cannot be a {type(value).__name__}: write it as in a config")
    plain = _as_json(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _as_json(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, GymnasiumTask):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _as_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(each) for each in value]
    if isinstance(value, Real) and not isinstance(value, (bool, int, float)):  # NumPy's
        return int(value) if isinstance(value, Integral) else float(value)
    return value
