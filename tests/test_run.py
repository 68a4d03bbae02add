"""A tiny run from the command line, and what it leaves behind."""

from __future__ import annotations

import csv
import errno
import gc
import json
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
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

import rher_pl.evaluate
from rher_pl.callbacks.stopping import StopOnSignal
from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.checkpoints.layout import read_entry
from rher_pl.collect.collector import EpisodeCollector
from rher_pl.deploy.parity import stratified_states
from rher_pl.deploy.portable import INPUTS
from rher_pl.deploy.trained import load_policy
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.errors import ConfigError
from rher_pl.fit import main
from rher_pl.learner.td3 import TD3
from rher_pl.pictures.figures import PANELS
from rher_pl.tracking.experiment import begin_run
from rher_pl.tracking.making import make_database
from rher_pl.tracking.mlflow_run import MLflowRun
from rher_pl.tracking.run_lock import RUNNING, RunLock, mark_abandoned_runs
from rher_pl.tracking.runs import run_checkpoint
from rher_pl.tracking.store import absolute_uri, default_store
from rher_pl.tracking.ui import where_to_look
from rher_pl.training.module import RHERModule

BEYOND_EVALUATION = ("optimizer_states", "RelayDataModule", "callbacks", "loops", "numerics")


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
    each_iteration += ["relay/guide_share"]
    each_iteration += ["relay/random_share/reach", "perf/updates"]
    each_iteration += ["perf/seconds", "perf/env_steps_per_second", "perf/updates_per_second"]
    for metric in each_iteration:
        assert steps(client, run, metric) == ITERATIONS, metric
    each_evaluation = ["eval/success", "eval/success/reach", "eval/success/push", "eval/q/push"]
    each_evaluation += ["eval/success_not_solved_at_reset", "eval/monte_carlo_return/push"]
    each_evaluation += ["eval/contact_rate/reach", "eval/contact_rate/push"]
    for metric in each_evaluation:
        assert steps(client, run, metric) == EVALUATIONS, metric


def test_every_metric_reaches_any_logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    logger = ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "logs"]
    videos = ["--video.every_evaluations", "1"]
    assert main(["--config", write_config(tmp_path), *logger, *videos]) == 0
    (file,) = Path("logs").rglob("metrics.csv")
    with open(file) as lines:
        rows = list(csv.DictReader(lines))
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        for name, value in row.items():
            if value and name != "step":
                found.setdefault(name, {})[int(row["step"])] = float(value)
    client, run = the_run()
    assert found.keys() == run.data.metrics.keys()
    for name, values in found.items():
        history = client.get_metric_history(run.info.run_id, name)
        assert values == {entry.step: pytest.approx(entry.value) for entry in history}, name


def test_parameters_and_provenance(finished: tuple[MlflowClient, Run]) -> None:
    _, run = finished
    assert run.info.run_name.startswith("push-td3-seed3-")
    assert run.data.params["model.hidden_size"] == "16"
    assert run.data.params["data.seed"] == "3"
    assert run.data.tags["trainer.max_epochs"] == "2"
    assert run.data.tags["task"] == "PointPush-v0"
    assert {"algorithm", "cpu", "seed"} <= set(run.data.tags)
    assert len(run.data.tags) < 15, "MLflow's page shows them before the result"
    assert "None" not in run.data.tags.values()


def test_artifacts(finished: tuple[MlflowClient, Run], tmp_path: Path) -> None:
    client, run = finished
    root = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    found = {str(path.relative_to(root)) for path in root.rglob("*.*") if path.is_file()}
    figures = {f"figures/{name}.png" for name in ("overview", *PANELS)}
    videos = {f"video/{ITERATIONS[-1]:09d}{end}" for end in (".mp4", ".png")}
    assert found == figures | videos | {
        "config.yaml",
        "versions.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }
    assert json.loads((root / "versions.json").read_text())["torch"] == torch.__version__
    recorded = yaml.safe_load((root / "config.yaml").read_text())
    assert recorded["seed_everything"] == 3
    assert recorded["trainer"]["precision"] in ("bf16-mixed", "32-true")
    state = torch.load(root / "checkpoints/last.ckpt", weights_only=True)
    assert state["rher_pl"]["env_steps"] == ITERATIONS[-1]


def test_runs_are_found_by_task_algorithm_seed_and_status(folder: Path, finished: Any) -> None:
    client, run = finished
    task = "tags.task = 'PointPush-v0' and tags.algorithm = 'td3' and attributes.status = "
    for rest, count in (
        ("'FINISHED' and tags.seed = '3'", 1),
        ("'FINISHED' and tags.seed = '4'", 0),
        ("'FAILED' and tags.seed = '3'", 0),
    ):
        assert len(client.search_runs([run.info.experiment_id], task + rest)) == count


def test_a_viewer_is_opened_at_the_list_with_success(
    finished: tuple[MlflowClient, Run], tmp_path: Path
) -> None:
    _, run = finished
    runs = f"http://here/#/experiments/{run.info.experiment_id}/runs?"
    (line,) = where_to_look(Path("mlruns/mlflow.db"), "http://here")
    assert line.startswith(f"PointPush-v0: {runs}") and line.endswith("viewStateShareKey=rher_pl")
    make_database(tmp_path / "empty.db")
    (line,) = where_to_look(tmp_path / "empty.db", "http://here")
    assert line.startswith("nothing is recorded yet: http://here/#/experiments?")


def test_a_run_describes_its_result(finished: tuple[MlflowClient, Run]) -> None:
    client, run = finished
    note = run.data.tags["mlflow.note.content"]
    success = run.data.metrics["eval/success_not_solved_at_reset"]
    assert note.startswith(f"**PointPush-v0: success {success:.3f}**, 95% interval [")
    assert f"finished after {ITERATIONS[-1]} env steps, 16 updates" in note
    assert "\n| reach | " in note and "\n- push: object touched in " in note
    assert "checkpoints/" in note
    assert f"figures%2Foverview.png&run_uuid={run.info.run_id}" in note
    experiment = client.get_experiment(run.info.experiment_id)
    first, *_ = experiment.tags["mlflow.note.content"].splitlines()
    shown = run.data.metrics["eval/success"]
    assert first.startswith(f"Latest: success {shown:.3f} [") and run.info.run_name in first
    assert f"experiments/{experiment.experiment_id}/runs" in first
    view = json.loads(experiment.tags["mlflow.sharedViewState.rher_pl"])
    metrics = [name.split("`")[1] for name in view["selectedColumns"] if name[:7] == "metrics"]
    assert metrics and set(metrics) <= set(run.data.metrics)


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_checkpoint_is_evaluated_without_a_config(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (last,) = Path("mlruns/checkpoints").glob("*/last.ckpt")
    assert main([command, "--ckpt_path", str(last)]) == 0
    out = capsys.readouterr().out
    assert "PointPush-v0: success on 10 evaluation episodes" in out
    assert "│ push    │" in out and "solved at start" in out
    the_run()  # evaluating begins no run


def test_the_checkpoint_of_a_run_is_found_by_its_id(
    folder: Path, finished: tuple[MlflowClient, Run], tmp_path: Path
) -> None:
    run_id = finished[1].info.run_id
    best = Path("mlruns/checkpoints", run_id, "best.ckpt")
    assert run_checkpoint(run_id[:6], "mlruns", None) == best
    # Elsewhere it is among the artifacts that the store names.
    found = run_checkpoint(run_id, str(tmp_path), default_store(folder / "mlruns"))
    assert found.read_bytes() == best.read_bytes() and found.absolute() != best.absolute()
    with pytest.raises(ConfigError, match="no run abc in"):
        run_checkpoint("abc", str(tmp_path), default_store(folder / "mlruns"))


def test_a_run_is_evaluated_by_its_id(
    finished: tuple[MlflowClient, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = finished[1].info.run_id
    assert rher_pl.evaluate.main(["--run", run_id, "--episodes", "3", "--json", "-"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["policy"].endswith(f"{run_id}/best.ckpt")
    assert list(figures["subtasks"]) == ["reach", "push"]
    assert {"task", "episodes", "first_seed", "env_steps", "updates", "versions"} <= set(figures)


def test_the_policy_is_logged_as_a_model(finished: tuple[MlflowClient, Run]) -> None:
    client, run = finished
    (last,) = Path("mlruns/checkpoints").glob("*/last.ckpt")
    trained = load_policy(last)
    (output,) = run.outputs.model_outputs
    assert output.step == ITERATIONS[-1]
    folder = client.get_logged_model(output.model_id).artifact_location
    model = mlflow.pyfunc.load_model(folder)
    inputs = stratified_states(trained.portable, 5)
    actions = model.predict({k: v.double().numpy() for k, v in zip(INPUTS, inputs, strict=True)})
    assert torch.equal(torch.from_numpy(actions), trained.portable(*inputs))
    assert list(model.metadata.signature.inputs.input_names()) == list(INPUTS)
    files = [path for path in Path(folder.removeprefix("file://")).rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle")]
    card = next(path for path in files if path.name == "README.md").read_text()
    assert "# Policy for PointPush-v0" in card and f"{ITERATIONS[-1]:,} env steps" in card


def test_a_model_that_acts_otherwise_is_not_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def wrong(target: str, path: Path) -> Any:
        return lambda *inputs: torch.zeros(len(inputs[0]), 2)

    monkeypatch.setattr("rher_pl.callbacks.trained_model.read_back", wrong)
    assert main(["--config", write_config(tmp_path), "--trainer.max_epochs", "1"]) == 0
    assert (
        "the policy was not logged as a model: the model that MLflow would log acts otherwise"
        in (capsys.readouterr().err)
    )
    _, run = the_run()
    assert run.info.status == "FINISHED" and not run.outputs.model_outputs


def test_a_checkpoint_of_other_networks_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (last,) = Path("mlruns/checkpoints").glob("*/last.ckpt")
    assert main(["test", "--ckpt_path", str(last), "--model.hidden_size", "32"]) == 2
    assert "use --model.hidden_size 16" in capsys.readouterr().err
    assert main(["test", "--ckpt_path", str(last), "--data.relay", "none"]) == 2
    assert "use --data.relay full" in capsys.readouterr().err


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
    _, run = the_run()
    assert run.info.status == "FAILED"
    assert f"failed: NaN in {name} at iteration" in run.data.tags["mlflow.note.content"]


def test_nan_in_a_loss_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    original = TD3.learn

    def diverge(self: TD3, batches: Any) -> dict[str, torch.Tensor]:
        metrics = original(self, batches)
        return metrics | {"critic_loss": metrics["critic_loss"] * torch.nan}

    monkeypatch.setattr(TD3, "learn", diverge)
    assert main(["--config", write_config(tmp_path), "--model.engine", "eager"]) == 1
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
    ("number", "exit_status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=str
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
    monkeypatch.setattr(StopOnSignal, "patience", 120.0)  # its end would be this process's
    assert main(["--config", write_config(tmp_path)]) == exit_status
    assert signal.getsignal(number) == handler
    client, run = the_run()
    assert run.info.status == "KILLED"
    assert steps(client, run, "train/critic_loss") == ITERATIONS[:2]
    _, content = content_of("last")
    assert read_entry(content, "last").env_steps == ITERATIONS[1]  # nothing of it is lost


# --- a store or a disk that is away ---------------------------------------------------------------


def content_of(name: str) -> tuple[Path, dict[str, Any]]:
    (path,) = Path("mlruns/checkpoints").glob(f"*/{name}.ckpt")
    return path, read_checkpoint_file(path)


def test_metrics_of_a_run_whose_store_is_away_at_the_end_arrive_on_continuing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rher_pl.tracking.mlflow_run.PATIENCE", 0.2)

    def away(*_: Any, **__: Any) -> None:
        raise MlflowException("nobody there")

    with monkeypatch.context() as patch:
        patch.setattr(MLflowRun, "_send", away)
        assert main(["--config", write_config(tmp_path)]) == 0
    err = capsys.readouterr().err
    assert err.count("nobody there") == 1 and "--ckpt_path last" in err
    client, run = the_run()
    assert run.info.status == "RUNNING"  # it could not be told
    mark_abandoned_runs(client, Path("mlruns/checkpoints"))  # as the next training does
    run = the_run()[1]
    assert (run.info.status, run.data.tags["ended_by"]) == ("KILLED", "MLflow away")
    assert main(["--config", "tiny.yaml", "--ckpt_path", "last"]) == 0
    client, run = the_run()
    assert run.info.status == "FINISHED" and "ended_by" not in run.data.tags
    assert steps(client, run, "eval/success_fresh") == EVALUATIONS[-1:]
    assert steps(client, run, "train/critic_loss") == ITERATIONS
    assert steps(client, run, "eval/success") == EVALUATIONS


def test_files_that_a_store_does_not_take_arrive_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = begin_run(
        "sqlite:///mlflow.db", tmp_path / "artifacts", "task", "name", None, tags={}, params={}
    )
    video, texts = tmp_path / "video.mp4", ("before", "meanwhile", "after")
    video.write_bytes(b"frames")
    log_text = run.client.log_text

    def away(*_: Any, **__: Any) -> None:
        raise MlflowException("nobody there")

    run.log_text(texts[0], "before.txt")
    with monkeypatch.context() as patch:
        patch.setattr(run.client, "log_text", away)
        patch.setattr(run.client, "log_artifact", away)
        run.log_text("an older one", "meanwhile.txt")
        run.log_text(texts[1], "meanwhile.txt")
        run.log_file(video, "video")
    video.unlink()  # as of a temporary folder
    assert run.client.log_text == log_text
    run.log_text(texts[2], "after.txt")
    assert run.end("FINISHED", {})
    (artifacts,) = (tmp_path / "artifacts").glob("*/artifacts")
    assert (artifacts / "video" / "video.mp4").read_bytes() == b"frames"
    assert tuple((artifacts / f"{text}.txt").read_text() for text in texts) == texts


def test_a_full_disk_is_told_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    original = write_checkpoint

    def fills_up(content: dict[str, Any], path: Path) -> None:
        if content["rher_pl"]["env_steps"] > EVALUATIONS[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(content, path)

    monkeypatch.setattr("rher_pl.checkpoints.trainer_io.write_checkpoint", fills_up)
    assert main(["--config", write_config(tmp_path)]) == 0
    assert "No space left on device" in capsys.readouterr().err
    assert content_of("last")[1]["rher_pl"]["env_steps"] == EVALUATIONS[0]
    assert the_run()[1].info.status == "FINISHED"


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--config", write_config(tmp_path)]) == 0
    path, whole = content_of("last")
    path.unlink()
    path.with_name("best.ckpt").unlink()
    path.write_bytes(b"PK torn")
    Path("mlruns/checkpoints/other").mkdir()  # a run that was killed, in another store
    Path("mlruns/checkpoints/other/running.lock").write_text("RUNNING")
    assert main(["--config", "tiny.yaml", "--ckpt_path", "last"]) == 0
    err = capsys.readouterr().err
    assert "is damaged" in err and "trying an older one" in err
    assert "not bit for bit" not in err, "the same machine, with the same options"
    again = content_of("last")[1]
    for name, value in whole["state_dict"].items():
        assert torch.equal(again["state_dict"][name], value), name
    client, run = the_run()
    assert steps(client, run, "train/critic_loss") == ITERATIONS  # none twice


def test_evaluating_needs_neither_replay_nor_optimizers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    content = content_of("last")[1]
    bare = {key: content[key] for key in content if key not in BEYOND_EVALUATION}
    bare["header"]["versions"]["mujoco"] = "2.0.0"
    write_checkpoint(bare, Path("bare.ckpt"))
    assert main(["test", "--ckpt_path", "bare.ckpt"]) == 0
    assert "mujoco 2.0.0 (here" in capsys.readouterr().err
    assert main(["--config", "tiny.yaml", "--ckpt_path", "bare.ckpt"]) == 2
    assert "can be evaluated, not continued" in capsys.readouterr().err


def test_a_run_that_was_killed_is_marked_and_a_living_one_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    client, run = the_run()
    path, _ = content_of("last")
    client.update_run(run.info.run_id, status="RUNNING")
    lock = RunLock(path.parent)
    assert lock.take()
    lock.write(RUNNING)
    mark_abandoned_runs(client, path.parents[1])
    assert the_run()[1].info.status == "RUNNING"
    assert main(["--config", "tiny.yaml", "--ckpt_path", str(path), "--seed_everything", "3"]) == 2
    assert "being trained by another process" in capsys.readouterr().err
    lock.close()
    mark_abandoned_runs(client, path.parents[1])
    assert the_run()[1].info.status == "KILLED"


def test_other_options_begin_a_run_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path)
    assert main(["--config", config, "--trainer.max_epochs", "1"]) == 0
    capsys.readouterr()
    others = ["--model.gamma", "0.9", "--data.num_envs", "4"]
    assert main(["--config", config, "--ckpt_path", "last", *others]) == 0
    out = capsys.readouterr().out
    assert "other options than before (model.gamma, data.num_envs): a new run begins" in out
    assert f"{EVALUATIONS[1]}/{EVALUATIONS[1]} env steps" in out
    (best,) = [path for path in Path("mlruns/checkpoints").glob("*/best.ckpt") if str(path) in out]
    assert best.is_file(), "a run of its own has a best of its own"
    client = MlflowClient(absolute_uri("sqlite:///mlruns/mlflow.db"))
    experiment = client.get_experiment_by_name("PointPush-v0")
    assert experiment is not None
    second, first = client.search_runs([experiment.experiment_id])
    assert second.data.tags["continued_from"] == first.info.run_id
    assert steps(client, first, "eval/success") == EVALUATIONS[:1]
    assert steps(client, second, "eval/success") == EVALUATIONS[1:]


def test_garbage_is_collected_while_training_but_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    collecting: dict[str, bool] = {}
    for name in ("configure_optimizers", "training_step"):
        original = getattr(RHERModule, name)

        def noted(self: RHERModule, *args: Any, name=name, original=original, **options: Any):
            collecting[name] = gc.isenabled()
            return original(self, *args, **options)

        monkeypatch.setattr(RHERModule, name, noted)
    assert main(["--config", write_config(tmp_path), "--trainer.max_epochs", "1"]) == 0
    assert collecting == {"configure_optimizers": False, "training_step": True}
    assert gc.isenabled() and gc.get_freeze_count() == 0, "nothing is kept for ever"


def test_an_environment_that_fails_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    original, steps = PointPushEnv._advance, 0

    def fails(self: PointPushEnv, action: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 7:
            raise ZeroDivisionError("in the simulator")
        return original(self, action)

    monkeypatch.setattr(PointPushEnv, "_advance", fails)
    assert main(["--config", write_config(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "collecting episodes failed: ZeroDivisionError: in the simulator" in line
    (saved,) = Path("mlruns/checkpoints").glob("*/traceback.txt")
    assert "in fails" in saved.read_text()
    assert the_run()[1].info.status == "FAILED"
