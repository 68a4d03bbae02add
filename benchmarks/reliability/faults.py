"""Real faults under a real run: its MLflow server dies, its database is locked, its disk fills.

Each run is a process that trains PointPush; the faults are real, nothing is mocked.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from mlflow.tracking import MlflowClient

from benchmarks.reliability.process import PATIENCE, TINY, Training, training
from rher_pl.checkpoints.file import read_checkpoint_file
from rher_pl.checkpoints.layout import read_entry

EPOCHS, EVERY = 160, 16
"""Epochs of a run, and evaluations between two videos."""
CONFIG: dict[str, Any] = TINY | {
    "trainer": TINY["trainer"] | {"max_epochs": EPOCHS},
    "video": {"every_evaluations": EVERY},
}
EPOCH = CONFIG["data"]["eval_every_env_steps"]
AWAY_SECONDS = 8.0
DISK = "6m"
"""Size of the file system that fills up: room for the first checkpoints, not for the last."""


def run_faults(folder: Path) -> dict[str, Any]:
    """For each fault ``whole`` if training went on and nothing was lost, else what was wrong."""
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    figures = {}
    for fault in (server_away, database_locked, disk_full):
        place = folder / fault.__name__
        place.mkdir()
        outcome = fault(place)
        print(f"{fault.__name__}: {outcome}", flush=True)
        figures[f"fault_{fault.__name__}"] = outcome
    return figures


def begin(folder: Path, options: Sequence[str]) -> Any:
    """A training with the config beside ``folder``."""
    return training(folder, ["--config", str(folder.parent / "config.yaml"), *options])


def wait_for(run: Training, evaluations: int) -> None:
    run.wait_until(lambda: len(run.reports) >= evaluations, PATIENCE, every=0.1)


def goes_on(run: Training) -> bool:
    """Whether there are evaluations during the seconds of an outage."""
    before = len(run.reports)
    time.sleep(AWAY_SECONDS)
    return len(run.reports) > before


# --- the faults ----------------------------------------------------------------------------------


def server_away(folder: Path) -> str:
    """Kill ``mlflow server`` in mid-run and start it again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    server = serve(folder, port)
    try:
        with begin(folder, ["--recorder.tracking_uri", uri]) as run:
            wait_for(run, 5)
            stop(server)
            went_on = goes_on(run)
            server = serve(folder, port)
            return verdict(folder, uri, run, went_on, "MLflow is back")
    finally:
        stop(server)


def database_locked(folder: Path) -> str:
    """Lock the run's sqlite file, as another program that writes to it would."""
    with begin(folder, []) as run:
        wait_for(run, 5)
        connection = sqlite3.connect(folder / "mlruns" / "mlflow.db", timeout=60.0)
        connection.execute("BEGIN EXCLUSIVE")
        went_on = goes_on(run)
        connection.rollback()
        connection.close()
        return verdict(folder, f"sqlite:///{folder}/mlruns/mlflow.db", run, went_on)


def disk_full(folder: Path) -> str:
    """Train onto a small file system of its own that fills up; then make room and continue."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        return "not tried: needs the right to mount a file system"
    try:
        return _disk_full(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _disk_full(folder: Path) -> str:
    uri = f"sqlite:///{folder.parent}/elsewhere.db"
    with begin(folder, ["--recorder.tracking_uri", uri]) as run:
        wait_for(run, 3)
        system = os.statvfs(folder)
        with suppress(OSError):  # the run writes at the same time
            (folder / "ballast").write_bytes(bytes(system.f_bavail * system.f_frsize))
        status = run.wait()
        told = "No space left" in run.log
    (last,) = folder.glob("mlruns/checkpoints/*/last.ckpt")
    steps = read_entry(read_checkpoint_file(last), str(last)).env_steps
    (folder / "ballast").unlink()
    with begin(folder, ["--recorder.tracking_uri", uri, "--ckpt_path", "last"]) as run:
        whole = verdict(folder, uri, run, went_on=True)
    if not told or not 0 < steps < EPOCH * EPOCHS:
        return f"status {status}, told {told}, last good checkpoint at {steps}"
    return whole


# --- a server, and what is left of a run ---------------------------------------------------------


def serve(folder: Path, port: int) -> subprocess.Popen:
    """Start ``mlflow server`` with its files in ``folder``, and wait until it answers."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
    artifacts = ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.txt").open("a") as output:
        server = subprocess.Popen(
            [*command, *store, *artifacts], stdout=output, stderr=output, start_new_session=True
        )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2.0):
                return server
        except OSError:
            time.sleep(0.2)
    stop(server)
    raise ValueError("mlflow server does not start")


def stop(server: subprocess.Popen) -> None:
    """End a server and its workers, which are in its group, at once."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def verdict(folder: Path, uri: str, run: Training, went_on: bool, told: str = "") -> str:
    """Wait for the end of a run; ``whole``, or what is wrong with its record."""
    status = run.wait()
    client = MlflowClient(uri)
    (record,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    run_id = record.info.run_id
    steps = [m.step for m in client.get_metric_history(run_id, "eval/success")]
    faults = []
    if status != 0 or record.info.status != "FINISHED":
        faults.append(f"exit status {status}, run {record.info.status}")
    if not went_on:
        faults.append("training stood still")
    if sorted(steps) != [EPOCH * (i + 1) for i in range(EPOCHS)]:
        faults.append(f"{len(steps)} evaluations recorded, {len(set(steps))} of them different")
    if told not in run.log:
        faults.append(f"the user was not told: {told}")
    artifacts = [*client.list_artifacts(run_id), *client.list_artifacts(run_id, "video")]
    present = {item.path for item in artifacts}
    videos = {f"video/{EPOCH * i:09d}.mp4" for i in range(EVERY, EPOCHS + 1, EVERY)}
    if missing := {"checkpoints", "config.yaml", "figures", *videos} - present:
        faults.append(f"artifacts are missing: {', '.join(sorted(missing))}")
    return "; ".join(faults) or "whole"
