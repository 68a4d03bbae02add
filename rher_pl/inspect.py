"""Draw a stored episode: ``python -m rher_pl.inspect --ckpt last.ckpt --episode -1``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rher_pl.cli import exit_status
from rher_pl.cli.command import Parser, run_command, seed

SUFFIXES = (".png", ".svg", ".pdf")


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        "rher_pl.inspect",
        "Draw one episode of a checkpoint's replay from above: paths, original and hindsight "
        "goals, which transitions are relabelled, and rewards before and after, per subtask.",
    )
    parser.add_argument("--ckpt", metavar="FILE", required=True, help="a checkpoint of a run")
    parser.add_argument(
        "--episode", type=int, default=-1, help="0 is the oldest stored, -1 the newest (-1)"
    )
    parser.add_argument(
        "--out", metavar="FILE", default="episode.png", help="picture to write (episode.png)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed for drawing hindsight goals (0)")
    return parser


def inspect_command(argv: Sequence[str]) -> int:
    options = make_parser().parse_args(argv)

    from dataclasses import fields
    from pathlib import Path

    import torch
    from tensordict import TensorDict

    from rher_pl.checkpoints.episodes import data_options, read_episode
    from rher_pl.checkpoints.file import read_checkpoint_file
    from rher_pl.checkpoints.layout import read_entry
    from rher_pl.choices import Hindsight
    from rher_pl.errors import require
    from rher_pl.look import Look
    from rher_pl.paths import check_output_file
    from rher_pl.pictures.inspection import inspect_episode
    from rher_pl.pictures.inspection_figure import inspection_figure
    from rher_pl.relay import Layout, Relay
    from rher_pl.replay.sampling import SamplingRule
    from rher_pl.tasks import get_task, known_tasks

    out = Path(options.out)
    require(out.suffix in SUFFIXES, f"{out} names no picture: end it in {', '.join(SUFFIXES)}")
    check_output_file(out, "--out")
    source = f"checkpoint {options.ckpt}"
    content = read_checkpoint_file(Path(options.ckpt))
    entry = read_entry(content, source)
    episode = TensorDict(read_episode(content, options.episode, source), batch_size=[])
    settings = data_options(content, source)
    learned = Relay.from_dict(entry.relay).rewarded(settings.share("reward_radius"))
    relay = learned.in_order()
    shares = [field.name for field in fields(SamplingRule) if field.type == "float"]
    given: dict[str, Any] = {name: settings.share(name) for name in shares if name in settings}
    rule = SamplingRule(hindsight=settings.one_of("hindsight", Hindsight), **given)
    look = get_task(entry.task).look if entry.task in known_tasks() else Look()
    columns = torch.tensor(Layout(tuple(entry.layout)).places, dtype=torch.long).view(-1, 3)
    places = episode["observation"][0][columns]
    inspected = [
        inspect_episode(relay, episode, subtask, rule, options.seed, look, places)
        for subtask in range(relay.num_subtasks)
    ]
    title = f"{entry.task}, episode {options.episode} of {Path(options.ckpt).name}"
    inspection_figure(inspected, title).savefig(out)
    if learned.any_order:
        print("objects keep their numbers here; learning numbers them in each state: nearest first")
    for one in inspected:
        print(
            f"{relay.names[one.subtask]}: {int(one.relabeled.sum())} of {len(one.later)} "
            f"transitions relabelled; reward 0 in {int((one.original_reward == 0).sum())} before, "
            f"{int((one.reward == 0).sum())} after, of which {int(one.inert.sum())} inert"
        )
    print(out)
    return exit_status.SUCCESS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 on success, 2 for a mistake in the arguments."""
    return run_command(inspect_command, argv)


if __name__ == "__main__":
    sys.exit(main())
