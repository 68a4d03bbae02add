"""A tiny run from the command line, and what it leaves behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
import yaml
from cli_config import EVALUATIONS, ITERATIONS, write_config
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from rher_pl.callbacks.mlflow_run import absolute_uri
from rher_pl.callbacks.summary import interval_cells
from rher_pl.collect import EpisodeCollector
from rher_pl.fit import main
from rher_pl.formats import example_inputs
from rher_pl.loading import load_policy
from rher_pl.module import RHERModule
from rher_pl.portable import INPUTS


def the_run() -> tuple[MlflowClient, Run]:
    """The only run of the default store."""
    client = MlflowClient(absolute_uri("sqlite:///mlruns/mlflow.db"))
    experiment = client.get_experiment_by_name("PointPush-v0")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run


def steps(client: MlflowClient, run: Run, metric: str) -> list[int]:
    return [entry.step for entry in client.get_metric_history(run.info.run_id, metric)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one run was made."""
    folder = tmp_path_factory.mktemp("run")
    before = Path.cwd()
    os.chdir(folder)
    try:
        config = write_config(folder)
        assert main(["--config", config, "--seed_everything", "3"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[MlflowClient, Run]:
    monkeypatch.chdir(folder)
    return the_run()


def test_metrics_are_logged_against_env_steps(finished: tuple[MlflowClient, Run]) -> None:
    client, run = finished
    assert run.info.status == "FINISHED"
    each_iteration = ["train/critic_loss", "relay/contact_rate", "relay/innr_share/push"]
    each_iteration += ["relay/guide_share", "relay/guide_subtask", "relay/learner_subtask"]
    each_iteration += ["perf/seconds", "perf/env_steps_per_second", "perf/updates_per_second"]
    for metric in each_iteration:
        assert steps(client, run, metric) == ITERATIONS, metric
    each_evaluation = ["eval/success", "eval/success/reach", "eval/success/push", "eval/q/push"]
    each_evaluation += ["eval/success_not_solved_at_reset", "eval/monte_carlo_return/push"]
    for metric in each_evaluation:
        assert steps(client, run, metric) == EVALUATIONS, metric


def test_parameters_and_provenance(finished: tuple[MlflowClient, Run]) -> None:
    _, run = finished
    assert run.info.run_name.startswith("push-seed3-")
    assert run.data.params["model.hidden_size"] == "16"
    assert run.data.params["data.seed"] == "3"
    assert run.data.params["trainer.max_epochs"] == "2"
    assert run.data.tags["task"] == "PointPush-v0"
    assert run.data.tags["version.torch"] == torch.__version__
    assert {"version.mujoco", "version.python", "cpu", "seed"} <= set(run.data.tags)


def test_artifacts(finished: tuple[MlflowClient, Run], tmp_path: Path) -> None:
    client, run = finished
    root = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    found = {str(path.relative_to(root)) for path in root.rglob("*.*") if path.is_file()}
    figures = {f"figures/{name}.png" for name in ("success", "q", "innr")}
    videos = {f"video/{ITERATIONS[-1]:09d}{end}" for end in (".mp4", ".png")}
    assert found == figures | videos | {
        "config.yaml",
        "versions.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }
    recorded = yaml.safe_load((root / "config.yaml").read_text())
    assert recorded["seed_everything"] == 3
    assert recorded["trainer"]["precision"] in ("bf16-mixed", "32-true")
    state = torch.load(root / "checkpoints/last.ckpt", weights_only=True)
    assert state["rher_pl"]["env_steps"] == ITERATIONS[-1]


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_checkpoint_is_evaluated_without_a_config(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (last,) = Path("mlruns/checkpoints").glob("*/last.ckpt")
    assert main([command, "--ckpt_path", str(last)]) == 0
    out = capsys.readouterr().out
    assert "PointPush-v0: success on 10 evaluation episodes" in out
    assert "task, not solved at reset" in out
    the_run()  # evaluating begins no run


def test_the_policy_is_logged_as_a_model(finished: tuple[MlflowClient, Run]) -> None:
    client, run = finished
    (last,) = Path("mlruns/checkpoints").glob("*/last.ckpt")
    trained = load_policy(last)
    (output,) = run.outputs.model_outputs
    assert output.step == ITERATIONS[-1]
    folder = client.get_logged_model(output.model_id).artifact_location
    model = mlflow.pyfunc.load_model(folder)
    inputs = example_inputs(trained.portable, 5)
    actions = model.predict({k: v.double().numpy() for k, v in zip(INPUTS, inputs, strict=True)})
    assert torch.equal(torch.from_numpy(actions), trained.portable(*inputs))
    assert list(model.metadata.signature.inputs.input_names()) == list(INPUTS)
    files = [path for path in Path(folder.removeprefix("file://")).rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle")]
    card = next(path for path in files if path.name == "README.md").read_text()
    assert "# Policy for PointPush-v0" in card and f"{ITERATIONS[-1]:,} env steps" in card


def test_a_checkpoint_of_other_networks_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (last,) = Path("mlruns/checkpoints").glob("*/last.ckpt")
    assert main(["test", "--ckpt_path", str(last), "--model.hidden_size", "32"]) == 2
    assert "use --model.hidden_size 16" in capsys.readouterr().err


def test_continuing_goes_on_in_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path)
    assert main(["--config", config]) == 0
    out = capsys.readouterr().out
    total = ITERATIONS[-1]
    assert f"{total}/{total} env steps | 16 updates | success" in out
    (last,) = Path("mlruns/checkpoints").glob("*/last.ckpt")
    assert last.name == "last.ckpt" and str(last) in out
    arguments = ["--config", config, "--ckpt_path", str(last), "--trainer.max_epochs", "3"]
    assert main(arguments) == 0
    client, run = the_run()
    assert run.info.status == "FINISHED"
    assert steps(client, run, "eval/success") == [*EVALUATIONS, ITERATIONS[-1] + ITERATIONS[1]]
    seconds = [m.value for m in client.get_metric_history(run.info.run_id, "perf/seconds")]
    assert seconds == sorted(seconds)


# --- faults ------------------------------------------------------------------------------------


def assert_stopped_with_checkpoint(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = capsys.readouterr().err.strip()
    assert line.startswith(f"error: NaN in {name} at iteration ") and "\n" not in line
    path = line.rpartition(" ")[2]
    assert torch.load(path, weights_only=True)["rher_pl"]["task"] == "PointPush-v0"
    assert the_run()[1].info.status == "FAILED"


def test_nan_in_a_loss_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    original = RHERModule.update_critic

    def diverge(self: RHERModule, sample: Any) -> dict[str, torch.Tensor]:
        metrics = original(self, sample)
        return metrics | {"critic_loss": metrics["critic_loss"] * torch.nan}

    monkeypatch.setattr(RHERModule, "update_critic", diverge)
    assert main(["--config", write_config(tmp_path)]) == 1
    assert_stopped_with_checkpoint("train/critic_loss", capsys)


def test_nan_in_an_observation_stops_the_run_before_it_is_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    original = EpisodeCollector.collect

    def broken(self: EpisodeCollector) -> Any:
        episodes = original(self)
        episodes["observation"][0, 1] = torch.nan
        return episodes

    monkeypatch.setattr(EpisodeCollector, "collect", broken)
    assert main(["--config", write_config(tmp_path)]) == 1
    assert_stopped_with_checkpoint("observation", capsys)


@pytest.mark.parametrize(
    ("number", "exit_status"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)], ids=str
)
def test_a_stopped_run_is_recorded_as_killed(
    number: signal.Signals, exit_status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    original, handler = RHERModule.validation_step, signal.getsignal(number)

    def stop(self: RHERModule, *batch: Any) -> None:
        original(self, *batch)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(RHERModule, "validation_step", stop)
    try:
        status = main(["--config", write_config(tmp_path)])
    except SystemExit as stopped:  # Lightning's own end after SIGINT
        status = int(stopped.code or 0)
    finally:
        signal.signal(number, handler)
    assert status == exit_status
    client, run = the_run()
    assert run.info.status == "KILLED"
    assert steps(client, run, "train/critic_loss") == ITERATIONS[:2]


def test_wilson_interval() -> None:
    assert interval_cells(0, 0) == ("0", "0", "-", "-")
    assert interval_cells(95, 100) == ("95", "100", "0.950", "[0.888, 0.978]")
