"""The subcommands of training; they are found before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence

from rher_pl.errors import ConfigError
from rher_pl.suggest import did_you_mean

SUBCOMMANDS = ("fit", "validate", "test")


def is_option(argument: str) -> bool:
    """Whether an argument is an option whose value is the next argument."""
    return argument.startswith("-") and "=" not in argument


def split_command(arguments: Sequence[str]) -> list[str]:
    """The arguments with the subcommand first; ``fit`` where none is given.

    Raises:
        ConfigError: for an unknown subcommand, and for ``fit`` without a config.
    """
    command, rest = "fit", list(arguments)
    if rest and not rest[0].startswith("-"):
        command, rest = rest[0], rest[1:]
    if command not in SUBCOMMANDS:
        hint = did_you_mean(command, SUBCOMMANDS, f"choose one of {', '.join(SUBCOMMANDS)}")
        raise ConfigError(f"unknown command {command!r:.200}: {hint}")
    if rest and rest[-1] in SUBCOMMANDS and (rest[:-1] and not is_option(rest[-2])):
        raise ConfigError(f"the command goes first: write {rest[-1]} --config ...")
    wants_help = "-h" in rest or any(option.startswith("--help") for option in rest)
    has_config = any(option.split("=")[0] in ("--config", "-c") for option in rest)
    if command == "fit" and not (has_config or wants_help):
        raise ConfigError("no config to train with: add --config push, or the path of your own")
    return [command, *rest]
