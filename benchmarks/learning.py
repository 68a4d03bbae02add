"""Learning curves over seeds, recorded as they grow.

Trains one process per seed, appends a JSON line per evaluation to RESULTS/NAME.jsonl, and draws
RESULTS/NAME.png from it beside the published figures. RESULTS/NAME.yaml keeps the settings. Run
the same command again to continue: finished seeds are skipped.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from benchmarks.records import Records
from rher_pl.errors import ConfigError

if TYPE_CHECKING:
    from benchmarks.learning_runs import Runs

_EXAMPLE = """\
Every setting of the trainer can be overridden, as in python -m rher_pl.fit:

  python -m benchmarks.learning --config configs/push.yaml --name push \\
      --seeds 0 1 2 3 4 --env_steps 60000 --model.gamma 0.95 --data.num_envs 8
  python -m benchmarks.learning --plot_only --name push
"""


def make_parser() -> argparse.ArgumentParser:
    parser = base_parser("learning", __doc__ or "", _EXAMPLE, Path("mlruns/benchmarks"))
    parser.add_argument("--name", required=True, help="names the files of this benchmark")
    parser.add_argument("--config", type=Path, help="YAML of the trainer, as configs/push.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", help="one training each")
    parser.add_argument("--env_steps", type=int, help="budget of each seed")
    return parser


def base_parser(
    name: str, description: str, example: str, scratch: Path
) -> argparse.ArgumentParser:
    """What the benchmark of learning curves and that of variants have in common."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.error = fail  # type: ignore[method-assign]
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side (default 2)")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("benchmarks/results") / name,
        help="folder of records and picture (default %(default)s)",
    )
    parser.add_argument(
        "--scratch",
        type=Path,
        default=scratch,
        help="folder of checkpoints and logs (default %(default)s)",
    )
    parser.add_argument("--fresh", action="store_true", help="forget what is there and start over")
    parser.add_argument("--plot_only", action="store_true", help="draw and tabulate, train nothing")
    return parser


def fail(message: str, status: int = 2) -> NoReturn:
    """End with one line on stderr."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


def check(options: argparse.Namespace) -> None:
    """Refuse what cannot work, before anything is loaded."""
    if not re.fullmatch(r"[\w.-]+", options.name):
        fail(f"--name becomes a file name: use letters, digits, . _ -, got {options.name!r}")
    if options.plot_only:
        return
    if options.config is None:
        fail("say what to train: --config configs/push.yaml")
    if not options.config.is_file():
        fail(
            f"no config file {options.config}: give an existing one, as --config configs/push.yaml"
        )
    if not options.seeds or min(options.seeds) < 0 or len({*options.seeds}) < len(options.seeds):
        fail(f"--seeds wants different whole numbers from 0, as --seeds 0 1 2; got {options.seeds}")
    if options.env_steps is None or options.env_steps < 1:
        fail(f"--env_steps wants the budget of each seed, as 60000; got {options.env_steps}")
    if options.jobs < 1:
        fail(f"--jobs must be at least 1, got {options.jobs}")


def show(options: argparse.Namespace, records: Records) -> None:
    """Draw and tabulate what is recorded so far."""
    from rich.console import Console

    from benchmarks.plot_learning import plot
    from benchmarks.summary import LEGEND, curves, table
    from rher_pl.compare import published

    data = curves(records.read())
    if data is None:
        fail(f"nothing to show: {records.path} holds no evaluation that all its seeds share")
    picture = records.path.with_suffix(".png")
    plot(data, picture)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 100  # a log file has no width of its own
    console.print(table(options.name, data))
    protocol = published.PROTOCOL if published.published(data.task) else ""
    console.print(f"{LEGEND} {protocol}")
    console.print(f"records {records.path}\npicture {picture}", soft_wrap=True)


def main(arguments: list[str] | None = None) -> None:
    """The command line; see ``--help``."""
    options, overrides = make_parser().parse_known_args(arguments)
    check(options)
    records = Records(options.results / f"{options.name}.jsonl")
    if not options.plot_only:
        train(options, overrides, records)
    elif overrides:
        fail(f"--plot_only trains nothing, so it takes no overrides; got {' '.join(overrides)}")
    show(options, records)


def train(options: argparse.Namespace, overrides: list[str], records: Records) -> None:
    """Bring every seed to its budget."""
    from benchmarks.learning_runs import Runs
    from benchmarks.learning_settings import keep, resolve

    try:
        settings = resolve(options.config, overrides)
        scratch = options.scratch / options.name
        if options.fresh:
            records.drop(lambda record: True)
            shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, exist_ok=True)
        keep(records, settings)
    except (ConfigError, OSError) as error:
        fail(str(error))
    runs = Runs(options.name, records, scratch, options.env_steps)
    bring_to_budget([(runs, seed) for seed in options.seeds], options.jobs)


def bring_to_budget(queue: Sequence[tuple[Runs, int]], jobs: int) -> None:
    """Train (benchmark, seed) pairs; exits with status 1 if one fails, 130 if interrupted."""
    from benchmarks.learning_runs import train_all

    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        failed = train_all(queue, jobs)
    except KeyboardInterrupt:
        fail("interrupted; the same command continues", status=130)
    finally:
        signal.signal(signal.SIGTERM, previous)
    if failed:
        fail("; ".join(failed), status=1)


if __name__ == "__main__":
    main()
