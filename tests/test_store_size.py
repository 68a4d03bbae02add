"""A store of 500 runs with 40 metrics of 100 points each: what it adds to commands and to a run."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from cli_config import write_config

from rher_pl.tracking.client import connect
from rher_pl.tracking.store import creating

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[1]
RUNS, METRICS, POINTS = 500, 40, 100
MOST_SECONDS = 2.0


def fill(database: Path) -> None:
    """Write runs past MLflow, which would take an hour; all of one experiment, as a sweep's are."""
    uri = f"sqlite:///{database}"
    with creating(uri):
        experiment = int(connect(uri).create_experiment("many"))
    runs = [uuid.uuid4().hex for _ in range(RUNS)]
    names = [f"metric/{i}" for i in range(METRICS - 3)]
    names += ["eval/success", "perf/seconds", "perf/updates"]
    with sqlite3.connect(database) as store:
        for number, run in enumerate(runs):
            row = (run, f"old-{number}", "LOCAL", "x", "", "u", "FINISHED", number, number + 1)
            row += ("", "active", f"{database.parent}/artifacts/{run}", experiment)
            columns = "run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
            columns += "start_time, end_time, source_version, lifecycle_stage, artifact_uri,"
            marks = ",".join("?" * len(row))
            store.execute(f"INSERT INTO runs ({columns} experiment_id) VALUES ({marks})", row)
            points = [
                (name, step / POINTS, step, run, 100 * step, 0)
                for name in names
                for step in range(1, POINTS + 1)
            ]
            columns = "key, value, timestamp, run_uuid, step, is_nan"
            store.executemany(f"INSERT INTO metrics ({columns}) VALUES (?,?,?,?,?,?)", points)
            latest = [(name, 1.0, POINTS, run, 100 * POINTS, 0) for name in names]
            store.executemany(
                f"INSERT INTO latest_metrics ({columns}) VALUES (?,?,?,?,?,?)", latest
            )
            params = [(f"model.option_{i}", str(i), run) for i in range(60)]
            store.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?,?,?)", params)
            tags = [("task", "PointPush-v0", run), ("seed", str(number), run)]
            tags += [("mlflow.runName", f"old-{number}", run)]
            tags += [(f"version.{i}", "1.0", run) for i in range(20)]
            store.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?,?,?)", tags)


def seconds(folder: Path, *command: str) -> float:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begun


def commands(folder: Path) -> dict[str, float]:
    """Seconds of each, in a folder whose store has this run besides what it has already."""
    config = write_config(folder)
    begun = seconds(folder, "rher_pl.fit", "--config", config, "--recorder.run_name", "mine")
    (run,) = (path.name for path in (folder / "mlruns" / "checkpoints").iterdir())
    return {
        "a run": begun,
        "compare": seconds(folder, "rher_pl.compare", "mine"),
        "evaluate --run": seconds(folder, "rher_pl.evaluate", "--run", run, "--episodes", "5"),
    }


def test_a_full_store_adds_at_most_two_seconds(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    for folder in (empty, full):
        (folder / "mlruns").mkdir(parents=True)
    fill(full / "mlruns" / "mlflow.db")
    before, after = commands(empty), commands(full)
    added = {name: round(after[name] - before[name], 1) for name in before}
    print(f"seconds more with {RUNS} runs: {added}")
    assert max(added.values()) <= MOST_SECONDS
