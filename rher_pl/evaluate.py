"""Evaluate a trained policy: ``python -m rher_pl.evaluate --pretrained push --video push.mp4``."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rher_pl.cli import exit_status
from rher_pl.cli.command import Parser, positive, run_command, seed
from rher_pl.cli.policy_options import add_policy_options, add_view_option, chosen_policy
from rher_pl.evaluation import FIRST_SEED

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy
    from rher_pl.pictures.acting import Acting
    from rher_pl.tasks import Task

EPISODES, SHOWN_EPISODES, GRID_EPISODES = 100, 3, 9
PICTURE, SMALL_PICTURE = (480, 360), (256, 192)


def make_parser() -> argparse.ArgumentParser:
    parser = Parser("rher_pl.evaluate", "Success of a trained policy, as a table, JSON and video.")
    add_policy_options(parser)
    parser.add_argument(
        "--episodes",
        type=positive,
        help="episodes to play (100; 1 if --goal and --objects are given)",
    )
    parser.add_argument(
        "--seed", type=seed, default=FIRST_SEED, help=f"seed of the first episode ({FIRST_SEED})"
    )
    parser.add_argument(
        "--threads", type=positive, default=1, help="threads that step simulations (1)"
    )
    point: dict[str, Any] = {"type": position, "nargs": "+", "metavar": "X,Y,Z"}
    parser.add_argument(
        "--goal", help="goals of every episode, metres, one for each object", **point
    )
    parser.add_argument("--objects", help="start positions of the objects, metres", **point)
    parser.add_argument(
        "--render",
        choices=("human",),
        help="first show episodes in a window of the simulator, as they happen",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write all figures to FILE; - for standard output"
    )
    parser.add_argument("--video", metavar="FILE", help="write a video (.mp4) of episodes to FILE")
    parser.add_argument("--grid", action="store_true", help="nine episodes at once in the video")
    parser.add_argument(
        "--video_episodes",
        type=positive,
        help=f"episodes in the video or window, one after another ({SHOWN_EPISODES})",
    )
    add_view_option(parser)
    parser.add_argument(
        "--explore",
        action="store_true",
        help="act in video or window as in training: guide, learner, random actions and noise",
    )
    return parser


def position(text: str) -> list[float]:
    """An ``argparse`` type: three numbers."""
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = []
    if len(found) != 3 or not all(map(math.isfinite, found)):
        raise argparse.ArgumentTypeError(f"write metres as 1.3,0.75,0.42, not {text!r:.40}")
    return found


def count_of(episodes: int) -> str:
    return f"{episodes} episode{'' if episodes == 1 else 's'}"


def show_window(trained: TrainedPolicy, task: Task, options: argparse.Namespace) -> str:
    """Show episodes in a window; returns a line that says what was seen."""
    from rher_pl.pictures.window import watch

    seeds = range(options.seed, options.seed + options.video_episodes)
    solved = watch(task, make_acting(trained, options, task), trained.relay, seeds)
    return f"window: {count_of(len(seeds))}, {solved} solved at the end"


def make_acting(trained: TrainedPolicy, options: argparse.Namespace, task: Task) -> Acting:
    """The policy without noise; with ``--explore``, what collected episodes in training."""
    from rher_pl.deploy.exploring import make_behavior_policy
    from rher_pl.pictures.acting import Exploring, TaskPolicy
    from rher_pl.tasks import make_env

    if not options.explore:
        return TaskPolicy(trained.policy)
    env = make_env(task, 1, 0)
    env.close()
    return Exploring(make_behavior_policy(trained, env.max_episode_steps))


def make_video(trained: TrainedPolicy, task: Task, options: argparse.Namespace) -> str:
    """Write the video that the options ask for; returns a line that says what is in it."""
    from contextlib import closing

    from rher_pl.pictures.playback import play
    from rher_pl.pictures.scenes import make_scene
    from rher_pl.pictures.video import encode, one_after_another, side_by_side

    count = GRID_EPISODES if options.grid else options.video_episodes
    size = SMALL_PICTURE if options.grid else PICTURE
    playbacks = []
    acting = make_acting(trained, options, task)
    with closing(make_scene(task, options.view, size)) as scene:
        for seed in range(options.seed, options.seed + count):
            title = f"{seed}  " if options.grid else f"{trained.task_name}  seed {seed}  "
            playbacks.append(play(scene, acting, trained.relay, seed, title))
    encode(side_by_side(playbacks) if options.grid else one_after_another(playbacks), options.video)
    solved = sum(playback.solved for playback in playbacks)
    return f"{options.video}: {count_of(count)}, {solved} solved at the end"


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
    for given, name in (
        (options.explore, "--explore"),
        (options.video_episodes is not None, "--video_episodes"),
    ):
        require(
            bool(options.video or options.render) or not given,
            f"{name} is about what is shown: add --video out.mp4, or --render human",
        )
    options.video_episodes = options.video_episodes or SHOWN_EPISODES
    if options.video:
        check_video_path(options.video)
    if options.json and options.json != "-":
        check_output_file(options.json, "--json")
    trained = chosen_policy(options)
    task = trained.task.starting(options.goal, options.objects)
    if options.video and options.view == "camera" and has_camera(task):
        use_backend()  # fails now, not after all episodes were played
    if options.episodes is None:
        options.episodes = 1 if options.goal and options.objects else EPISODES
    console = Console(stderr=options.json == "-")
    if options.render:
        console.print(show_window(trained, task, options))
    figures = measure(trained, options.episodes, options.seed, options.threads, task)
    figures["versions"] = versions()
    last = options.seed + options.episodes - 1
    title = (
        f"{figures['task']}, {figures['env_steps']:,} env steps: episodes {options.seed} to {last}"
    )
    console.print(report_table(figures["subtasks"], title))
    if options.json:
        text = json.dumps(figures, indent=2) + "\n"
        sys.stdout.write(text) if options.json == "-" else Path(options.json).write_text(text)
    if options.video:
        console.print(make_video(trained, task, options), soft_wrap=True, highlight=False)
    return exit_status.SUCCESS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 on success, 2 for a mistake in the arguments."""
    return run_command(evaluate_command, argv)


if __name__ == "__main__":
    sys.exit(main())
