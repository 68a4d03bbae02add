"""Look over this machine before training on it: ``python -m rher_pl.doctor``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rher_pl.cli import exit_status
from rher_pl.cli.command import Parser, run_command
from rher_pl.cli.policy_options import add_store_options


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        "rher_pl.doctor",
        "Versions, simulator, rendering, processor, folders and MLflow store: what works, what is "
        "slow, what is broken, and the fix for each. Exit status 1 if something is broken.",
    )
    add_store_options(parser)
    return parser


def doctor_command(argv: Sequence[str]) -> int:
    options = make_parser().parse_args(argv)

    from rher_pl.cli.checks.doctor import all_findings
    from rher_pl.cli.checks.finding import show

    broken = show(all_findings(options.folder, options.tracking_uri), "slow", "slow or missing")
    return exit_status.FAULT if broken else exit_status.SUCCESS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 if all works, 1 if something is broken, 2 for a mistake."""
    return run_command(doctor_command, argv)


if __name__ == "__main__":
    sys.exit(main())
