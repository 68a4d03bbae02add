"""What a run's record says, where it is kept, and what a process that ends leaves behind."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_config import write_config
from lightning.pytorch.loggers import CSVLogger
from mlflow.tracking import MlflowClient
from trained import made_run, quiet_trainer

import rher_pl
from rher_pl.checkpoints.file import write_checkpoint
from rher_pl.checkpoints.seal import check_seal
from rher_pl.errors import ConfigError
from rher_pl.fit import main
from rher_pl.tracking.experiment import begin_run
from rher_pl.tracking.making import make_database, require_whole
from rher_pl.tracking.mlflow_run import MLflowRun
from rher_pl.tracking.run_lock import RunLock, lock_run, mark_abandoned_runs
from rher_pl.tracking.store import absolute_uri, default_store, named_by, store_of
from rher_pl.tracking.ui import CHECKOUT, open_command


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return write_config(tmp_path)


@pytest.fixture(scope="module")
def whole_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow without runs, made once."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    make_database(path)
    return path


@pytest.fixture
def store(whole_store: Path) -> Path:
    Path("mlruns").mkdir()
    return Path(shutil.copy(whole_store, "mlruns/mlflow.db"))


def begun(folder: str = "mlruns", run_id: str | None = None, **options: Any) -> MLflowRun:
    given: dict[str, Any] = {"tags": {}, "params": {"model.gamma": "0.9"}} | options
    artifacts = Path(folder) / "artifacts"
    return begin_run(default_store(folder), artifacts, "task", "name", run_id, **given)


def refused(arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert hint in line and len(line) <= 310
    assert not list(Path().rglob("*.ckpt"))


# --- a record says what was run ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--trainer.devices", "2"], "--trainer.devices 1"),
        (["--trainer.num_nodes", "2"], "trainer.num_nodes"),
        (["--trainer.strategy", "ddp"], "trainer.strategy"),
        (["--trainer.precision", "16-mixed"], "32-true, bf16-mixed"),
        (["--trainer.precision", "64-true"], "32-true, bf16-mixed"),
        (["--trainer.limit_train_batches", "0"], "trains nothing"),
    ],
    ids=str,
)
def test_what_a_run_would_not_do_is_refused(
    options: list[str], hint: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(["--config", config, *options], hint, capsys)
    assert not Path("mlruns").exists()


def test_a_trainer_of_several_processes_is_refused_in_python() -> None:
    _, data = made_run()
    with pytest.raises(ConfigError, match="one process"):
        data.trainer = quiet_trainer(devices=2, strategy="ddp")
        data.setup("fit")


def test_a_run_goes_on_only_as_what_it_is(store: Path) -> None:
    run = begun()
    run_id = run.run_id
    assert begun(run_id=run_id, fresh=True).run_id == run_id, "made for this training"
    with pytest.raises(ConfigError, match=r"other options \(model.gamma 0.9\)"):
        begun(run_id=run_id, params={"model.gamma": "0.5"})
    run.log_metrics({"train/q": 1.0}, 10)
    assert run.end("KILLED", {})
    with pytest.raises(ConfigError, match="has been trained: add --ckpt_path last"):
        begun(run_id=run_id, fresh=True)
    assert begun(run_id=run_id).run_id == run_id
    with pytest.raises(ConfigError, match="there is no run abc"):
        begun(run_id="abc", fresh=True)


def test_a_run_that_is_not_begun_leaves_no_folder(
    store: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(["--config", config, "--recorder.run_id", "abc"], "no run abc", capsys)
    assert not list(Path("mlruns/checkpoints").iterdir())


def test_what_may_change_in_a_run_is_a_tag_that_follows(store: Path, config: str) -> None:
    for epochs in ("1", "2"):
        more = ["--ckpt_path", "last"] if epochs == "2" else []
        assert main(["--config", config, "--trainer.max_epochs", epochs, *more]) == 0
    client = MlflowClient(absolute_uri(default_store("mlruns")))
    (run,) = client.search_runs(["0", "1"])
    assert run.data.tags["trainer.max_epochs"] == "2"
    assert "trainer.max_epochs" not in run.data.params


# --- what the environment says -----------------------------------------------------------------


def test_mlflows_own_variables_are_defaults(
    whole_store: Path, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(whole_store, "central.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///central.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "team")
    client = MlflowClient(absolute_uri("sqlite:///central.db"))
    made = client.create_run(client.create_experiment("team")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    assert main(["--config", config, "--trainer.max_epochs", "1"]) == 0
    team = client.get_experiment_by_name("team")
    assert team is not None
    (run,) = client.search_runs([team.experiment_id])
    assert run.info.run_id == made and "eval/success" in run.data.metrics
    assert not Path("mlruns/mlflow.db").exists()
    assert store_of("mlruns", "sqlite:///mine.db") == "sqlite:///mine.db", "options win"
    assert named_by(None, "option") == "MLFLOW_TRACKING_URI"


def test_a_wrong_variable_is_named(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense")
    refused(["--config", config], "MLFLOW_TRACKING_URI 'nonsense'", capsys)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    refused(["--config", config], "MLFLOW_EXPERIMENT_ID 77", capsys)


# --- where things are --------------------------------------------------------------------------


def located(database: Path) -> set[str]:
    columns = (("runs", "artifact_uri"), ("experiments", "artifact_location"))
    with sqlite3.connect(database) as connection:
        rows = [
            value
            for table, column in columns
            for (value,) in connection.execute(f"SELECT {column} FROM {table}")
        ]
    return {str(value).partition("/artifacts")[0] for value in rows if "/artifacts" in value}


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_artifacts_follow_their_folder(how: str, store: Path, tmp_path: Path) -> None:
    run = begun()
    run.log_text("here", "note.txt")
    run.end("FINISHED", {})
    (shutil.move if how == "moved" else shutil.copytree)("mlruns", "a new place")
    again = begun("a new place")
    again.log_text("there", "note.txt")
    here = (tmp_path / "a new place").as_uri()
    assert located(Path("a new place/mlflow.db")) == {here}
    notes = [path.read_text() for path in Path("a new place/artifacts").rglob("note.txt")]
    assert sorted(notes) == ["here", "there"]
    assert Path("mlruns").exists() == (how == "copied")


def test_artifacts_of_another_folder_stay_where_they_are(store: Path, tmp_path: Path) -> None:
    uri, tags = default_store("mlruns"), {"tags": {}, "params": {}}
    begin_run(uri, Path("elsewhere/artifacts"), "task", "name", None, **tags).log_text("a", "a.txt")
    begun(params={})
    assert located(store) == {(tmp_path / "elsewhere").as_uri()}


def test_the_command_that_opens_a_run_works_where_the_user_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = default_store("mlruns")
    command = open_command(uri)
    assert command.endswith(f"ui --workers 1 --backend-store-uri {uri}")
    program = command.split()[0]
    assert shutil.which(program) is not None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert open_command(uri).startswith(f"{sys.executable} -m mlflow ui")
    assert "'sqlite:///a b.db'" in open_command("sqlite:///a b.db")
    monkeypatch.chdir(CHECKOUT)
    assert open_command(uri) == ("make ui" if Path("Makefile").is_file() else command)
    assert open_command("http://host:5000") == "http://host:5000"


# --- what a process leaves behind --------------------------------------------------------------


def test_a_first_start_that_is_stopped_leaves_no_half_of_a_database(
    whole_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("mlflow.db")

    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.tracking.MlflowClient.search_experiments", stopped)
        with pytest.raises(KeyboardInterrupt):
            make_database(path)
    assert not list(Path().glob("mlflow.db*"))
    Path("mlflow.db.draft-abc").mkdir()
    Path("mlflow.db.draft-abc/mlflow.db").write_text("of a process that was killed")
    make_database(path)
    assert not list(Path().glob("*draft*"))
    require_whole(path, "option")
    require_whole(Path("none.db"), "option")


@pytest.mark.parametrize("left", ["tables", "version", "experiment"])
def test_half_of_a_database_is_named(
    left: str, store: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(store) as connection:
        if left == "tables":
            connection.execute("DROP TABLE experiments")
        elif left == "version":
            connection.execute("DELETE FROM alembic_version")
        else:
            connection.execute("DELETE FROM experiments")
    refused(["--config", config], "mlflow.db is half made", capsys)


def test_drafts_of_a_process_that_was_killed_are_removed(store: Path) -> None:
    checkpoints = Path("mlruns/checkpoints")
    drafts = [checkpoints / run / "last.ckpt.draft" for run in ("killed", "ended", "alive")]
    locks = {}
    for draft, status in zip(drafts, ("RUNNING", "", "RUNNING")):
        lock = locks[draft] = RunLock(draft.parent)
        lock.write(status)
        draft.write_bytes(b"half")
        lock.close()
    alive = lock_run(checkpoints, "alive")
    drafts[2].write_bytes(b"being written")
    mark_abandoned_runs(begun().client, checkpoints)
    assert [draft.exists() for draft in drafts] == [False, False, True]
    alive.close()
    lock_run(checkpoints, "alive").close()
    assert not drafts[2].exists(), "whoever continues the run cleans up, too"


@pytest.mark.parametrize("numbers", [200_000, 24_900])
def test_the_system_says_why_a_checkpoint_cannot_be_written(numbers: int) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_checkpoint({"tensor": torch.zeros(numbers)}, Path("full.ckpt"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.strerror == "File too large"
    assert not list(Path().glob("full*"))


def test_a_process_that_must_end_at_once_leaks_nothing() -> None:
    """Python would warn of semaphores, which progress bars and others make."""
    script = (
        "import multiprocessing, signal\n"
        "from rher_pl.callbacks.stopping import StopOnSignal\n"
        "lock, stop = multiprocessing.RLock(), StopOnSignal()\n"
        "stop.received = signal.SIGTERM\n"
        "stop._exit_now()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 143 and "leaked" not in done.stderr and "Warning" not in done.stderr


# --- Lightning as people use it ----------------------------------------------------------------

SMALL: dict[str, Any] = {
    "updates_per_episode": 1,
    "batch_size": 8,
    "num_envs": 2,
    "random_episodes": 2,
    "eval_every_env_steps": 100,
    "eval_episodes": 4,
}


def test_a_plain_trainers_file_is_a_policy_and_so_is_a_module(
    capsys: pytest.CaptureFixture[str], config: str
) -> None:
    module, data = made_run(**SMALL)
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(module, data)
    trainer.save_checkpoint("plain.ckpt")
    trainer.save_checkpoint("weights.ckpt", weights_only=True)
    live = rher_pl.policy_of(module)
    sizes = live.portable.sizes
    generator = np.random.default_rng(0)
    state = {name: generator.normal(size=size) for name, size in sizes.items()}
    for name in ("plain.ckpt", "weights.ckpt"):
        policy = rher_pl.load_policy(name)
        assert policy.counters == live.counters == {"env_steps": 100, "episodes": 4, "updates": 4}
        assert np.array_equal(policy(state), live(state))
    before = live(state)
    trainer.fit_loop.max_epochs = 3
    trainer.fit(module, data)
    assert np.array_equal(live(state), before), "a copy"
    whole = Path("plain.ckpt").read_bytes()
    for at in (len(whole) // 2, len(whole) - 40):
        Path("torn.ckpt").write_bytes(whole[:at])
        with pytest.raises(ConfigError, match="damaged"):
            rher_pl.load_policy("torn.ckpt")
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    Path("changed.ckpt").write_bytes(changed)
    with pytest.raises(ConfigError, match="damaged"):
        rher_pl.load_policy("changed.ckpt")


def test_a_sealed_file_without_its_seal_is_damaged(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    for cut in (1, 40, 79):  # of 79 characters: the archive itself is whole
        Path("cut.ckpt").write_bytes(whole[:-cut])
        with open("cut.ckpt", "rb") as file, pytest.raises(ConfigError, match="damaged"):
            check_seal(file)


def test_metrics_reach_the_logger_of_a_plain_trainer_and_are_results() -> None:
    module, data = made_run(**SMALL)
    logger = CSVLogger("logs")
    trainer = quiet_trainer(max_epochs=1, logger=logger)
    trainer.fit(module, data)
    (file,) = Path("logs").rglob("metrics.csv")
    header, *rows = [line.split(",") for line in file.read_text().splitlines()]
    found = [dict(zip(header, row)) for row in rows]
    steps = {name: [int(row["step"]) for row in found if row[name]] for name in header}
    assert steps["train/critic_loss"] == steps["relay/contact_rate"] == [50, 100]
    assert steps["eval/success"] == [100], "against env steps, once"
    (results,) = trainer.validate(module, data, verbose=False)
    assert results["eval/success"] == float(module.metrics_eval["eval/success"])
    quiet = quiet_trainer()
    assert quiet.test(module, data, verbose=False)[0].keys() == results.keys()


@pytest.mark.parametrize("sanity", [0, 2])
@pytest.mark.parametrize("order", [("test", "fit", "fit"), ("fit", "validate", "test", "fit")])
def test_a_trainer_may_do_things_in_any_order_and_check_first(
    order: tuple[str, ...], sanity: int
) -> None:
    module, data = made_run(**SMALL)
    trainer = quiet_trainer(max_epochs=1, num_sanity_val_steps=sanity)
    fits = 0
    for step in order:
        trainer.fit_loop.max_epochs = fits = fits + (step == "fit")
        getattr(trainer, step)(module, data)
        assert module.episodes == 4 * fits
    assert [len(values) for values in module.success.recent] == [2, 2]
