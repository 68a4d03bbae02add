"""Learning curves of variants of the learner side by side, recorded as they grow.

A suite (benchmarks/suites/NAME.yaml) names rows, each a config with a few options changed. Trains
one process per row and seed, appends a JSON line per evaluation to RESULTS/ROW.jsonl, and draws
RESULTS/NAME.png from it. RESULTS/ROW.yaml keeps a row's settings. Run the same command again to
continue: finished seeds are skipped.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from benchmarks import suite
from benchmarks.learning import base_parser, bring_to_budget, fail
from benchmarks.records import Records
from benchmarks.suite import Suite
from rher_pl.errors import ConfigError

_EXAMPLE = """\
  python -m benchmarks.ablation --suite push --jobs 2
  python -m benchmarks.ablation --suite push --rows no_guide sequential --seeds 0 1 2 3 4
  python -m benchmarks.ablation --suite push --plot_only
"""


def make_parser() -> argparse.ArgumentParser:
    parser = base_parser("ablation", __doc__ or "", _EXAMPLE, Path("mlruns/benchmarks/ablation"))
    known = ", ".join(suite.known_suites())
    parser.add_argument("--suite", default="push", help=f"{known}, or a YAML file (default push)")
    parser.add_argument("--rows", nargs="+", help="only these rows of the suite")
    parser.add_argument("--seeds", type=int, nargs="+", help="in place of the suite's")
    parser.add_argument(
        "--env_steps", type=int, help="budget of each seed, in place of the suite's"
    )
    return parser


def check(options: argparse.Namespace) -> tuple[Suite, Suite]:
    """The whole suite and its chosen part, with the budget that was asked for; refuses what
    cannot work before anything is loaded."""
    seeds = options.seeds
    if seeds is not None and (min(seeds) < 0 or len({*seeds}) < len(seeds)):
        fail(f"--seeds wants different whole numbers from 0, as --seeds 0 1 2; got {seeds}")
    if options.env_steps is not None and options.env_steps < 1:
        fail(f"--env_steps wants the budget of each seed, as 60000; got {options.env_steps}")
    if options.jobs < 1:
        fail(f"--jobs must be at least 1, got {options.jobs}")
    try:
        whole = suite.load(options.suite).select(None, seeds, options.env_steps)
        return whole, whole.select(options.rows, None, None)
    except ConfigError as error:
        fail(str(error))


def main(arguments: list[str] | None = None) -> None:
    """The command line; see ``--help``."""
    options = make_parser().parse_args(arguments)
    whole, chosen = check(options)
    if not options.plot_only:
        train(options, chosen)
    show(options, whole)


def train(options: argparse.Namespace, chosen: Suite) -> None:
    """Bring every seed of every row to its budget, all first seeds before any second one."""
    from benchmarks.learning_runs import Runs, make_progress
    from benchmarks.learning_settings import keep, resolve

    progress, benchmarks = make_progress(), []
    try:
        settings = [resolve(chosen.config, row.overrides) for row in chosen.rows]
        for row, text in zip(chosen.rows, settings, strict=True):
            records, scratch = Records(options.results / f"{row.name}.jsonl"), options.scratch
            scratch = scratch / row.name
            if options.fresh:
                records.drop(lambda record: True)
                shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True, exist_ok=True)
            keep(records, text)
            runs = Runs(row.name, records, scratch, row.env_steps, progress)
            benchmarks.append((row, runs))
    except (ConfigError, OSError) as error:
        fail(str(error))
    queue = []
    for row, runs in benchmarks:
        if (other := suite.reused(row, runs.records)) and suite.covers(other, row):
            progress.console.print(f"{row.name}: {other.path} was made with the same settings")
        else:
            queue += [(order, runs, seed) for order, seed in enumerate(row.seeds)]
    queue.sort(key=lambda entry: entry[0])
    bring_to_budget([(runs, seed) for _, runs, seed in queue], options.jobs)


def show(options: argparse.Namespace, whole: Suite) -> None:
    """Draw and tabulate what is recorded so far of all rows."""
    from rich.console import Console

    from benchmarks.ablation_summary import LEGEND, read, table
    from benchmarks.plot_ablation import plot

    data = read(whole, options.results)
    if not data:
        fail(f"nothing to show: {options.results} holds no evaluation of {whole.name}'s rows")
    picture = options.results / f"{whole.name}.png"
    plot(data, picture)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 140  # a log file has no width of its own
    console.print(table(whole.name, data))
    console.print(f"{LEGEND}\nrecords {options.results}\npicture {picture}", soft_wrap=True)


if __name__ == "__main__":
    main()
