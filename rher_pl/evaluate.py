"""Evaluate a trained policy: ``python -m rher_pl.evaluate --pretrained push --video push.mp4``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rher_pl.cli.command import Parser, add_policy_options, positive, run_command

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy

FIRST_SEED = 2_000_000
"""Evaluation during training uses 1,000,000 and those after it; these choose no checkpoint."""
GRID_EPISODES = 9
ENVS = 25
PICTURE, SMALL_PICTURE = (480, 360), (256, 192)


def make_parser() -> argparse.ArgumentParser:
    parser = Parser("rher_pl.evaluate", "Success of a trained policy, as a table, JSON and video.")
    add_policy_options(parser)
    parser.add_argument("--episodes", type=positive, default=100, help="for each subtask (100)")
    parser.add_argument(
        "--seed", type=int, default=FIRST_SEED, help=f"of the first episode ({FIRST_SEED})"
    )
    parser.add_argument("--threads", type=positive, default=1, help="that step simulations (1)")
    parser.add_argument(
        "--json", metavar="FILE", help="write all figures there; - for standard output"
    )
    parser.add_argument("--video", metavar="FILE", help="write a video (.mp4) of episodes there")
    parser.add_argument("--grid", action="store_true", help="nine episodes at once in the video")
    parser.add_argument(
        "--video_episodes", type=positive, default=3, help="in the video, one after another (3)"
    )
    parser.add_argument(
        "--view",
        choices=("camera", "top"),
        default="camera",
        help="camera of the simulator, or a plan from above that needs no graphics (camera)",
    )
    parser.add_argument(
        "--explore",
        action="store_true",
        help="act in the video as in training: guide, learner, random actions and noise",
    )
    return parser


def chosen_policy(options: argparse.Namespace) -> TrainedPolicy:
    """Load what :func:`add_policy_options` asked for."""
    from rher_pl.deploy.pretrained import known_policies
    from rher_pl.deploy.trained import load_policy
    from rher_pl.errors import require
    from rher_pl.tracking.runs import run_checkpoint

    if options.run:
        return load_policy(run_checkpoint(options.run, options.folder, options.tracking_uri))
    if options.ckpt:
        from pathlib import Path

        require(Path(options.ckpt).is_file(), f"no checkpoint {options.ckpt}: give a .ckpt file")
        return load_policy(Path(options.ckpt))
    known = known_policies()
    require(
        options.pretrained in known,
        f"no policy {options.pretrained!r} comes with the package: "
        f"choose one of {', '.join(known) or 'none'}, or give --ckpt",
    )
    return load_policy(options.pretrained)


def measure(trained: TrainedPolicy, episodes: int, seed: int, threads: int = 1) -> dict[str, Any]:
    """Play episodes of every subtask under its own policy; all figures as plain values."""
    from rher_pl.evaluation.report import report
    from rher_pl.evaluation.rollout import evaluate
    from rher_pl.tracking.provenance import versions

    env = trained.task.make_env(min(ENVS, episodes), seed, threads)
    seeds = range(seed, seed + episodes)

    def no_q(inputs: Any, action: Any) -> Any:
        return inputs[:, 0] * float("nan")  # the critic stays with the checkpoint

    results = {
        name: evaluate(env, trained.policy, seeds, subtask, 0.0, no_q)
        for subtask, name in enumerate(trained.relay.names)
    }
    env.close()
    return {
        "task": trained.task.name,
        "policy": trained.source,
        "episodes": episodes,
        "first_seed": seed,
        **trained.counters,
        "subtasks": report(results),
        "versions": versions(),
    }


def make_video(trained: TrainedPolicy, options: argparse.Namespace) -> str:
    """Write the video that the options ask for; returns a line that says what is in it."""
    from contextlib import closing

    from rher_pl.pictures.scenes import make_scene
    from rher_pl.pictures.video import (
        Exploring,
        TaskPolicy,
        encode,
        one_after_another,
        play,
        side_by_side,
    )

    acting: Any = TaskPolicy(trained.policy)
    if options.explore:
        acting = Exploring(make_behavior_policy(trained, options.seed))
    count = GRID_EPISODES if options.grid else options.video_episodes
    size = SMALL_PICTURE if options.grid else PICTURE
    playbacks = []
    with closing(make_scene(trained.task, options.view, size)) as scene:
        for seed in range(options.seed, options.seed + count):
            title = f"{seed}  " if options.grid else f"{trained.task.name}  seed {seed}  "
            playbacks.append(play(scene, acting, trained.relay, seed, title))
    encode(side_by_side(playbacks) if options.grid else one_after_another(playbacks), options.video)
    solved = sum(playback.solved for playback in playbacks)
    return f"{options.video}: {count} episodes, {solved} solved at the end"


def make_behavior_policy(trained: TrainedPolicy, seed: int) -> Any:
    """Who acts while episodes are collected, as the policy's own run set it up.

    Raises:
        ConfigError: if the file does not say how the run explored.
    """
    import torch

    from rher_pl.collect.behavior import BehaviorPolicy, Exploration
    from rher_pl.collect.progress import MovingSuccess
    from rher_pl.deploy.trained import EXPLORATION
    from rher_pl.errors import require

    settings = {"fading_guide": False} | trained.exploration  # the first policies do not say
    require(
        set(settings) == set(EXPLORATION),
        f"{trained.source} does not say how its run explored: leave out --explore",
    )
    progress = MovingSuccess(trained.relay.num_subtasks)
    progress.load_state_dict(trained.content["rher_pl"]["progress"])
    generator = torch.Generator().manual_seed(seed)
    return BehaviorPolicy(trained.policy, progress, Exploration(**settings), generator)


def evaluate_command(argv: Sequence[str]) -> int:
    options = make_parser().parse_args(argv)

    import json
    from pathlib import Path

    from rich.console import Console

    from rher_pl.cli.fit_cli import quiet
    from rher_pl.errors import require
    from rher_pl.evaluation.report import report_table
    from rher_pl.pictures.video import check_video_path

    quiet()
    require(
        bool(options.video) or not options.grid, "--grid is about the video: add --video out.mp4"
    )
    if options.video:
        check_video_path(options.video)
    trained = chosen_policy(options)
    figures = measure(trained, options.episodes, options.seed, options.threads)
    console = Console(stderr=options.json == "-")
    last = options.seed + options.episodes - 1
    title = (
        f"{figures['task']}, {figures['env_steps']:,} env steps: episodes {options.seed} to {last}"
    )
    console.print(report_table(figures["subtasks"], title))
    if options.json:
        text = json.dumps(figures, indent=2) + "\n"
        sys.stdout.write(text) if options.json == "-" else Path(options.json).write_text(text)
    if options.video:
        console.print(make_video(trained, options), soft_wrap=True, highlight=False)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 on success, 2 for a mistake in the arguments."""
    return run_command(evaluate_command, argv)


if __name__ == "__main__":
    sys.exit(main())
