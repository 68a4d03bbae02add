"""The recording of learning curves: its file, its resumption, its figures and its picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from benchmarks.learning import main
from benchmarks.learning_runs import Runs
from benchmarks.learning_settings import differing
from benchmarks.learning_worker import can_resume
from benchmarks.plot_learning import bootstrap_band, plot
from benchmarks.records import KEYS, Record, Records
from benchmarks.summary import curves
from rher_pl.checkpoints.file import write_checkpoint
from rher_pl.compare.groups import first_reaching
from rher_pl.compare.published import published

TINY = """
model: {hidden_size: 8, hidden_layers: 1}
data:
  task: PointPush-v0
  num_envs: 2
  eval_every_env_steps: 1  # an evaluation after each iteration
  eval_episodes: 2
  random_episodes: 2
  updates_per_episode: 1
  batch_size: 8
trainer: {precision: 32-true, max_epochs: 7}
"""


def record(seed: int, env_steps: int, success: float = 0.5, **changes: Any) -> Record:
    values = ("made", "FetchPush-v4", seed, env_steps, 40, 1.0, success, success)
    rest: tuple[Any, ...] = ({"reach": 1.0, "push": success}, {"torch": "0"}, "abc", {})
    return dict(zip(KEYS, values + rest, strict=True)) | changes


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "results" / "made.jsonl")


def save_checkpoint(path: Path, env_steps: int, replay: bool) -> None:
    content: dict[str, Any] = {"rher_pl": {"env_steps": env_steps}}
    if replay:
        content["RelayDataModule"] = {"episodes": torch.ones(1)}
    write_checkpoint(content, path)


def test_records_are_refused_unless_complete(records: Records) -> None:
    with pytest.raises(ValueError, match="keys"):
        records.append({"name": "made"})
    with pytest.raises(ValueError):
        records.append(record(0, 50, metrics={"train/q": float("nan")}))
    assert records.read() == []


def test_a_line_cut_short_is_ignored_and_then_removed(records: Records) -> None:
    records.append(record(0, 50))
    with open(records.path, "a") as file:
        file.write('{"name": "ma')
    assert [r["env_steps"] for r in records.read()] == [50]
    records.append(record(0, 100))
    lines = records.path.read_text().splitlines()
    assert [json.loads(line)["env_steps"] for line in lines] == [50, 100]


def test_dropping_keeps_other_seeds(records: Records) -> None:
    for seed, step in ((0, 50), (1, 50), (0, 100)):
        records.append(record(seed, step))
    assert records.drop(lambda r: r["seed"] == 0 and r["env_steps"] > 50) == 1
    assert [(r["seed"], r["env_steps"]) for r in records.read()] == [(0, 50), (1, 50)]
    assert [path.name for path in records.path.parent.iterdir()] == ["made.jsonl"]


@pytest.mark.parametrize(
    ("checkpoint", "budget", "note", "left"),
    [
        (None, 150, "complete", [50, 100, 150]),
        (None, 200, "starts over", []),
        ((100, False), 200, "starts over", []),  # weights without replay
        ((100, True), 200, "resumes at 100", [50, 100]),
        ((400, True), 200, "starts over", []),  # evaluations up to 400 are not on file
    ],
)
def test_what_an_interrupted_seed_does(
    records: Records,
    tmp_path: Path,
    checkpoint: tuple[int, bool] | None,
    budget: int,
    note: str,
    left: list[int],
) -> None:
    for step in (50, 100, 150):
        records.append(record(0, step))
    records.append(record(1, 50))
    path = tmp_path / "last.ckpt"
    if checkpoint:
        save_checkpoint(path, *checkpoint)
    assert Runs("made", records, tmp_path, budget).prepare(0, path).startswith(note)
    assert [r["env_steps"] for r in records.read(0)] == left
    assert path.exists() == note.startswith("resumes")
    assert len(records.read(1)) == 1


def test_a_corrupt_checkpoint_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"PK not a checkpoint")
    assert not can_resume(tmp_path / "last.ckpt")


def test_differing_settings_are_named(tmp_path: Path) -> None:
    kept = tmp_path / "made.yaml"
    kept.write_text("model: {gamma: 0.98, tau: 0.1}")
    assert differing(kept, "model: {gamma: 0.95, tau: 0.1}") == ["model.gamma"]


def test_levels_on_a_worked_example() -> None:
    steps = range(10, 90, 10)
    mean = np.array([0.0, 0.9, 0.5, 0.9, 0.95, 0.95, 0.9, 0.8])
    assert first_reaching(steps, mean, 0.90) == 20
    assert first_reaching(steps, mean, 0.95) == 50
    # Trailing means of five: 0.65 at 50, 0.84 at 60 and 70, 0.90 at 80.
    assert first_reaching(steps, mean, 0.66, window=5) == 60
    assert first_reaching(steps, mean, 0.90, window=5) == 80
    assert first_reaching(steps, mean, 0.95, window=5) is None
    assert first_reaching(steps[:4], mean[:4], 0.0, window=5) is None


def test_curves_use_the_env_steps_that_all_seeds_have() -> None:
    data = curves([record(0, 50, 0.2), record(0, 100, 0.4), record(1, 50, 0.6)])
    assert data is not None
    assert data.env_steps.tolist() == [50]
    assert data.success.tolist() == [[0.2], [0.6]]
    assert curves([record(0, 50), record(1, 60)]) is None


def test_band_holds_the_mean_and_shrinks_where_seeds_agree() -> None:
    values = np.array([[0.0, 0.5], [0.5, 0.5], [1.0, 0.5]])
    low, high = bootstrap_band(values)
    assert low[0] < 0.5 < high[0]
    assert low[1] == high[1] == 0.5


@pytest.mark.parametrize("task", ["FetchPush-v4", "FetchReach-v4"])  # with and without figures
@pytest.mark.parametrize("seeds", [1, 3])
def test_plot_is_drawn(tmp_path: Path, task: str, seeds: int) -> None:
    made = [record(s, k, 0.1 * s, task=task) for s in range(seeds) for k in (30_000, 60_000)]
    data = curves(made)
    assert data is not None
    plot(data, tmp_path / "made.png")
    picture = imread(tmp_path / "made.png")
    assert picture.shape[1] > 1000
    assert np.unique(picture[..., 0]).size > 20
    assert bool(published(task)) == task.startswith("FetchPush")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "no.yaml", "--seeds", "0", "--env_steps", "9"], "no config file no.yaml"),
        (["--config", "{config}", "--env_steps", "9"], "--seeds"),
        (["--config", "{config}", "--seeds", "0", "0", "--env_steps", "9"], "different"),
        (["--config", "{config}", "--seeds", "0", "--env_steps", "0"], "--env_steps"),
        (["--config", "{config}", "--seeds", "0", "--env_steps", "9", "--model.gama=1"], "gama"),
        (["--config", "{config}", "--seeds", "0", "--env_steps", "9", "--model.gamma=2"], "(0, 1)"),
        (
            ["--config", "{config}", "--seeds", "0", "--env_steps", "9", "--seed_everything=1"],
            "--s",
        ),
        (["--plot_only"], "nothing to show"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text(TINY)
    arguments = [str(config) if a == "{config}" else a for a in arguments]
    folders = ["--results", str(tmp_path / "results"), "--scratch", str(tmp_path / "scratch")]
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--name", "made", *folders])
    message = capsys.readouterr().err
    assert exit_.value.code == 2
    assert words in message and message.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_tiny_run_records_resumes_and_skips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)

    def run(env_steps: int) -> tuple[str, list[Record]]:
        arguments = ["--config", str(tmp_path / "tiny.yaml"), "--name", "tiny", "--seeds", "3"]
        folders = ["--results", str(tmp_path), "--scratch", str(tmp_path / "scratch")]
        main([*arguments, "--env_steps", str(env_steps), *folders])
        return capsys.readouterr().out, Records(tmp_path / "tiny.jsonl").read()

    _, first = run(1)
    assert [tuple(r) for r in first] == [KEYS]
    assert first[0]["task"] == "PointPush-v0" and first[0]["seed"] == 3
    assert list(first[0]["success_per_subtask"]) == ["reach", "push"]
    assert "relay/guide_share" in first[0]["metrics"]
    assert (tmp_path / "tiny.png").exists()

    reached = first[0]["env_steps"]
    printed, second = run(2 * reached)
    assert f"resumes at {reached}" in printed
    assert [r["env_steps"] for r in second] == [reached, 2 * reached]
    assert second[0] == first[0] and second[1]["seconds"] >= first[0]["seconds"]

    printed, third = run(2 * reached)
    assert "seed 3: complete" in printed and third == second
