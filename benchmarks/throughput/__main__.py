"""How fast everything is, measured in one run on one machine, and recorded.

Env steps per second of Gymnasium, TorchRL's wrapper and ours beside the floor; updates per second
of ours beside plain PyTorch and TorchRL; what an iteration of a run costs beside both; seconds of
a whole training beside stable-baselines3's; seconds to start. Takes about twenty minutes on
two cores, a minute or two with --quick. Close other programs first: rates are medians of short
rounds taken in turns, which evens out noise but does not remove it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

RESULTS = Path("benchmarks/results/throughput.json")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.error = fail  # type: ignore[method-assign]
    parser.add_argument(
        "--quick", action="store_true", help="a few rounds, to see that it works; not recorded"
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("configs/push.yaml"),
        help="of the trainer (default %(default)s)",
    )
    parser.add_argument(
        "--results", type=Path, help=f"JSON file (default {RESULTS}; none with --quick)"
    )
    return parser


def fail(message: str) -> NoReturn:
    """End with one line on stderr."""
    print(f"benchmarks.throughput: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def main(arguments: list[str] | None = None) -> None:
    """The command line; see ``--help``."""
    options = make_parser().parse_args(arguments)
    if not options.config.is_file():
        fail(f"no config file {options.config}: give an existing one, as configs/push.yaml")
    if find_spec("stable_baselines3") is None:
        fail("stable-baselines3 is missing: pip install -c constraints.txt stable-baselines3")
    from rher_pl.cli.fit_cli import quiet

    quiet()  # before what it silences is imported
    from rich.console import Console

    from benchmarks.throughput.measure import QUICK, Budget, measure
    from benchmarks.throughput.report import make_table, provenance, save
    from rher_pl.errors import ConfigError

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 100  # a log file has no width of its own
    labels = provenance(options.quick)
    try:
        with tempfile.TemporaryDirectory() as folder:
            budget = QUICK if options.quick else Budget()
            results = labels | measure(options.config, budget, Path(folder), console)
    except ConfigError as error:
        fail(str(error))
    console.print(make_table(results))
    path = options.results or (None if options.quick else RESULTS)
    if path is not None:
        save(results, path)
        console.print(f"results {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
