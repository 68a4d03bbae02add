"""Runs that are killed, stopped and cut off from where they record: nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from benchmarks import soak
from rher_pl.envs.checks import check_finite, check_states
from rher_pl.envs.fetch_sim import FetchSimulator
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.errors import TrainingError
from rher_pl.tracking.store import creating

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "options", [(), ("--data.pipelined", "true")], ids=["in turn", "pipelined"]
)
def test_a_killed_run_becomes_what_it_would_have_been(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """Kills a real process; a process of its own, because forks need one without threads."""
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.reliability", "kills", "--kills", "2"]
    done = subprocess.run(
        [*command, "--results", str(results), *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(results.read_text())
    assert figures == {"kills": 2, "identical_after_kill": 2}
    for each in ("SIGTERM", "SIGINT", "two at once"):
        assert f"{each}: identical" in done.stdout


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


STEADY = """
import signal, sys, time
def stop(*_):
    time.sleep(0.3)
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
for step in range(1, 10_000):
    print(f"{1_000 * step:,}/10,000,000 env steps | success 1.00", flush=True)
    time.sleep(0.02)
"""


def test_a_soak_samples_a_process_whose_buffer_is_full_and_times_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "SAMPLE_SECONDS", 0.05)
    watched = soak.Watched([sys.executable, "-c", STEADY], tmp_path)
    try:
        watched.watch(1.0)
        status, seconds = watched.stop()
    finally:
        watched.process.kill()
    assert status == 143 and 0.3 <= seconds < soak.STOP_SECONDS
    first, last = watched.samples[0], watched.samples[-1]
    assert first.rss_mib > 1.0 and last.handles >= 3 and last.threads == 1
    assert watched.reports[-1][1] >= soak.REPLAY_CAPACITY
    assert all(speed > 0.0 for speed in soak.first_and_last_speed(watched.reports))
    with pytest.raises(ValueError, match="fewer than two"):
        soak.first_and_last_speed(watched.reports[:1])
