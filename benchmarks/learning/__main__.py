"""Learning curves over seeds, by the trainer itself.

Runs python -m rher_pl.fit once for each seed. Each evaluation becomes a line of
RESULTS/TASK/CONFIG/records.jsonl; settings.yaml and curve.png are beside it. The same command
continues what was interrupted, and skips seeds that are complete. Options of the trainer are passed
on and become part of the folder's name, for example --data.num_envs 8.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.learning.command import add_options, prepare, train
from benchmarks.learning.records import Records
from benchmarks.learning.settings import PROTOCOL, folder_name, read_overrides, resolve, task_name
from rher_pl.cli.command import Parser, run_command
from rher_pl.errors import ConfigError, require


def make_parser() -> Parser:
    parser = Parser("benchmarks.learning", __doc__ or "")
    parser.add_argument("--config", type=Path, required=True, help="such as configs/push.yaml")
    add_options(parser, "learning", "mlruns/benchmarks/learning")
    return parser


def body(arguments: Sequence[str]) -> int:
    """Train, draw and tabulate; exit status."""
    options, rest = make_parser().parse_known_args(arguments)
    overrides = read_overrides(rest)
    settings = resolve(options.config, PROTOCOL | overrides)
    name = folder_name(options.config, overrides)
    place = Path(task_name(settings)) / name
    records, status = Records(options.results / place), 0
    if not options.plot_only:
        seeds = options.seeds or []
        require(
            bool(seeds) and len({*seeds}) == len(seeds),
            "write different seeds, such as --seeds 0 1 2",
        )
        require(
            options.env_steps is not None,
            "write the budget of each seed, such as --env_steps 40000",
        )
        trainings = prepare(options, name, place, settings, options.env_steps)
        status = train([(trainings, seed) for seed in seeds], options.jobs)
    return status or show(records)


def show(records: Records) -> int:
    """Draw and tabulate what is recorded."""
    from rher_pl.compare import table
    from rher_pl.compare.curves import read_records
    from rher_pl.compare.groups import make_groups
    from rher_pl.compare.picture import draw
    from rher_pl.compare.statistics import Centre

    if not records.read():
        raise ConfigError(f"nothing to show: {records.path} holds no evaluation")
    groups = make_groups(read_records(records.path, "success"), Centre.mean)
    picture = records.folder / "curve.png"
    draw(groups, with_published=True).savefig(picture)
    table.show(groups, True, picture)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see ``--help``."""
    return run_command(body, argv)


if __name__ == "__main__":
    sys.exit(main())
