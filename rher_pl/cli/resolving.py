"""All settings of a training, as ``fit --print_config`` prints them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import yaml

from rher_pl.cli.shipped_configs import with_shipped_configs
from rher_pl.cli.subcommands import split_command


def resolve(arguments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Options by section (model, data, trainer, recorder, ...), defaults included.

    Args:
        arguments: of ``fit``.

    Raises:
        ConfigError: if a setting is unknown or of the wrong type; the message is that of ``fit``.
    """
    from rher_pl.cli.run_fit import run

    out = io.StringIO()
    command = [*with_shipped_configs(split_command(arguments)), "--print_config"]
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        run(command)
    found: dict[str, dict[str, Any]] = yaml.safe_load(out.getvalue())
    return found
