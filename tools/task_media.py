"""Pictures of every task, and videos of trained policies, for the pages of the tasks.

Without options: a still of every task, and the videos of the policies in the package. With
--ckpt, --run or --pretrained: the video of that policy, for the page of its task.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from rher_pl.cli.command import Parser, run_command
from rher_pl.cli.policy_options import add_policy_options, chosen_policy
from rher_pl.cli.quiet import quiet
from rher_pl.errors import require
from rher_pl.evaluation import FIRST_SEED
from rher_pl.tasks import Task, get_task, known_tasks
from tools.task_names import page_name

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy
    from rher_pl.pictures.scenes import Scene

MEDIA = Path("docs/images/tasks")
SIZE = (480, 360)
EPISODES = 3
MOST_PLAYED = 20


def make_video(trained: TrainedPolicy) -> Path:
    """Show the first episodes that the policy solves; returns the file.

    Raises:
        ConfigError: if it solves too few to show.
    """
    from rher_pl.pictures.acting import TaskPolicy
    from rher_pl.pictures.playback import play
    from rher_pl.pictures.scenes import make_scene
    from rher_pl.pictures.video import encode, one_after_another

    path = MEDIA / f"{page_name(trained.task_name)}.mp4"
    with closing(make_scene(trained.task, "camera", SIZE)) as scene:
        played = (
            play(scene, TaskPolicy(trained.policy), trained.relay, seed, f"seed {seed}  ")
            for seed in islice(open_seeds(scene, trained.task), MOST_PLAYED)
        )
        solved = list(islice((playback for playback in played if playback.solved), EPISODES))
    require(
        len(solved) == EPISODES,
        f"{trained.source} solves {len(solved)} of {MOST_PLAYED} episodes: show a better policy",
    )
    encode(one_after_another(solved), path)
    return path


def make_still(task: Task) -> Path:
    """Draw the start of an episode; returns the file."""
    from rher_pl.pictures.scenes import make_scene

    path = MEDIA / f"{page_name(task.name)}.webp"
    with closing(make_scene(task, "camera", SIZE)) as scene:
        scene.reset(next(open_seeds(scene, task)))
        Image.fromarray(scene.draw()).save(path, quality=85)
    return path


def open_seeds(scene: Scene, task: Task) -> Iterator[int]:
    """Seeds of episodes that do not begin solved: nothing would happen in them."""
    from rher_pl.pictures.playback import is_solved

    for seed in count(FIRST_SEED):
        if not is_solved(task.relay, scene.reset(seed)):
            yield seed


def body(arguments: Sequence[str]) -> int:
    """Make what is asked for; exit status."""
    quiet()
    MEDIA.mkdir(parents=True, exist_ok=True)
    if arguments:
        parser = Parser("tools.task_media", __doc__ or "")
        add_policy_options(parser)
        print(make_video(chosen_policy(parser.parse_args(arguments))))
        return 0
    from rher_pl.deploy.pretrained import known_policies
    from rher_pl.deploy.trained import load_policy

    for name in known_tasks():
        print(make_still(get_task(name)))
    for name in known_policies():
        print(make_video(load_policy(name)))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(body, None))
