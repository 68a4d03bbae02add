"""What all small commands share: a parser that reports mistakes in one line, and exit statuses."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from rher_pl.cli import exit_status
from rher_pl.cli.imports import OPTION, without_imports
from rher_pl.errors import ConfigError, TrainingError, say
from rher_pl.suggest import did_you_mean

UNKNOWN = re.compile(r"unrecognized arguments: (?P<option>\S+)")


class Parser(argparse.ArgumentParser):
    """Refuses abbreviated options, and raises :class:`ConfigError` instead of printing usage."""

    def __init__(self, module: str, description: str, epilog: str | None = None) -> None:
        """``module`` is run by ``python -m``; description and epilog keep their line breaks."""
        super().__init__(
            prog=f"python -m {module}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument(OPTION, metavar="MODULE", help="import a module of yours first")

    def error(self, message: str) -> NoReturn:
        if found := UNKNOWN.search(message):
            option = found["option"].partition("=")[0]
            known = [text for action in self._actions for text in action.option_strings]
            hint = did_you_mean(option, known, "--help lists every option")
            message = f"unknown option {option}: {hint}"
        raise ConfigError(message)


def run_command(body: Callable[[Sequence[str]], int], argv: Sequence[str] | None) -> int:
    """Run a command's body on its arguments; an error of this package becomes one line."""
    try:
        return body(without_imports(sys.argv[1:] if argv is None else argv))
    except (ConfigError, TrainingError) as error:
        say(f"error: {error}")
        return exit_status.MISTAKE if isinstance(error, ConfigError) else exit_status.FAULT


def seed(text: str) -> int:
    """An ``argparse`` type: a seed, which has at most 32 bits, as NumPy's has."""
    if not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"write a whole number from 0 to 4294967295, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    """An ``argparse`` type: a whole number of at least 1."""
    value = int(text) if text.lstrip("-").isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"write a whole number of at least 1, not {text!r}")
    return value
