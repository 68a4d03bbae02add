"""Variants of the learner side by side, trained by the same code as benchmarks.learning.

A suite (benchmarks/ablation/suites/NAME.yaml) names rows, each a config with a few options
changed. Each evaluation becomes a line of RESULTS/SUITE/ROW/records.jsonl; settings.yaml is beside
it, RESULTS/SUITE/curve.png shows all rows. The same command continues what was interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ablation import suite
from benchmarks.ablation.suite import Suite
from benchmarks.learning.command import add_options, prepare, train
from benchmarks.learning.settings import PROTOCOL, resolve
from rher_pl.cli.command import Parser, run_command
from rher_pl.errors import ConfigError, require


def make_parser() -> Parser:
    parser = Parser("benchmarks.ablation", __doc__ or "")
    known = ", ".join(suite.known_suites())
    parser.add_argument("--suite", default="push", help=f"{known}, or a YAML file (push)")
    parser.add_argument("--rows", nargs="+", help="only these rows of the suite")
    add_options(parser, "ablation", "mlruns/benchmarks/ablation")
    return parser


def body(arguments: Sequence[str]) -> int:
    """Train, draw and tabulate; exit status."""
    options = make_parser().parse_args(arguments)
    seeds = options.seeds or []
    require(len({*seeds}) == len(seeds), "write different seeds, such as --seeds 0 1 2")
    whole = suite.load(options.suite).select(None, options.seeds, options.env_steps)
    chosen, status = whole.select(options.rows, None, None), 0
    if not options.plot_only:
        queue = []
        for row in chosen.rows:
            settings, place = (
                resolve(chosen.config, PROTOCOL | row.overrides),
                Path(whole.name, row.name),
            )
            trainings = prepare(options, row.name, place, settings, row.env_steps)
            queue += [(order, trainings, seed) for order, seed in enumerate(row.seeds)]
        queue.sort(key=lambda entry: entry[0])  # all first seeds before any second one
        status = train([(trainings, seed) for _, trainings, seed in queue], options.jobs)
    return status or show(options.results, whole)


def show(results: Path, whole: Suite) -> int:
    """Draw and tabulate what is recorded so far of all rows."""
    from rich.console import Console

    from benchmarks.ablation.rows import LEGEND, explanation, read
    from rher_pl.compare import table
    from rher_pl.compare.picture import draw

    rows = read(whole, results)
    if not rows:
        raise ConfigError(f"nothing to show: {results} holds no evaluation of {whole.name}'s rows")
    groups, picture = [data.group for data in rows], results / whole.name / "curve.png"
    draw(groups, with_published=False).savefig(picture)
    table.show(groups, False, picture)
    Console(highlight=False).print(explanation(rows), LEGEND, sep="\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see ``--help``."""
    return run_command(body, argv)


if __name__ == "__main__":
    sys.exit(main())
