"""What the benchmarks that train have in common on the command line."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.learning.records import Records
from benchmarks.learning.settings import Settings
from benchmarks.learning.trainings import Pool, Trainings
from rher_pl.cli import exit_status
from rher_pl.cli.command import Parser, positive


def add_options(parser: Parser, name: str, scratch: str) -> None:
    """Options of ``benchmarks.learning`` and ``benchmarks.ablation``."""
    parser.add_argument("--seeds", type=seed, nargs="+", help="one training each")
    parser.add_argument("--env_steps", type=positive, help="budget of each seed")
    parser.add_argument("--jobs", type=positive, default=2, help="trainings side by side (2)")
    results = Path("benchmarks/results") / name
    parser.add_argument("--results", type=Path, default=results, help=f"folder ({results})")
    parser.add_argument(
        "--scratch", type=Path, default=Path(scratch), help=f"folder of the runs ({scratch})"
    )
    parser.add_argument("--fresh", action="store_true", help="delete earlier records and runs")
    parser.add_argument("--plot_only", action="store_true", help="draw and tabulate, train nothing")


def seed(text: str) -> int:
    """An ``argparse`` type: a whole number from 0."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"write whole numbers from 0, not {text!r}")
    return int(text)


def prepare(
    options: argparse.Namespace, label: str, place: Path, settings: Settings, env_steps: int
) -> Trainings:
    """The trainings with some settings, in folder ``place`` of the results and of scratch."""
    records, scratch = Records(options.results / place), options.scratch / place
    if options.fresh:
        for folder in (records.folder, scratch):
            shutil.rmtree(folder, ignore_errors=True)
    return Trainings(label, records, settings, scratch, env_steps)


def train(queue: Sequence[tuple[Trainings, int]], jobs: int) -> int:
    """Train (config, seed) pairs; exit status."""
    try:
        failed = Pool(jobs).run(queue)
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return exit_status.SIGNAL + signal.SIGINT
    for problem in failed:
        print(f"error: {problem}", file=sys.stderr)
    return exit_status.FAULT if failed else exit_status.SUCCESS
