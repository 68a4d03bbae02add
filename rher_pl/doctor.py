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

    from rich.console import Console
    from rich.markup import escape

    from rher_pl.cli.checks.doctor import all_findings
    from rher_pl.cli.checks.finding import Level

    console = Console(soft_wrap=True, highlight=False)
    marks = {Level.OK: "ok    ", Level.SLOW: "slow  ", Level.BROKEN: "BROKEN"}
    levels = []
    for finding in all_findings(options.folder, options.tracking_uri):
        levels.append(finding.level)
        mark = f"[{finding.level.value}]{marks[finding.level]}[/]"
        console.print(f"{mark}  {finding.name:<14} {escape(finding.detail)}")
        if finding.fix:
            console.print(f"{'':24}[bold]fix:[/] {escape(finding.fix)}")
    broken, slow = levels.count(Level.BROKEN), levels.count(Level.SLOW)
    console.print(f"{broken} broken, {slow} slow or missing, {levels.count(Level.OK)} ok")
    return exit_status.FAULT if broken else exit_status.SUCCESS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 if all works, 1 if something is broken, 2 for a mistake."""
    return run_command(doctor_command, argv)


if __name__ == "__main__":
    sys.exit(main())
