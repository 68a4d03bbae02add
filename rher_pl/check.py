"""Look at a task before training on it: ``python -m rher_pl.check --config my_task.yaml``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rher_pl.cli import exit_status
from rher_pl.cli.command import Parser, run_command
from rher_pl.cli.shipped_configs import with_shipped_configs
from rher_pl.own_modules import OWN

if TYPE_CHECKING:
    from rher_pl.cli.checks.finding import Finding
    from rher_pl.training.datamodule import RelayDataModule

EPISODES = 20


def check_command(argv: Sequence[str]) -> int:
    from rher_pl.cli.quiet import quiet
    from rher_pl.cli.task_options import make_datamodule

    parser = Parser(
        "rher_pl.check",
        "Play random episodes of a task and say whether it can be learned, and what to change. "
        "Options such as --data.task override those of the config. "
        "Exit status 1 if something is broken.",
    )
    parser.add_argument("--config", action="append", default=[], help="as for training")
    options, rest = parser.parse_known_args(with_shipped_configs(argv))
    quiet()
    datamodule = make_datamodule(options.config, rest)

    from rher_pl.cli.checks.environment import checked
    from rher_pl.cli.checks.finding import show

    broken = show(checked(lambda: _findings(datamodule)), "doubt", "doubtful")
    return exit_status.FAULT if broken else exit_status.SUCCESS


def _findings(datamodule: RelayDataModule) -> Iterator[Finding]:
    """What random episodes show, played in as many environments as a run has."""
    import torch

    from rher_pl.cli.checks import playing
    from rher_pl.cli.checks.environment import findings, rewards
    from rher_pl.gymnasium_task import GymnasiumTask
    from rher_pl.tasks import make_env

    task, count = datamodule.task, datamodule.hparams["num_envs"]
    written = None if task.written is None else GymnasiumTask(**task.written["init_args"])
    env = make_env(task, count, playing.SEED)
    try:
        played = [playing.play(env, playing.SEED + first) for first in range(0, EPISODES, count)]
        yield from findings(task, torch.cat(played))
        if written is not None:
            yield rewards(written, task)
        yield playing.reproduces(env, played[0])
        yield playing.reproduces_afresh(written or task.name, OWN, played[0])
    finally:
        env.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 if all is well, 1 if something is broken, 2 for a mistake."""
    return run_command(check_command, argv)


if __name__ == "__main__":
    sys.exit(main())
