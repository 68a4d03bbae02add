"""A run ends when its task is solved, and is judged on seeds that decided nothing before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_config import EVALUATIONS, write_config
from mlflow import MlflowClient
from mlflow.entities import Run

from rher_pl.callbacks.description import NOTE
from rher_pl.callbacks.throughput import Throughput
from rher_pl.callbacks.until import FRESH, FRESH_SEED
from rher_pl.callbacks.video import VideoRecorder
from rher_pl.fit import main as fit
from rher_pl.training.datamodule import EVALUATION_SEED
from rher_pl.training.module import RHERModule


class Judged:
    """Evaluations whose success is given: of the usual seeds, and of fresh ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, usual: float, fresh: float) -> None:
        self.usual, self.fresh = usual, fresh
        self.seeds: list[Sequence[int]] = []
        monkeypatch.setattr(RHERModule, "evaluate", self.evaluate(RHERModule.evaluate))

    def evaluate(self, original: Any) -> Any:
        def evaluate(module: RHERModule, env: Any, seeds: Sequence[int], *rest: Any) -> Any:
            self.seeds.append(seeds)
            results = original(module, env, seeds, *rest)
            share = self.fresh if seeds[0] >= FRESH_SEED else self.usual
            *_, task = results.values()
            task["success"] = torch.arange(len(seeds)) < share * len(seeds)
            return results

        return evaluate


def run(folder: Path, *options: str) -> list[Any]:
    """Metric of fresh episodes after a run of four epochs, if it succeeds."""
    folder.mkdir(exist_ok=True)
    runs = ["--recorder.folder", str(folder), "--video.every_evaluations", "0"]
    epochs = ["--trainer.max_epochs", "4"]
    assert fit(["--config", write_config(folder), *epochs, *runs, *options]) == 0
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (found,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return client.get_metric_history(found.info.run_id, FRESH)


def test_it_ends_after_enough_good_evaluations_that_fresh_episodes_confirm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = Judged(monkeypatch, usual=0.8, fresh=0.6)
    options = ["--until.success", "0.6", "--until.evaluations", "2"]
    (metric,) = run(tmp_path, *options)
    assert (metric.step, round(metric.value, 3)) == (EVALUATIONS[1], 0.6)
    assert len(judged.seeds) == 3, "two evaluations, and the fresh episodes once"
    said = capsys.readouterr().out
    assert "success on 5 fresh episodes" in said and "success is at least 0.6" in said


def test_it_goes_on_while_fresh_episodes_say_otherwise_and_takes_new_ones_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = Judged(monkeypatch, usual=1.0, fresh=0.4)
    metrics = run(tmp_path, "--until.success", "0.6", "--until.evaluations", "3")
    assert len(metrics) == 2, "after the third and the fourth evaluation"
    assert "ended early" not in capsys.readouterr().out
    fresh = [seed for seeds in judged.seeds if seeds[0] >= FRESH_SEED for seed in seeds]
    usual = {seed for seeds in judged.seeds if seeds[0] < FRESH_SEED for seed in seeds}
    assert len(fresh) == len(set(fresh)) == 10 and usual == set(
        range(EVALUATION_SEED, EVALUATION_SEED + 10)
    )


def test_without_a_level_a_run_is_judged_once_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = Judged(monkeypatch, usual=1.0, fresh=1.0)
    (metric,) = run(tmp_path)
    assert len(judged.seeds) == 5 and metric.value == 1.0
    assert run(tmp_path / "none", "--until.episodes", "0") == []


def test_the_evaluations_before_are_remembered_when_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Judged(monkeypatch, usual=1.0, fresh=1.0)
    options = ["--until.success", "0.9", "--until.evaluations", "3"]
    config, runs = write_config(tmp_path), ["--recorder.folder", str(tmp_path)]
    assert fit(["--config", config, *runs, *options, "--trainer.max_epochs", "2"]) == 0
    metrics = run(tmp_path, *options, "--ckpt_path", "last")
    assert [metric.step for metric in metrics] == [2 * EVALUATIONS[0], 3 * EVALUATIONS[0]]


def test_a_success_of_exactly_the_level_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32 9 of 10 are less than 0.9, and 19 of 20 less than 0.95."""
    judged = Judged(monkeypatch, usual=0.9, fresh=0.9)
    options = ["--until.success", "0.9", "--until.evaluations", "1", "--until.episodes", "10"]
    (metric,) = run(tmp_path, *options, "--data.eval_episodes", "10")
    assert metric.step == EVALUATIONS[0] and len(judged.seeds) == 2


def describe(folder: Path) -> tuple[Run, str, str]:
    """The only run, its description and that of its experiment."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [e for e in client.search_experiments() if e.name != "Default"]
    (found,) = client.search_runs([e.experiment_id for e in experiments])
    return found, found.data.tags[NOTE], experiments[0].tags[NOTE]


@pytest.mark.parametrize("level", ["0.6", "null"])
@pytest.mark.parametrize(
    ("callback", "hook"),
    [(VideoRecorder, "on_train_end"), (Throughput, "on_fit_end")],
    ids=["before the model is logged", "after"],
)
def test_a_run_that_is_stopped_before_its_end_ends_when_it_is_continued(
    callback: type,
    hook: str,
    level: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judged = Judged(monkeypatch, usual=1.0, fresh=0.6)
    options = ["--until.success", level, "--until.evaluations", "2"]
    solved = level != "null"

    def fail(*_: Any) -> None:
        raise RuntimeError("stopped")

    with monkeypatch.context() as broken:
        broken.setattr(callback, hook, fail)
        command = ["--config", write_config(tmp_path), "--recorder.folder", str(tmp_path)]
        command += ["--video.every_evaluations", "0", "--trainer.max_epochs", "4"]
        assert fit([*command, *options]) == 1
    before, note, _ = describe(tmp_path)
    assert before.info.status == "FAILED" and "failed" in note
    judged.seeds.clear()
    bar = ["--trainer.callbacks+=lightning.pytorch.callbacks.TQDMProgressBar"]
    (metric,) = run(tmp_path, *options, *bar, "--ckpt_path", "last")
    assert (metric.step, round(metric.value, 3)) == (EVALUATIONS[0] * (2 if solved else 4), 0.6)
    firsts = [EVALUATION_SEED, FRESH_SEED]
    assert [seeds[0] for seeds in judged.seeds] == firsts, "as before, and nothing is trained"
    said = capsys.readouterr().out
    assert "success on 5 fresh episodes" in said and ("ended early" in said) == solved
    after, note, of_all = describe(tmp_path)
    assert after.info.status == "FINISHED" and "ended_by" not in after.data.tags
    assert "finished after" in note and "1.000" in note
    assert "not evaluated" not in of_all
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert len(client.search_logged_models([after.info.experiment_id])) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "this run is finished: to train on, raise until.success, or write null"),
        (["--trainer.max_epochs", "9"], "this run is finished: to train on, raise until.success"),
        (["--until.success", "null", "--trainer.max_epochs", "1"], "raise trainer.max_epochs"),
        (["--model.gamma", "0.9"], "nothing is left to train: to train on, raise until.success"),
        (["--recorder.folder", "other"], "nothing is left to train"),
    ],
)
def test_with_nothing_left_to_train_no_run_is_begun_or_changed(
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    judged = Judged(monkeypatch, usual=1.0, fresh=1.0)
    run(tmp_path, *(usual := ["--until.success", "0.9", "--until.evaluations", "2"]))
    before = describe(tmp_path)
    judged.seeds.clear()
    (last,) = tmp_path.glob("checkpoints/*/last.ckpt")
    command = ["--config", write_config(tmp_path), "--recorder.folder", str(tmp_path), *usual]
    assert fit([*command, "--ckpt_path", str(last), *options]) == 2
    assert said in capsys.readouterr().err and not judged.seeds
    after = describe(tmp_path)
    assert after[1:] == before[1:] and after[0].to_dictionary() == before[0].to_dictionary()


def test_a_solved_run_trains_on_to_a_higher_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Judged(monkeypatch, usual=1.0, fresh=0.8)
    run(tmp_path, "--until.success", "0.6", "--until.evaluations", "2")
    higher = ["--until.success", "0.9", "--until.evaluations", "2"]
    metrics = run(tmp_path, *higher, "--ckpt_path", "last")
    assert [metric.step // EVALUATIONS[0] for metric in metrics] == [2, 3, 4]


def test_a_least_number_of_epochs_is_refused_beside_a_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--until.success", "0.9", "--trainer.min_epochs", "2"]
    folder = ["--recorder.folder", str(tmp_path)]
    assert fit(["--config", write_config(tmp_path), *folder, *options]) == 2
    assert "leave out trainer.min_epochs" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["success=0", "success=1.5", "evaluations=0", "episodes=-1"])
def test_a_level_that_cannot_be_is_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(["--config", write_config(tmp_path), f"--until.{option}"]) == 2
    assert f"error: until.{option.partition('=')[0]} must be" in capsys.readouterr().err
