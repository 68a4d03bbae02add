"""The parser of the training command: what the user gave, and mistakes in one line."""

from __future__ import annotations

from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from rher_pl.choices import RelayMode
from rher_pl.cli.imports import OPTION
from rher_pl.cli.messages import explain, known_options
from rher_pl.errors import ConfigError

NOT_GIVEN: dict[str, Any] = {
    "seed_everything": -1,
    "data.task": "",
    "data.relay": RelayMode.full,
    "data.epsilon": None,
}
"""Options that others follow need a value even if not given: an invalid one, or the default."""


class FitParser(LightningArgumentParser):
    """Refuses abbreviated options, and raises instead of printing usage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("epilog", f"{OPTION} MODULE imports a module of yours first.")
        super().__init__(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> Any:
        raise ConfigError(explain(message, known_options(self))) from ex

    def given(self, args: list[str]) -> Namespace:
        """Only what the command line and its configs say, without defaults.

        Args:
            args: of the command line, the subcommand first.
        """
        command = args[0]
        base = Namespace()
        for name, value in NOT_GIVEN.items():
            base[f"{command}.{name}"] = value
        # --print_config prints and exits, for which the defaults must be known.
        rest = [arg for arg in args if not arg.startswith("--print_config")]
        return self.parse_args(rest, namespace=base, defaults=False)[command]


def was_given(options: Namespace, name: str) -> bool:
    """Whether the user gave an option; ``options`` as from :meth:`FitParser.given`."""
    return name in options and (name not in NOT_GIVEN or options[name] != NOT_GIVEN[name])
