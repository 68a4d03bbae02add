"""Runs that are killed, stopped and cut off from where they record: nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from benchmarks.reliability import broken, fuzz, hostile_files, outcome, soak, workers
from benchmarks.reliability.__main__ import is_sound
from benchmarks.reliability.kills import Kills, digest, run_kills
from rher_pl.checkpoints.seal import SEAL, SEAL_SIZE, check_seal
from rher_pl.deploy.trained import load_policy
from rher_pl.envs.checks import check_finite, check_states
from rher_pl.envs.fetch_sim import FetchSimulator
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.errors import LONGEST, ConfigError, TrainingError
from rher_pl.tracking.store import creating

# --- kills -------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_a_killed_run_becomes_what_it_would_have_been(tmp_path: Path) -> None:
    assert Kills(tmp_path, 0).trial("kill", signal.SIGKILL) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "options", [[], ["--data.pipelined", "true"]], ids=["in turn", "pipelined"]
)
def test_so_do_runs_that_are_killed_while_they_write_or_stopped_by_signals(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_kills(tmp_path, 2, 0, options) == {"kills": 2, "identical_after_kill": 2}
    printed = capsys.readouterr().out
    for each in ("kill 0", "kill 1", "SIGTERM", "SIGINT", "two at once"):
        assert f"{each}: identical" in printed


def test_a_digest_sees_every_bit_but_the_run_and_its_speed() -> None:
    content: dict[str, Any] = {"a": [torch.zeros(2), {"perf/updates": 3, "run_id": "x", "b": 1}]}
    same = {"a": [torch.zeros(2), {"perf/updates": 4, "run_id": "y", "b": 1}]}
    assert digest(content) == digest(same)
    others: list[Any] = [
        [torch.zeros(2), {"b": 2}],
        [torch.tensor([0.0, -0.0]), {"b": 1}],
        [torch.zeros(2, dtype=torch.float64), {"b": 1}],
        [torch.zeros(2, 1), {"b": 1}],
        [torch.zeros(2), {"c": 1}],
    ]
    assert len({digest(content), *(digest({"a": other}) for other in others)}) == 6


# --- fuzz --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "printed", "problem"),
    [
        (2, "error: write 3\n", None),
        (0, "", None),
        (1, "error: a fault\n", "status 1"),
        (2, "", "0 lines"),
        (2, "error: one\nerror: two\n", "2 lines"),
        (2, "Traceback ...\nerror: one\n", "1 lines"),
        (0, "error: although it went well\n", "1 lines"),
        (2, f"error: {'x' * 300}\n", "a line of 307"),
        (2, "error: \x1b[2J\n", "a line of"),
        (None, "", "ZeroDivisionError came through"),
    ],
)
def test_a_case_must_end_in_one_line_and_the_right_status(
    status: int | None,
    printed: str,
    problem: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def main(arguments: list[str]) -> int:
        sys.stderr.write(printed)
        return 1 // 0 if status is None else status

    found = outcome.outcome(main, [], (0, 2))
    assert (found is None) if problem is None else (found or "").startswith(problem)


@pytest.mark.parametrize(
    ("leave", "problem"),
    [
        (lambda: Path(broken.CANARY).touch(), "code was executed"),
        (lambda: Path("mlruns").mkdir(), "left in the folder: ['mlruns']"),
        (lambda: tempfile.mkdtemp(), "left among temporary files"),
        (lambda: subprocess.Popen(["sleep", "1"]), "left a process"),
    ],
)
def test_a_case_must_leave_nothing_behind(
    leave: Callable[[], Any], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    kept = []

    def main(arguments: list[str]) -> int:
        kept.append(leave())
        sys.stderr.write("error: one\n")
        return 2

    assert (outcome.outcome(main, [], (2,)) or "").startswith(problem)


def test_a_child_that_hangs_or_crashes_costs_one_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers, "SECONDS", 0.2)
    monkeypatch.setattr(workers, "WAITING_SECONDS", 1)
    monkeypatch.setattr(workers, "GRACE", 1.0)

    def case(index: int) -> str | None:
        if index == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        if index == 4:
            while True:
                pass
        if index == 5:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            time.sleep(60)
        return "wrong" if index == 6 else None

    problems = dict(workers.try_all(case, 9))
    assert sorted(problems) == [3, 4, 5, 6] and problems[6] == "wrong"
    assert "SIGSEGV" in problems[3] and problems[4].startswith("hung for")
    assert "did not stop it" in problems[5]


def test_every_kind_of_hostile_checkpoint_is_made(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, whole = Path("hostile.ckpt"), 0
    for index in range(40):
        hostile_files.make_hostile(Random(index), checkpoint, path, sealed=True)
        with open(path, "rb") as file:
            check_seal(file)
        try:
            load_policy(path)
            whole += 1
        except ConfigError as error:
            assert len(str(error)) <= LONGEST + 200  # cut where it is printed
        hostile_files.make_hostile(Random(index), checkpoint, path, sealed=False)
        if SEAL not in path.read_bytes()[-SEAL_SIZE:]:  # as of a plain Trainer, which has none
            continue
        if path.read_bytes() == checkpoint.read_bytes():
            continue  # that tensor could not be changed in that way
        with open(path, "rb") as file, pytest.raises(ConfigError, match="damaged"):
            check_seal(file)
    assert 0 < whole < 40
    assert not Path(broken.CANARY).exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_broken_gets_through(tmp_path: Path) -> None:
    assert fuzz.run_fuzz(tmp_path, 20, 1) == {
        "fuzz_cases": 22,
        "fuzz_failures": 0,
        "hostile_checkpoints": 20,
        "hostile_failures": 0,
    }


# --- what an environment may do ------------------------------------------------------------------


def test_a_thread_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = FetchSimulator("FetchReach-v4", num_envs=4, num_threads=2)
    original = simulator._advance_row

    def fails(row: Any, move: Any, grip: Any) -> None:
        if row is simulator._rows[3]:
            raise ZeroDivisionError("in the simulator")
        original(row, move, grip)

    monkeypatch.setattr(simulator, "_advance_row", fails)
    named = "environment 3: ZeroDivisionError: in the simulator"
    with pytest.raises(TrainingError, match=named):
        simulator.step(np.zeros((4, 4), dtype=np.float32))
    simulator.close()


@pytest.mark.parametrize(
    ("spoil", "hint"),
    [
        (lambda x: x.double(), r"observation of shape \(2, 6\) and torch.float64"),
        (lambda x: x[:, :5], r"shape \(2, 5\) .* says \(2, 6\)"),
        (lambda x: None, "no observation"),
    ],
)
def test_states_unlike_their_specification_are_named(spoil: Any, hint: str) -> None:
    env = PointPushEnv(2)
    state = env.reset()
    check_states(state, env)
    spoiled = spoil(state["observation"])
    state = state.exclude("observation") if spoiled is None else state.set("observation", spoiled)
    with pytest.raises(TrainingError, match=hint):
        check_states(state, env)


def test_a_state_that_is_no_number_is_named() -> None:
    keys = ("observation", "achieved_goals", "desired_goals")
    states = TensorDict({key: torch.zeros(3, 2) for key in keys}, batch_size=[3])
    check_finite(states)
    states["achieved_goals"][1] = torch.inf
    with pytest.raises(TrainingError, match=r"environment 1$"):
        check_finite(states)
    episodes = TensorDict({key: torch.zeros(3, 6, 2) for key in keys}, batch_size=[3, 6])
    episodes["observation"][2, 4] = torch.nan
    with pytest.raises(TrainingError, match=r"NaN in observation of .* 2 after env step 4$"):
        check_finite(episodes)


def test_a_store_is_made_by_one_at_a_time(tmp_path: Path) -> None:
    uri, inside, most = f"sqlite:///{tmp_path}/runs/mlflow.db", 0, 0

    def make() -> None:
        nonlocal inside, most
        with creating(uri):
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


# --- soak --------------------------------------------------------------------------------------


def test_a_soak_samples_a_run_whose_buffer_is_full_and_stops_it(
    tmp_path: Path, small_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "SAMPLE_SECONDS", 0.02)
    monkeypatch.setattr(soak, "REPLAY_CAPACITY", 500)
    figures = soak.run_soak(tmp_path, 3.0 / 60, small_config)
    assert figures["soak_stopped_in_order"] and figures["soak_seconds_to_stop"] > 0
    assert all(mib > 100 for mib in figures["soak_memory_mib_at_quarters"])
    assert all(handles > 3 for handles in figures["soak_file_handles_first_and_last"])
    assert all(speed > 0 for speed in figures["soak_steps_per_second_first_and_last"])


def test_a_leak_is_told_from_memory_that_comes_and_goes() -> None:
    def samples(leak: float) -> list[soak.Sample]:
        seconds = [2.0 * i for i in range(900)]
        return [
            soak.Sample(t, 0, 1000 + leak * t / 3600 + 30 * (i // 7 % 2), 5, 2)
            for i, t in enumerate(seconds)
        ]

    assert abs(soak.memory_slope(samples(0.0))) < 0.1
    assert soak.memory_slope(samples(20.0)) == pytest.approx(20.0, abs=1.0)
    warm = [s._replace(rss_mib=s.rss_mib + 100 * (s.seconds > 300)) for s in samples(0.0)]
    assert abs(soak.memory_slope(warm)) < 0.1


def test_speed_is_that_of_the_first_and_of_the_last_quarter() -> None:
    moments = [(0, 500), (1, 500), (2, 600), (3, 600), (4, 700), (8, 750), (12, 800), (14, 900)]
    samples = [soak.Sample(seconds, steps, 100.0, 5, 2) for seconds, steps in moments]
    assert soak.first_and_last_speed(samples) == [50.0, 50.0]
    assert soak.first_and_last_speed(samples[:-1]) == [50.0, 12.5]
    with pytest.raises(ValueError, match="fewer than two"):
        soak.first_and_last_speed(samples[:4])


@pytest.mark.parametrize(
    ("figures", "sound"),
    [
        ({"kills": 2, "identical_after_kill": 2, "fault_disk_full": "whole"}, True),
        ({"kills": 2, "identical_after_kill": 1}, False),
        ({"kills_pipelined": 2, "identical_after_kill_pipelined": 1}, False),
        ({"fuzz_cases": 9, "fuzz_failures": 1}, False),
        ({"hostile_checkpoints": 9, "hostile_failures": 1}, False),
        ({"soak_memory_slope_mib_per_hour": 5.1}, False),
        ({"soak_memory_slope_mib_per_hour": -3.0}, True),
        ({"fault_disk_full": "training stood still"}, False),
        ({"soak_stopped_in_order": False}, False),
    ],
)
def test_anything_that_is_not_as_it_must_be_is_a_fault(
    figures: dict[str, Any], sound: bool
) -> None:
    assert is_sound(figures) == sound
