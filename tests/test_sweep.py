"""What a sweep is asked to do, and how it looks at a training; nothing here starts Ray."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rher_pl.cli import exit_status
from rher_pl.cluster import environment, joining
from rher_pl.errors import LONGEST, ConfigError
from rher_pl.sweep import sharing
from rher_pl.sweep.__main__ import main
from rher_pl.sweep.place import Place, Trial, read_state, require_same, write_state
from rher_pl.sweep.ranges import Range, parse_grid, parse_search, parse_seeds, split_list
from rher_pl.sweep.request import read_request
from rher_pl.sweep.runs import begin_parent, child_run
from rher_pl.sweep.training import Training, wait_for_lock
from rher_pl.tracking.client import connect

# --- seeds, grids, ranges ----------------------------------------------------------------------


def test_seeds_are_ranges_and_lists() -> None:
    assert parse_seeds("0..4") == (0, 1, 2, 3, 4)
    assert parse_seeds("7,0..1") == (7, 0, 1)


def test_a_grid_keeps_lists_in_brackets_whole() -> None:
    grid = parse_grid(["model.gamma=0.95,0.98", "data.batch_size=[64,192],[128,128]"])
    assert grid == {
        "model.gamma": ("0.95", "0.98"),
        "data.batch_size": ("[64,192]", "[128,128]"),
    }
    assert split_list("a, [b,c],d") == ["a", "[b,c]", "d"]
    assert parse_grid(["data.num_envs=2..4"]) == {"data.num_envs": ("2", "3", "4")}


def test_a_search_has_ranges_and_choices() -> None:
    assert parse_search(["model.learning_rate=log(1e-4,1e-2)", "model.gamma=0.9,0.95"]) == {
        "model.learning_rate": Range("log", ("1e-4", "1e-2")),
        "model.gamma": Range("choice", ("0.9", "0.95")),
    }


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (parse_seeds, "4..0", r"reversed: did you mean 0\.\.4\?"),
        (parse_seeds, "", "empty"),
        (parse_seeds, "0..", "no range"),
        (parse_seeds, "0,0", "twice"),
        (parse_seeds, "-1", "whole numbers from 0"),
        (parse_grid, ["model.gamma"], "write model.gamma=0.95,0.98"),
        (parse_grid, ["model.gamma="], "empty"),
        (parse_grid, ["model.gamma=0.9,"], "empty"),
        (parse_grid, ["data.num_envs=8..2"], r"did you mean 2\.\.8\?"),
        (parse_grid, ["model.gamma=0.9", "model.gamma=0.95"], "twice"),
        (parse_search, ["a.b=lgo(1,2)"], "did you mean log"),
        (parse_search, ["a.b=log(1e-2,1e-4)"], r"did you mean log\(1e-4,1e-2\)\?"),
        (parse_search, ["a.b=log(1,1)"], "empty"),
        (parse_search, ["a.b=log(0,1)"], "above 0"),
        (parse_search, ["a.b=int(1)"], r"write int\(2,8\)"),
        (parse_search, ["a.b=1"], "no choice"),
    ],
)
def test_mistakes_in_ranges_say_what_to_write(parse: Callable, text: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(text)


# --- the command line --------------------------------------------------------------------------


def test_a_request_lists_every_combination_with_every_seed(
    small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--config", str(small_config), "--seeds", "0..2", "--grid", "model.gamma=0.9,0.95"]
    request, dry = read_request([*words, "data.num_envs=2,4", "--model.tau", "0.1"])
    assert not dry and len({trial.name for trial in request.listed}) == 3 * 2 * 2
    assert request.settings["model"]["tau"] == 0.1 and request.epochs == 6
    assert request.listed[0].label == "gamma 0.9, num_envs 2, seed 0"
    assert not (tmp_path / "mlruns" / "sweeps").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--grid", "model.gama=0.9,0.95"], "did you mean model.gamma?"),
        (["--grid", "gamma=0.9,0.95"], "did you mean model.gamma?"),
        (["--grid", "model.gamma=0.9,high"], "model.gamma cannot be high"),
        (["--sedes", "0..4"], "did you mean --seeds?"),
        (["--model.gama", "0.9"], "did you mean model.gamma?"),
        (["--grid", "seed_everything=1,2"], "use --seeds"),
        (["--recorder.folder", "x"], "use --name, --folder"),
        (["--video.every_evaluations", "1"], "a sweep makes no videos"),
        (["--grid", "until.success=0.9,0.95"], "every trial trains for all its epochs"),
        (["--grid", "model.gamma=0.9,0.8", "--model.gamma=0.9"], "both varied and fixed"),
        (["--prune"], "add --search"),
        (["--search", "model.gamma=0.9,0.95", "--seeds", "0..2"], "--confirm 1..5"),
        (["--seeds", "0..2", "--confirm", "2..3"], "choose the winner"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str],
    says: str,
    small_config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--config", str(small_config), *words]) == exit_status.MISTAKE
    err = capfd.readouterr().err
    assert says in err and err.count("\n") == 1 and len(err) <= LONGEST + 1
    assert not (tmp_path / "mlruns" / "sweeps").exists()


def test_without_ray_one_line_names_the_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(joining.importlib.util, "find_spec", lambda name: None)
    assert main(["--config", "push"]) == exit_status.MISTAKE
    assert "pip install 'ray[tune]' optuna" in capsys.readouterr().err


def test_an_address_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """In ten seconds in all, also where a token would be tried."""
    assert environment.ANSWER_SECONDS < 10
    monkeypatch.setattr(environment, "ANSWER_SECONDS", 2.0)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "some")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    begun = time.monotonic()
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ConfigError, match="no Ray answers, or"),
    ):
        environment.prepare_environment("{}:{}".format(*silent.getsockname()))
    assert time.monotonic() - begun < 10
    assert "RAY_AUTH_MODE" not in os.environ, "a token is sent to those alone that ask for one"


# --- machines ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, None),
        ({"versions": {"torch": "0"}}, r"torch 0 \(here 1\)"),
        ({"versions": {}}, r"torch missing"),
        ({"code": "other"}, "other code"),
        ({"seen": False}, "shared disk"),
        ({"machine": "other"}, "mlflow server"),
        ({"store": "cannot be reached"}, "cannot be reached"),
    ],
)
def test_a_machine_that_differs_is_refused(change: dict[str, Any], says: str | None) -> None:
    here = {"versions": {"torch": "1"}, "code": "c", "seen": True, "store": "", "machine": "m"}
    arguments = ("worker", here | change, here, Path("f"), "sqlite:////f/mlflow.db")
    if says is None:
        sharing.compare(*arguments)
        return
    with pytest.raises(ConfigError, match=says):
        sharing.compare(*arguments)


# --- a sweep's folder, and a trial's process ---------------------------------------------------


def make_place(folder: Path) -> Place:
    return Place(str(folder), f"sqlite:///{folder}/mlflow.db", "test", "parent", (), 2)


def test_a_sweep_of_other_settings_is_not_continued(tmp_path: Path) -> None:
    state = {"settings": {"model": {"gamma": 0.9}}, "search": {}, "trials": 0}
    write_state(tmp_path, state)
    require_same(read_state(tmp_path), state, tmp_path)
    other = state | {"settings": {"model": {"gamma": 0.95}}}
    with pytest.raises(ConfigError, match=r"model\.gamma.*--name"):
        require_same(read_state(tmp_path), other, tmp_path)


def test_what_trains_a_trial_is_a_fit_of_its_own(tmp_path: Path) -> None:
    trial = Trial({"model.gamma": "0.9"}, 3)
    training = Training(make_place(tmp_path), trial, "run")
    command = " ".join(training.command())
    assert "--model.gamma=0.9" in command and "--seed_everything 3" in command
    assert command.endswith("--recorder.run_id run") and not training.is_complete
    training.checkpoint.parent.mkdir(parents=True)
    training.checkpoint.touch()
    assert " ".join(training.command()).endswith("--ckpt_path last")
    assert training.rows() == []  # damaged


def test_the_run_of_a_trial_that_failed_says_so(tmp_path: Path) -> None:
    """``fit`` may end before it takes the run up, as it does for an option out of range."""
    SweepTrial = pytest.importorskip("rher_pl.sweep.trial", exc_type=ImportError).SweepTrial
    place = make_place(tmp_path)
    place = replace(place, parent=begin_parent(place.tracking_uri, "test", tmp_path, None))
    option = Trial({"model.gamma": "2"}, 0)
    trial = SweepTrial.__new__(SweepTrial)
    trial.told, trial.training = 0, Training(place, option, child_run(place, option))
    trial.training.log.write_text("error: model.gamma must be in (0, 1)\n")
    assert trial._failed(2)["done"]
    run = connect(place.tracking_uri).get_run(trial.training.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["ended_by"] == "model.gamma must be in (0, 1)"


def test_a_training_ends_when_the_process_that_began_it_is_killed(tmp_path: Path) -> None:
    child = f"{sys.executable!r}, '-c', 'import time; time.sleep(60)'"
    code = (
        "import subprocess, time; from rher_pl.sweep.training import end_with_parent as end;"
        f"p = subprocess.Popen([{child}], preexec_fn=end); print(p.pid, flush=True);"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "running.lock"
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); time.sleep(1.0)"
    )
    command = [sys.executable, "-c", code, os.fspath(lock)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline()
    wait_for_lock(lock, 30.0)
    assert holder.wait(5) == 0
    wait_for_lock(tmp_path / "none", 30.0)


def test_settings_are_kept_as_a_config(tmp_path: Path) -> None:
    settings = {"model": {"gamma": 0.9}, "data": {}, "trainer": {"max_epochs": 2}}
    write_state(tmp_path, {"settings": settings, "search": {}, "trials": 0, "parent": "p"})
    assert yaml.safe_load(make_place(tmp_path).settings.read_text()) == settings
    assert read_state(tmp_path)["parent"] == "p"
