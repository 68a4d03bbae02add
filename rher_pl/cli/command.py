"""What all small commands share: a parser whose mistakes are one line, and exit statuses."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from rher_pl.errors import ConfigError

EXIT_FAULT = 1
EXIT_CONFIG = 2
UNKNOWN = re.compile(r"unrecognized arguments: (?P<option>\S+)")


class Parser(argparse.ArgumentParser):
    """Refuses abbreviated options, and raises :class:`ConfigError` instead of printing usage."""

    def __init__(self, module: str, description: str) -> None:
        super().__init__(prog=f"python -m {module}", description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        if found := UNKNOWN.search(message):
            option = found["option"].partition("=")[0]
            known = [text for action in self._actions for text in action.option_strings]
            near = difflib.get_close_matches(option, known, 1)
            hint = f"did you mean {near[0]}?" if near else "--help lists every option"
            message = f"unknown option {option}: {hint}"
        raise ConfigError(message)


def run_command(body: Callable[[Sequence[str]], int], argv: Sequence[str] | None) -> int:
    """Run a command's body on its arguments; a mistake ends with status 2 and one line."""
    try:
        return body(sys.argv[1:] if argv is None else argv)
    except ConfigError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_CONFIG


def positive(text: str) -> int:
    """An ``argparse`` type: a whole number of at least 1."""
    value = int(text) if text.lstrip("-").isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"write a whole number of at least 1, not {text!r}")
    return value


def add_policy_options(parser: argparse.ArgumentParser) -> None:
    """The three ways to say which policy is meant."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--ckpt", metavar="FILE", help="a checkpoint")
    which.add_argument("--run", metavar="RUN_ID", help="the best checkpoint of a run")
    which.add_argument("--pretrained", metavar="NAME", help="one that comes with the package: push")
    parser.add_argument("--folder", default="mlruns", help="where runs are (mlruns)")
    parser.add_argument(
        "--tracking_uri", metavar="URI", help="MLflow store (sqlite:///<folder>/mlflow.db)"
    )
