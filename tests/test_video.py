"""Reports, pictures and videos of a policy; and that taking them does not disturb training."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from cli_config import EVALUATIONS, write_config
from mlflow.tracking import MlflowClient
from PIL import ImageColor
from tensordict import TensorDict

from rher_pl.callbacks.video import VideoRecorder
from rher_pl.deploy.trained import TrainedPolicy, load_policy
from rher_pl.envs.contract import STATE_KEYS
from rher_pl.evaluate import main
from rher_pl.evaluation.report import report, wilson_interval
from rher_pl.fit import main as fit
from rher_pl.look import Look
from rher_pl.pictures import palette
from rher_pl.pictures.acting import TaskPolicy
from rher_pl.pictures.names import active_text
from rher_pl.pictures.overlay import Caption, Gauge, annotate, tile
from rher_pl.pictures.plan import Plan
from rher_pl.pictures.playback import make_gauges, play
from rher_pl.pictures.rendering import candidates, probe, working_backend
from rher_pl.pictures.scenes import make_scene
from rher_pl.pictures.video import side_by_side
from rher_pl.relay import Relay
from rher_pl.tasks import get_task
from rher_pl.tracking.store import absolute_uri
from rher_pl.training.module import RHERModule


@pytest.fixture(scope="module")
def trained(checkpoint: Path) -> TrainedPolicy:
    return load_policy(checkpoint)


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def two_objects() -> Relay:
    return Relay(("push_0", "push_1"))


# --- figures -----------------------------------------------------------------------------------


def test_episodes_that_started_solved_are_reported_apart() -> None:
    result = TensorDict(
        {
            "success": torch.tensor([True, True, False, True]),
            "solved_at_reset": torch.tensor([False, True, True, False]),
            "steps_to_success": torch.tensor([4, 0, -1, 8]),
        },
        batch_size=[4],
    )
    groups = report({"push": result})["push"]
    fresh, easy = groups["not_solved_at_reset"], groups["solved_at_reset"]
    assert (fresh["solved"], fresh["episodes"], fresh["mean_steps_to_success"]) == (2, 2, 6.0)
    assert (easy["solved"], easy["episodes"], groups["all"]["episodes"]) == (1, 2, 4)
    none = report({"push": result[:0]})["push"]["all"]
    assert none["success"] is None and none["interval_95"] == [0.0, 1.0]


def test_wilson_interval_is_that_of_the_textbook() -> None:
    low, high = wilson_interval(95, 100)
    assert (round(low, 3), round(high, 3)) == (0.888, 0.978)


def test_evaluate_writes_table_json_and_video(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, video = tmp_path / "figures.json", tmp_path / "out.mp4"
    arguments = ["--ckpt", str(checkpoint), "--episodes", "12", "--json", str(figures)]
    assert main([*arguments, "--video", str(video), "--video_episodes", "2", "--explore"]) == 0
    out = capsys.readouterr().out
    assert "reach" in out and "push" in out and "interval" in out
    values = json.loads(figures.read_text())
    assert values["task"] == "PointPush-v0" and values["env_steps"] == 500
    for groups in values["subtasks"].values():
        assert groups["all"]["episodes"] == 12
        parts = [groups[name]["episodes"] for name in ("not_solved_at_reset", "solved_at_reset")]
        assert sum(parts) == 12
    assert len(decode(video)) == 2 * (26 + 15)  # T + 1 states, and the last one held


def test_grid_shows_nine_episodes_at_once(checkpoint: Path, tmp_path: Path) -> None:
    video = tmp_path / "grid.mp4"
    arguments = ["--ckpt", str(checkpoint), "--episodes", "1", "--video", str(video), "--grid"]
    assert main(arguments) == 0
    frames = decode(video)
    height, width = (size // 3 for size in frames[0].shape[:2])
    cells = [
        frames[0][r * height : (r + 1) * height, c * width : (c + 1) * width].astype(int)
        for r in range(3)
        for c in range(3)
    ]
    assert all(np.abs(cell - cells[0]).max() > 50 for cell in cells[1:])  # nine different starts


# --- pictures ----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_pictures_and_moves_no_global_randomness(
    trained: TrainedPolicy,
) -> None:
    def state() -> list:
        return [
            torch.get_rng_state().tolist(),
            random.getstate(),
            np.random.get_state()[1].tolist(),
        ]

    before = state()
    playbacks = []
    for seed in (3, 3, 4):
        scene = make_scene(trained.task, "camera", (128, 96))
        playbacks.append(play(scene, TaskPolicy(trained.policy), trained.relay, seed))
        scene.close()
    assert state() == before
    same = [np.array_equal(a, b) for a, b in zip(playbacks[0].frames, playbacks[1].frames)]
    assert len(same) == 26 and all(same)
    assert not np.array_equal(playbacks[0].frames[0], playbacks[2].frames[0])


def one_state(gripper: list[float], objects: list[list[float]], desired: list[list[float]]) -> Any:
    achieved = torch.tensor([[gripper, *objects]])
    values = {"achieved_goals": achieved, "desired_goals": torch.tensor([desired])}
    return TensorDict(values, batch_size=[1])


def test_gauges_tell_how_far_each_subtask_is() -> None:
    relay = get_task("FetchPush-v4").relay
    state = one_state([0.0, 0, 0], [[0.03, 0, 0]], [[0.03, 0.4, 0]])
    reach, push = make_gauges(relay, state, active=1)
    assert (reach.name, round(reach.distance, 3), reach.active) == ("reach", 0.03, False)
    assert (push.name, round(push.distance, 3), push.active) == ("push", 0.4, True)


@pytest.mark.parametrize(
    ("gripper", "first", "second", "expected"),
    [
        (0.0, 0.5, 0.5, "reach_0: gripper to object 0"),
        (0.5, 0.5, 0.5, "push_0: object 0 to its goal"),
        (0.0, 1.0, 0.5, "reach_1: gripper to object 1"),
        (0.5, 1.0, 0.5, "push_1: object 1 to its goal"),
        (0.0, 1.0, 1.0, "push_1: object 1 to its goal"),  # all are home
    ],
)
def test_the_caption_names_the_subtask_to_work_on_and_its_object(
    gripper: float, first: float, second: float, expected: str
) -> None:
    """Two objects whose goals are at x = 1; the first one is served until it is there."""
    relay = two_objects()
    goals = [[1.0, 0, 0], [1.0, 1, 0]]
    at = 0.0 if "0" in expected else 1.0  # the gripper's y: that of the object
    state = one_state([gripper, at, 0], [[first, 0, 0], [second, 1, 0]], goals)
    active = int(relay.working_on(state["achieved_goals"], state["desired_goals"]))
    assert active_text(relay, active) == expected
    gauges = make_gauges(relay, state, active)
    assert [g.name[-1] for g in gauges] == [expected.partition(":")[0][-1]] * 2
    assert [g.name for g in gauges if g.active] == [expected.partition(":")[0]]


def test_the_badge_and_the_frame_say_solved() -> None:
    blank = np.full((60, 80, 3), 200, dtype=np.uint8)
    gauges = (Gauge("push", 0.1, 0.05, True),)
    done, not_done = (
        annotate(blank, Caption("t", "push", "a", gauges, solved)) for solved in (True, False)
    )
    assert not np.array_equal(done[0, 0], blank[0, 0])
    assert np.array_equal(not_done[:60], blank)
    assert done.shape[0] % 2 == 0 and done.shape[0] > 60


def test_what_is_said_of_a_state_is_in_the_picture() -> None:
    blank = np.full((120, 160, 3), 200, dtype=np.uint8)
    plain = Caption("t", "push", "learner", (Gauge("push", 0.1, 0.05, True),), False)
    picture = annotate(blank, plain)
    for other in (
        replace(plain, title="u"),
        replace(plain, active="reach"),
        replace(plain, acting="guide"),
        replace(plain, gauges=(Gauge("push", 0.2, 0.05, True),)),
    ):
        assert not np.array_equal(annotate(blank, other), picture), other


def test_each_point_has_a_colour_of_its_own_from_above() -> None:
    relay = two_objects()
    points = torch.tensor([[0.0, 0, 0], [0.3, 0, 0], [0.3, 0.3, 0]])
    goals = torch.tensor([[0.0, 0.3, 0], [0.15, 0.15, 0]])
    plan = Plan(relay, points, goals, (200, 150))
    drawn = {tuple(pixel) for pixel in plan.draw(points.unsqueeze(0)).reshape(-1, 3)}
    colours = [palette.of_point(point, relay.reach) for point in range(3)] + [palette.GOAL]
    assert len(set(colours)) == 4
    assert {ImageColor.getrgb(colour) for colour in colours} <= drawn


class Shortened:
    """A scene whose episode ends after three steps."""

    max_episode_steps = 10
    look = Look()

    def __init__(self) -> None:
        self.steps = 0

    def reset(self, seed: int) -> Any:
        state = one_state([0.0, 0, 0], [[0.5, 0, 0]], [[1.0, 0, 0]])
        state["ending"] = torch.tensor([[2 if self.steps == 3 else 0]], dtype=torch.uint8)
        return state

    def step(self, action: torch.Tensor) -> Any:
        self.steps += 1
        return self.reset(0)

    def draw(self) -> np.ndarray:
        return np.full((60, 80, 3), 10 * self.steps, dtype=np.uint8)

    def close(self) -> None: ...


class Idle:
    """Does nothing."""

    def begin(self, seed: int) -> None: ...

    def __call__(self, state: Any) -> tuple[torch.Tensor, str]:
        return torch.zeros(1, 4), "idle"


def test_an_episode_that_ends_early_ends_its_video() -> None:
    relay = get_task("FetchPush-v4").relay
    short = play(Shortened(), Idle(), relay, 0)
    assert len(short.frames) == 4
    longer = replace(short, frames=[short.frames[0]] * 6)
    *shown, _ = side_by_side([short, longer], columns=2)
    assert len(shown) == 6 + 2 * 15 - 1
    width = short.frames[0].shape[1]
    assert np.array_equal(shown[5][:, :width], short.frames[-1])  # its last picture stays


def test_missing_tiles_are_dark() -> None:
    sheet = tile([np.full((2, 2, 3), 255, dtype=np.uint8)] * 3, columns=2)
    assert sheet.shape == (4, 4, 3) and sheet[:2].min() == 255 and sheet[2:, 2:].max() < 50


# --- during training ---------------------------------------------------------------------------


def weights_after_fit(folder: Path, *options: str) -> dict[str, torch.Tensor]:
    assert fit(["--config", write_config(folder), *options]) == 0
    (last,) = Path("mlruns/checkpoints").glob("*/last.ckpt")
    return torch.load(last, weights_only=True)["state_dict"]


def test_videos_are_recorded_and_leave_training_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with_videos = weights_after_fit(tmp_path, "--video.every_evaluations", "1")
    client = MlflowClient(absolute_uri("sqlite:///mlruns/mlflow.db"))
    experiment = client.get_experiment_by_name("PointPush-v0")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    found = [Path(file.path).name for file in client.list_artifacts(run.info.run_id, "video")]
    steps = [f"{step:09d}" for step in EVALUATIONS]
    assert found == [step + end for step in steps for end in (".mp4", ".png")]
    history = client.get_metric_history(run.info.run_id, "perf/video_seconds")
    assert [entry.step for entry in history] == EVALUATIONS and history[0].value > 0
    (tmp_path / "off").mkdir()
    monkeypatch.chdir(tmp_path / "off")
    without = weights_after_fit(tmp_path, "--video.every_evaluations", "0")
    assert without.keys() == with_videos.keys()
    assert all(torch.equal(without[name], with_videos[name]) for name in without)


def test_a_fault_while_drawing_ends_videos_but_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def broken(self: VideoRecorder, module: RHERModule, folder: Path) -> list[Path]:
        raise RuntimeError("no such codec\nand a long story")

    monkeypatch.setattr(VideoRecorder, "_render", broken)
    weights_after_fit(tmp_path, "--video.every_evaluations", "1")
    assert capsys.readouterr().err.count("no more videos in this run: no such codec\n") == 1


# --- the simulator's camera --------------------------------------------------------------------


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    found = working_backend()
    if found is None:
        reasons = "; ".join(f"{name}: {probe(name)}" for name in candidates())
        pytest.skip(f"no OpenGL back end draws here: {reasons}")
    yield found


def test_the_camera_shows_the_episode_that_is_evaluated(backend: str) -> None:
    """Frame by frame the goal, the arm and the cube move; the physics stay the batched ones."""
    torch.manual_seed(0)
    module = RHERModule("FetchPush-v4", hidden_size=16, hidden_layers=1)
    task, policy = get_task("FetchPush-v4"), module.evaluated_policy
    scene = make_scene(task, "camera", (160, 120))
    env = task.make_env(1, 11)
    state, seen = env.reset(), scene.reset(11)
    pictures = []
    for _ in range(8):
        for key in STATE_KEYS:
            assert torch.equal(state[key], seen[key]), key
        pictures.append(scene.draw())
        with torch.no_grad():
            action = policy.act(*(state[key] for key in STATE_KEYS))
        state["action"] = action
        state, seen = env.step(state)["next"], scene.step(action)
    scene.close()
    assert pictures[0].shape == (120, 160, 3) and pictures[0].std() > 20
    changes = [np.abs(b.astype(int) - a).max() for a, b in pairwise(pictures)]
    assert min(changes) > 30


def test_a_backend_that_cannot_draw_is_found_out() -> None:
    assert "nonsense" in probe("nonsense")
