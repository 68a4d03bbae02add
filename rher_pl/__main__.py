"""All commands under one name: ``rher-pl fit --config push``, or ``python -m rher_pl``."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from rher_pl import __version__
from rher_pl.cli import exit_status
from rher_pl.cli.command import run_command
from rher_pl.cli.subcommands import SUBCOMMANDS
from rher_pl.errors import ConfigError, require
from rher_pl.suggest import did_you_mean

COMMANDS = {
    "fit": ("rher_pl.fit", "train a policy"),
    "validate": ("rher_pl.fit", "evaluate a checkpoint on the evaluation seeds of training"),
    "test": ("rher_pl.fit", "the same as validate"),
    "evaluate": ("rher_pl.evaluate", "success of a policy on new seeds, as table, JSON and video"),
    "export": ("rher_pl.export", "write a policy to files that work without this package"),
    "push-to-hub": ("rher_pl.push_to_hub", "share a policy on the Hugging Face Hub, with its card"),
    "inspect": ("rher_pl.inspect", "draw a stored episode, with its hindsight goals"),
    "compare": ("rher_pl.compare.__main__", "learning curves of runs, beside published figures"),
    "sweep": ("rher_pl.sweep.__main__", "seeds, grids and searches of options, on Ray"),
    "check": ("rher_pl.check", "whether a task can be learned, and what to change"),
    "doctor": ("rher_pl.doctor", "what works on this machine, what does not, and the fix"),
}
"""Module and purpose of each command; a module is imported only when its command runs."""
HELP = "\n".join(
    [
        "usage: rher-pl COMMAND [options]",
        "",
        "Relay Hindsight Experience Replay.",
        "",
        "commands (rher-pl COMMAND --help says more; python -m rher_pl.COMMAND is the same):",
        *(f"  {name:<11} {purpose}" for name, (_, purpose) in COMMANDS.items()),
        "",
        "rher-pl --version prints the version.",
    ]
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status, one of ``exit_status``."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP)
        return exit_status.SUCCESS
    if arguments == ["--version"]:
        print(__version__)
        return exit_status.SUCCESS
    return run_command(_dispatch, arguments)


def _dispatch(arguments: Sequence[str]) -> int:
    name, *rest = arguments
    hint = did_you_mean(name, COMMANDS, f"choose one of {', '.join(COMMANDS)}")
    require(name in COMMANDS, f"unknown command {name!r:.100}: {hint}")
    try:
        command = importlib.import_module(COMMANDS[name][0])
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"rher-pl {name} needs the package {error.name}, which is not installed here: "
            f"pip install {error.name}"
        ) from error
    status: int = command.main([name, *rest] if name in SUBCOMMANDS else rest)
    return status


def console() -> NoReturn:
    """The script ``rher-pl``."""
    if "" not in sys.path:  # find the user's modules in the working folder, as `python -m` does
        sys.path.insert(0, "")
    status = main()
    gc.freeze()  # else Python spends seconds at exit on collecting what is freed anyway
    sys.exit(status)


if __name__ == "__main__":
    console()
