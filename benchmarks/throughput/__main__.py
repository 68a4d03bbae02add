"""How fast everything is, measured in one run on one machine, and recorded.

Env steps per second of Gymnasium, TorchRL's wrapper and ours, compared with the floor, which is
MuJoCo alone, also for each of our tasks; updates per second of each engine, compared with TorchRL's
loss; seconds of an iteration, compared with its parts; seconds of a whole training, compared with
stable-baselines3's; seconds to start. Takes about twenty minutes on two cores, a few with --quick.
Close other programs first: rates are medians of short rounds taken in turns, which evens out noise
but does not remove it. With --against only whole commands are timed, here and in another checkout
in turn.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.learning.settings import resolve
from rher_pl.cli.command import Parser, run_command
from rher_pl.errors import ConfigError, require

RESULTS = Path("benchmarks/results/throughput.json")
PARTS = ("environments", "tasks", "updates", "iteration", "training", "startup")


def make_parser() -> Parser:
    parser = Parser("benchmarks.throughput", __doc__ or "")
    config = Path("configs/push.yaml")
    parser.add_argument("--config", type=Path, default=config, help=f"of the runs ({config})")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, help="these parts; recorded only with --results"
    )
    parser.add_argument("--against", type=Path, metavar="PATH", help="checkout to compare with")
    parser.add_argument(
        "--precision",
        choices=("32-true", "bf16-mixed"),
        help="of updates (bf16-mixed where the CPU has it)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few rounds, to see that it works; not recorded"
    )
    parser.add_argument(
        "--results", type=Path, help=f"JSON file ({RESULTS} where all is measured, else none)"
    )
    return parser


def body(arguments: Sequence[str]) -> int:
    """Measure, show and record."""
    options = make_parser().parse_args(arguments)
    given = {"trainer.precision": options.precision} if options.precision else {}
    settings = resolve(options.config, given)
    parts = options.only or PARTS
    if options.against is not None:
        found = (options.against / "rher_pl").is_dir()
        require(found, f"--against {options.against} is no checkout: it has no folder rher_pl")
    elif "training" in parts and find_spec("stable_baselines3") is None:
        raise ConfigError(
            "stable-baselines3 is missing: pip install -c constraints.txt stable-baselines3"
        )
    from rich.console import Console

    from benchmarks.throughput import measure
    from benchmarks.throughput.report import make_table, provenance, save
    from benchmarks.throughput.runs import compare_checkouts

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 100  # a log file has no width of its own
    budget = measure.QUICK if options.quick else measure.Budget()
    results = provenance(options.quick, str(settings["trainer"]["precision"]))
    if options.against is not None:
        work = (options.against, budget.epochs, budget.trainings)
        results["against"] = compare_checkouts(options.config, *work)
    else:
        for part in parts:
            console.print(f"measuring: {part}")
            subject = measure.Subject(options.config, settings, budget)
            results |= measure.PARTS[part](subject)
    console.print(make_table(results))
    is_whole = not (options.quick or options.only or options.against or options.precision)
    if path := options.results or (RESULTS if is_whole else None):
        save(results, path)
        console.print(f"results {path}", soft_wrap=True)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see ``--help``."""
    return run_command(body, argv)


if __name__ == "__main__":
    sys.exit(main())
