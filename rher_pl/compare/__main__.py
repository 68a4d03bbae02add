"""Compare runs: ``python -m rher_pl.compare RUN ... --published``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rher_pl.cli.command import Parser, run_command
from rher_pl.errors import require
from rher_pl.paths import check_output_file
from rher_pl.tracking.store import store_of

DESCRIPTION = """\
Learning curves of runs with the same options, over their seeds: interquartile mean with a 95%
bootstrap band, the worst seed, env steps, updates and seconds to 50, 90 and 95% success.

RUN is an MLflow run id, a run name (* and ? match), a file of benchmark records (records.jsonl), or
a folder with such files. Runs that differ only in seed and length are one group."""
EXAMPLES = """\
examples:
  python -m rher_pl.compare 'push-*' --published
  python -m rher_pl.compare benchmarks/results/learning/FetchPush-v4/push --mean --out push.png
"""
PICTURES = (".png", ".svg", ".pdf")


def make_parser() -> argparse.ArgumentParser:
    parser = Parser("rher_pl.compare", DESCRIPTION, EXAMPLES)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="what to compare; see above")
    parser.add_argument(
        "--published", action="store_true", help="add the published RHER and HER figures"
    )
    parser.add_argument(
        "--mean",
        action="store_true",
        help="mean over all seeds, as published figures are, in place of the interquartile mean",
    )
    parser.add_argument(
        "--metric",
        choices=("success", "success_not_solved_at_reset"),
        default="success",
        help="success over all evaluation episodes, as published (default), or without those that "
        "start solved",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="picture to write, PNG, SVG, PDF")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--tracking_uri",
        default=store_of("mlruns", None),
        metavar="URI",
        help="MLflow store of the runs (default %(default)s)",
    )
    return parser


def check_picture(path: Path) -> None:
    """Refuse a picture that could not be written, before anything is read."""
    require(path.suffix in PICTURES, f"--out {path} must end in one of {', '.join(PICTURES)}")
    check_output_file(path, "--out")


def compare_command(argv: Sequence[str]) -> int:
    """Read, group, draw and print."""
    options = make_parser().parse_args(argv)
    if options.out is not None:
        check_picture(options.out)

    from rher_pl.compare.curves import find
    from rher_pl.compare.groups import make_groups
    from rher_pl.compare.statistics import Centre
    from rher_pl.compare.table import as_plain, show

    curves = find(options.runs, options.tracking_uri, options.metric)
    groups = make_groups(curves, Centre.mean if options.mean else Centre.interquartile_mean)
    if options.out is not None:
        from rher_pl.compare.picture import draw

        draw(groups, options.published).savefig(options.out)
    if options.json:
        print(json.dumps(as_plain(groups, options.published), indent=2))
    else:
        show(groups, options.published, options.out)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 on success, 2 for a mistake in the arguments."""
    return run_command(compare_command, argv)


if __name__ == "__main__":
    sys.exit(main())
