"""Real faults under a real run: its MLflow server goes, its database is locked, its disk fills.

Each run is a process that trains PointPush; what is broken is the thing itself, not a stand-in.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow.tracking import MlflowClient

from rher_pl.checkpoints.file import read_checkpoint_file

ROOT = Path(__file__).parents[1]
CONFIG: dict[str, Any] = {
    "data": {
        "task": "PointPush-v0",
        "num_envs": 2,
        "updates_per_episode": 20,
        "batch_size": 32,
        "random_episodes": 4,
        "eval_every_env_steps": 250,
        "eval_episodes": 10,
        "eval_envs": 10,
    },
    "model": {"hidden_size": 32, "hidden_layers": 2},
    "trainer": {"max_epochs": 160, "precision": "32-true"},
    "video": {"every_evaluations": 16},
}
EPOCH = CONFIG["data"]["eval_every_env_steps"]
EVERY = CONFIG["video"]["every_evaluations"]
AWAY_SECONDS = 8.0
DISK = "6m"
"""Of the file system that fills up: room for the first checkpoints and not for the last."""
PATIENCE = 300.0


def run_faults(folder: Path) -> dict[str, Any]:
    """Whether training went on and nothing was lost, for each fault."""
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    figures = {}
    for fault in (server_away, database_locked, disk_full):
        place = folder / fault.__name__
        place.mkdir()
        outcome = fault(place)
        print(f"{fault.__name__}: {outcome}", flush=True)
        figures[f"fault_{fault.__name__}"] = outcome
    return figures


# --- the faults ----------------------------------------------------------------------------------


def server_away(folder: Path) -> str:
    """Kill ``mlflow server`` in mid-run and start it again."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    server = serve(folder, port)
    try:
        with training(folder, ["--recorder.tracking_uri", uri]) as run:
            run.wait_for(5)
            kill(server)
            before = run.evaluations
            time.sleep(AWAY_SECONDS)
            went_on = run.evaluations > before
            server = serve(folder, port)
            status = run.wait()
        return verdict(folder, uri, status, went_on, "MLflow is back")
    finally:
        kill(server)


def database_locked(folder: Path) -> str:
    """Lock the run's sqlite file, as another program that writes to it would."""
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    with training(folder, []) as run:
        run.wait_for(5)
        connection = sqlite3.connect(folder / "mlruns" / "mlflow.db", timeout=60.0)
        connection.execute("BEGIN EXCLUSIVE")
        before = run.evaluations
        time.sleep(AWAY_SECONDS)
        went_on = run.evaluations > before
        connection.rollback()
        connection.close()
        status = run.wait()
    return verdict(folder, uri, status, went_on)


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
    with training(folder, ["--recorder.tracking_uri", uri]) as run:
        run.wait_for(3)
        (folder / "ballast").write_bytes(b"\0" * left(folder))
        status = run.wait()
    told = "No space left" in log(folder)
    (last,) = folder.glob("mlruns/checkpoints/*/last.ckpt")
    steps = read_checkpoint_file(last)["rher_pl"]["env_steps"]
    (folder / "ballast").unlink()
    with training(folder, ["--recorder.tracking_uri", uri, "--ckpt_path", "last"]) as run:
        again = run.wait()
    whole = verdict(folder, uri, again, went_on=True)
    if not told or not 0 < steps < EPOCH * CONFIG["trainer"]["max_epochs"]:
        return f"status {status}, told {told}, last good checkpoint at {steps}"
    return whole


# --- a run, a server and what is left of them ---------------------------------------------------


@dataclass
class Training:
    """A process that trains in a folder."""

    process: subprocess.Popen
    folder: Path

    @property
    def evaluations(self) -> int:
        """How many it has reported."""
        return log(self.folder).count(" env steps | ")

    def wait_for(self, evaluations: int) -> None:
        """Wait until so many are reported.

        Raises:
            ValueError: if the process ends before, or after too long.
        """
        deadline = time.monotonic() + PATIENCE
        while self.evaluations < evaluations:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ValueError(f"the run did not get there: {log(self.folder)[-500:]}")
            time.sleep(0.1)

    def wait(self) -> int:
        """Exit status.

        Raises:
            subprocess.TimeoutExpired: if it hangs.
        """
        return self.process.wait(PATIENCE)


@contextmanager
def training(folder: Path, options: list[str]) -> Iterator[Training]:
    """``rher_pl.fit`` in ``folder``; its output goes to a file beside it."""
    command = [sys.executable, "-m", "rher_pl.fit", "--config", str(folder.parent / "config.yaml")]
    with _log_file(folder).open("a") as output:
        process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        try:
            yield Training(process, folder)
        finally:
            kill(process)


def _log_file(folder: Path) -> Path:
    return folder.with_suffix(".txt")  # not in the folder, whose disk may be full


def log(folder: Path) -> str:
    return _log_file(folder).read_text()


def serve(folder: Path, port: int) -> subprocess.Popen:
    """``mlflow server`` with its files in ``folder``, when it answers."""
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
    kill(server)
    raise ValueError("mlflow server does not start")


def kill(process: subprocess.Popen) -> None:
    """End a process, and a server's workers, which are in its group, at once."""
    try:
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass
    process.kill()
    process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def left(folder: Path) -> int:
    """Bytes free on the file system of ``folder``."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def verdict(folder: Path, uri: str, status: int, went_on: bool, told: str = "") -> str:
    """``whole``, or what is not as it must be."""
    client = MlflowClient(uri)
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    steps = [m.step for m in client.get_metric_history(run.info.run_id, "eval/success")]
    faults = []
    if status != 0 or run.info.status != "FINISHED":
        faults.append(f"exit status {status}, run {run.info.status}")
    if not went_on:
        faults.append("training stood still")
    if sorted(steps) != [EPOCH * (i + 1) for i in range(CONFIG["trainer"]["max_epochs"])]:
        faults.append(f"{len(steps)} evaluations recorded, {len(set(steps))} of them different")
    if told not in log(folder):
        faults.append(f"the user was not told: {told}")
    present = {item.path for item in client.list_artifacts(run.info.run_id)}
    present |= {item.path for item in client.list_artifacts(run.info.run_id, "video")}
    epochs = range(EVERY, CONFIG["trainer"]["max_epochs"] + 1, EVERY)
    videos = {f"video/{EPOCH * epoch:09d}.mp4" for epoch in epochs}
    if missing := {"checkpoints", "config.yaml", "figures", *videos} - present:
        faults.append(f"artifacts are missing: {', '.join(sorted(missing))}")
    return "; ".join(faults) or "whole"
