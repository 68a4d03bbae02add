"""A task of one's own goes through training, records, pictures and export.

It has two objects, no simulator, and an observation that begins with none of their positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import av
import pytest
import torch
from cli_config import ITERATIONS, write_config
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from torch import Tensor

from rher_pl.deploy.trained import load_policy
from rher_pl.envs.contract import BatchedEnv
from rher_pl.evaluate import main as evaluate
from rher_pl.export import main as export
from rher_pl.fit import main as fit
from rher_pl.inspect import main as inspect
from rher_pl.relay import Layout, Relay
from rher_pl.tasks import Task, register_task, registry
from rher_pl.tracking.store import absolute_uri, default_store

NAME = "TwoPucks-v0"
SUBTASKS = ("reach_0", "left", "reach_1", "right")
LAYOUT = Layout(
    ("-", "object 1 x", "object 1 y", "object 0 x", "object 0 y", "gripper x", "gripper y")
)


class TwoPucksEnv(BatchedEnv):
    """A point that carries a puck along once it is near; as long as an episode of PointPush."""

    def __init__(self, num_envs: int, seed: int) -> None:
        super().__init__(num_envs, 25)
        self._make_specs(observation=7, points=3, desired=2, action=2)
        self._positions = torch.zeros(num_envs, 5, 2)  # point, pucks, goals
        self._set_seed(seed)

    def _start(self, seeds: Mapping[int, int | None]) -> None:
        positions = self._positions.clone()
        for row, seed in seeds.items():
            generator = torch.Generator().manual_seed(seed or 0)
            positions[row] = torch.rand(5, 2, generator=generator) - 0.5
        self._positions = positions

    def _advance(self, action: Tensor) -> Tensor:
        step = 0.1 * action.clamp(-1, 1).unsqueeze(1)  # [N, 1, 2]
        point, pucks, goals = self._positions.split([1, 2, 2], dim=1)
        near = torch.linalg.vector_norm(pucks - point, dim=-1, keepdim=True) < 0.1
        self._positions = torch.cat([point + step, pucks + near * step, goals], dim=1)
        return torch.zeros(self.num_envs, 1)

    def _observe(self) -> dict[str, Tensor]:
        spatial = torch.nn.functional.pad(self._positions, (0, 1))
        point, first, second = self._positions[:, :3].unbind(1)
        return {
            "observation": torch.cat([torch.ones(len(point), 1), second, first, point], dim=-1),
            "achieved_goals": spatial[:, :3].clone(),
            "desired_goals": spatial[:, 3:].clone(),
        }


def make_env(num_envs: int, seed: int, num_threads: int = 1) -> TwoPucksEnv:
    return TwoPucksEnv(num_envs, seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the task was trained; it is known as long as these tests run."""
    folder = tmp_path_factory.mktemp("own")
    options = ["--data.task", NAME, "--recorder.folder", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rher_pl.tasks.registry._TASKS", dict(registry._TASKS))
        register_task(Task(NAME, Relay(("left", "right"), epsilon=0.05), LAYOUT, make_env, 2))
        assert fit(["--config", write_config(folder), *options]) == 0
        yield folder


@pytest.fixture
def recorded(folder: Path) -> tuple[MlflowClient, Run]:
    client = MlflowClient(absolute_uri(default_store(folder)))
    experiment = client.get_experiment_by_name(NAME)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run


@pytest.fixture
def best(folder: Path) -> Path:
    (path,) = folder.glob("checkpoints/*/best.ckpt")
    return path


def test_every_subtask_is_recorded(recorded: tuple[MlflowClient, Run]) -> None:
    _, run = recorded
    assert run.info.status == "FINISHED"
    for name in SUBTASKS:
        for metric in ("eval/success", "relay/innr_share", "train/q"):
            assert f"{metric}/{name}" in run.data.metrics
        assert f"\n| {name} | " in run.data.tags["mlflow.note.content"]


def test_its_videos_are_plans_from_above(folder: Path, recorded: tuple[MlflowClient, Run]) -> None:
    client, run = recorded
    file = client.download_artifacts(run.info.run_id, f"video/{ITERATIONS[-1]:09d}.mp4")
    with av.open(file) as container:
        assert sum(1 for _ in container.decode(video=0)) == 26 + 15


def test_the_logged_model_serves_the_object_that_is_not_home(best: Path) -> None:
    """The same observation under goals that are met by the first object or not."""
    policy = load_policy(best)
    points = torch.tensor([[0.0, 0.0, 0.0], [0.3, 0.0, 0.0], [0.0, 0.3, 0.0]])
    observation = torch.tensor([[1.0, 0.0, 0.3, 0.3, 0.0, 0.0, 0.0]])
    home, away = torch.tensor([[0.3, 0.0, 0.0]]), torch.tensor([[-0.3, 0.0, 0.0]])
    second = torch.tensor([[0.0, -0.3, 0.0]])
    for first, subtask in ((home, 3), (away, 1)):
        desired = torch.cat([first, second])
        with torch.no_grad():
            acted = policy.portable(observation, points.view(1, 9), desired.view(1, 6))
            by = [policy.policy(observation, points[None], desired[None], s) for s in (1, 3)]
        assert torch.equal(acted, by[subtask // 2])
        assert not torch.allclose(*by)


def test_it_is_exported_evaluated_and_inspected(
    best: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ["--to", "torchscript", "mlflow", "--out", str(tmp_path), "--episodes", "0"]
    assert export(["--ckpt", str(best), *to]) == 0
    assert capsys.readouterr().out.count(": ok\n") == 2
    video = tmp_path / "own.mp4"
    options = ["--episodes", "2", "--video", str(video), "--video_episodes", "1", "--explore"]
    assert evaluate(["--ckpt", str(best), *options]) == 0
    assert video.stat().st_size > 0
    out = capsys.readouterr().out
    assert all(f"│ {name}" in out for name in SUBTASKS)
    assert inspect(["--ckpt", str(best), "--out", str(tmp_path / "episode.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:4]] == list(SUBTASKS)
