"""Evaluate a trained policy: ``python -m rher_pl.evaluate --pretrained push --video push.mp4``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rher_pl.cli import exit_status
from rher_pl.cli.command import Parser, positive, run_command
from rher_pl.cli.policy_options import add_policy_options, chosen_policy
from rher_pl.evaluation import FIRST_SEED

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy

GRID_EPISODES = 9
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


def make_video(trained: TrainedPolicy, options: argparse.Namespace) -> str:
    """Write the video that the options ask for; returns a line that says what is in it."""
    from contextlib import closing

    from rher_pl.deploy.exploring import make_behavior_policy
    from rher_pl.pictures.acting import Acting, Exploring, TaskPolicy
    from rher_pl.pictures.playback import play
    from rher_pl.pictures.scenes import make_scene
    from rher_pl.pictures.video import encode, one_after_another, side_by_side

    count = GRID_EPISODES if options.grid else options.video_episodes
    size = SMALL_PICTURE if options.grid else PICTURE
    playbacks = []
    with closing(make_scene(trained.task, options.view, size)) as scene:
        acting: Acting = TaskPolicy(trained.policy)
        if options.explore:
            acting = Exploring(make_behavior_policy(trained, scene.max_episode_steps))
        for seed in range(options.seed, options.seed + count):
            title = f"{seed}  " if options.grid else f"{trained.task_name}  seed {seed}  "
            playbacks.append(play(scene, acting, trained.relay, seed, title))
    encode(side_by_side(playbacks) if options.grid else one_after_another(playbacks), options.video)
    solved = sum(playback.solved for playback in playbacks)
    return f"{options.video}: {count} episodes, {solved} solved at the end"


def evaluate_command(argv: Sequence[str]) -> int:
    options = make_parser().parse_args(argv)

    import json
    from pathlib import Path

    from rich.console import Console

    from rher_pl.cli.quiet import quiet
    from rher_pl.deploy.measure import measure
    from rher_pl.errors import require
    from rher_pl.evaluation.report import report_table
    from rher_pl.paths import check_output_file
    from rher_pl.pictures.rendering import use_backend
    from rher_pl.pictures.scenes import has_camera
    from rher_pl.pictures.video import check_video_path
    from rher_pl.tracking.provenance import versions

    quiet()
    require(
        bool(options.video) or not options.grid, "--grid is about the video: add --video out.mp4"
    )
    if options.video:
        check_video_path(options.video)
    if options.json and options.json != "-":
        check_output_file(options.json, "--json")
    trained = chosen_policy(options)
    if options.video and options.view == "camera" and has_camera(trained.task):
        use_backend()  # found out now, not after all episodes were played
    figures = measure(trained, options.episodes, options.seed, options.threads)
    figures["versions"] = versions()
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
    return exit_status.SUCCESS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 on success, 2 for a mistake in the arguments."""
    return run_command(evaluate_command, argv)


if __name__ == "__main__":
    sys.exit(main())
