"""Policies judged, drawn and watched from a scene that the user gives."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rher_pl import load_policy
from rher_pl.cli import exit_status
from rher_pl.envs.fetch import FetchEnv
from rher_pl.errors import ConfigError
from rher_pl.evaluate import main
from rher_pl.pictures.scenes import CameraScene
from rher_pl.tasks import get_task

GOAL, OBJECT = [[1.4, 0.8, 0.4247]], [[1.25, 0.6, 0.4247]]
TOWER = [[1.3, 0.75, 0.4247], [1.3, 0.75, 0.4747]]
ROOT = Path(__file__).parents[1]


def test_every_episode_starts_from_it_and_seeds_draw_the_rest() -> None:
    fixed = load_policy("push").evaluate(episodes=2, goal=GOAL, objects=OBJECT)
    assert fixed.success in (0.0, 1.0), "both episodes are the same one"
    env = get_task("FetchPush-v4").starting(GOAL, None)
    made = env.make_env(3, 0)
    made.given = env.given
    start = made.reset()
    assert torch.allclose(start["desired_goals"], torch.tensor(GOAL).expand(3, 1, 3))
    assert len({tuple(row) for row in start["achieved_goals"][:, 1].tolist()}) == 3
    made.close()


@pytest.mark.parametrize(
    ("name", "goal", "objects"),
    [
        ("FetchPush-v4", GOAL, OBJECT),
        ("FetchPush-v4", None, OBJECT),
        ("FetchPickAndPlace-v4", [[1.3, 0.7, 0.7]], None),
        ("FetchStack-v0", TOWER, None),
    ],
)
def test_the_camera_sees_what_is_judged(name: str, goal: list, objects: list) -> None:
    task = get_task(name).starting(goal, objects)
    scene = CameraScene(task, (64, 48))
    seen = scene.reset(5)
    env = FetchEnv(task.gymnasium_id or "", 1, 5)
    played = env.reset(**task.given)
    scene.close()
    env.close()
    for key in ("observation", "achieved_goals", "desired_goals"):
        assert torch.equal(seen[key].float(), played[key])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--goal", "1.4,0.8"], "write metres as"),
        (["--goal", "1.4,0.8,inf"], "write metres as"),
        (["--goal", "1.4,0.8,0.9"], "z is 0.9 m, must be"),
        (["--goal", "1.4,0.8,0.4247", "1.3,0.8,0.4247"], "goal"),
        (["--objects", "0.1,0.8,0.4247"], "x is 0.1 m, must be"),
        (["--render", "robot"], "human"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--pretrained", "push", *words]) == exit_status.MISTAKE
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_a_task_that_draws_its_own_scenes_says_so() -> None:
    with pytest.raises(ConfigError, match="draws its own scenes"):
        get_task("PointPush-v0").starting(GOAL, None)


# --- a window ----------------------------------------------------------------------------------


def test_without_a_display_the_window_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    words = ["--pretrained", "push", "--render", "human", "--episodes", "1"]
    assert main(words) == exit_status.MISTAKE
    assert "needs a display" in capsys.readouterr().err


@pytest.fixture
def display() -> Iterator[str]:
    """A display without a screen."""
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        pytest.skip("WINDOW NOT CHECKED: Xvfb is missing; apt-get install xvfb")
    read, write = os.pipe()
    command = [xvfb, "-displayfd", str(write), "-screen", "0", "1280x960x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as told:
        yield f":{told.readline().strip()}"
    server.terminate()
    server.wait()


def test_a_window_shows_the_episode_at_the_robots_speed(display: str, tmp_path: Path) -> None:
    environment = os.environ | {"DISPLAY": display, "PYTHONPATH": str(ROOT)}
    environment.pop("MUJOCO_GL", None)
    command = [sys.executable, "-m", "rher_pl.evaluate", "--pretrained", "push"]
    command += ["--render", "human", "--video_episodes", "1", "--episodes", "1"]
    begun = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    seconds = time.monotonic() - begun
    process.communicate(timeout=120)
    assert process.returncode == 0 and first.startswith("window: 1 episode")
    assert seconds > 50 * 0.04, "50 steps of 0.04 s each are not shown faster"
