"""Runs that are killed, stopped and cut off from where they record: nothing is lost."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from benchmarks.reliability import broken, fuzz, soak
from benchmarks.reliability.__main__ import is_sound
from benchmarks.reliability.kills import Kills, digest, run_kills
from rher_pl.envs.checks import check_finite, check_states
from rher_pl.envs.fetch_sim import FetchSimulator
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.errors import TrainingError
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

    def main(arguments: list[str]) -> int:
        sys.stderr.write(printed)
        return 1 // 0 if status is None else status

    monkeypatch.setattr(fuzz, "main", main)
    found = fuzz.outcome([], (0, 2))
    assert (found is None) if problem is None else (found or "").startswith(problem)
    Path(broken.CANARY).touch()
    assert status is None or fuzz.outcome([], (0, 2)) == "code was executed"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_broken_gets_through(tmp_path: Path) -> None:
    assert fuzz.run_fuzz(tmp_path, 20, 1) == {"fuzz_cases": 62, "fuzz_failures": 0}


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
    with pytest.raises(TrainingError, match="Inf in achieved_goals of environment 1"):
        check_finite(states)


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
        ({"fuzz_cases": 9, "fuzz_failures": 1}, False),
        ({"fault_disk_full": "training stood still"}, False),
        ({"soak_stopped_in_order": False}, False),
    ],
)
def test_anything_that_is_not_as_it_must_be_is_a_fault(
    figures: dict[str, Any], sound: bool
) -> None:
    assert is_sound(figures) == sound
