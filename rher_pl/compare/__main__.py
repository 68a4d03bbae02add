"""Compare runs: ``python -m rher_pl.compare RUN ... --published``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rher_pl.errors import ConfigError

DESCRIPTION = """\
Learning curves of runs with the same options, over their seeds: interquartile mean with a 95%
bootstrap band, env steps, updates and seconds to 50, 90 and 95% success.

RUN is an MLflow run id, a run name (* and ? match), or a file of benchmark records (*.jsonl).
Runs that differ only in seed and length are one group."""
EXAMPLES = """\
examples:
  python -m rher_pl.compare 'push-*' --published
  python -m rher_pl.compare benchmarks/results/learning/push.jsonl --published --out push.png
"""


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rher_pl.compare",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.error = _refuse  # type: ignore[method-assign]
    parser.add_argument("runs", nargs="+", metavar="RUN", help="what to compare; see above")
    parser.add_argument(
        "--published", action="store_true", help="add the published RHER and HER figures"
    )
    parser.add_argument(
        "--metric",
        choices=("success", "success_not_solved_at_reset"),
        default="success",
        help="over all evaluation episodes, as published (default), or without those that start "
        "solved",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="picture to write, PNG, SVG, PDF")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--tracking_uri",
        default="sqlite:///mlruns/mlflow.db",
        metavar="URI",
        help="MLflow store of the runs (default %(default)s)",
    )
    return parser


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; --help shows how")


def compare(options: argparse.Namespace) -> None:
    """Read, group, draw and print.

    Raises:
        ConfigError: for a run that does not exist, or runs without evaluations in common.
    """
    from rher_pl.compare.curves import find
    from rher_pl.compare.groups import make_groups

    if options.out is not None:
        known = (".png", ".svg", ".pdf")
        if options.out.suffix not in known:
            raise ConfigError(f"--out {options.out} must end in one of {', '.join(known)}")
        if not options.out.absolute().parent.is_dir():
            raise ConfigError(f"--out {options.out}: make the folder first")
    groups = make_groups(find(options.runs, options.tracking_uri, options.metric))
    if options.out is not None:
        from rher_pl.compare.picture import draw

        draw(groups, options.published).savefig(options.out)
    if options.json:
        from rher_pl.compare.table import as_plain

        print(json.dumps(as_plain(groups, options.published), indent=2))
        return
    from rher_pl.compare.table import show

    show(groups, options.published, options.out)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0, or 2 and one line on stderr for a mistake in it."""
    try:
        compare(make_parser().parse_args(argv))
    except ConfigError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
