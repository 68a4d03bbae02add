"""Sweeps on Ray: a machine that dies, a command that is stopped, and a search that finds."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rher_pl.checkpoints.file import read_checkpoint_file
from rher_pl.checkpoints.history import read_history
from rher_pl.tracking.client import connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
ROOT = Path(__file__).parents[1]
EPOCHS, EPOCH_STEPS = 5, 200


@pytest.fixture
def config(small_config: Path) -> str:
    """A training of seconds, whose evaluations are far enough apart to be cut between."""
    content = yaml.safe_load(small_config.read_text())
    content["trainer"]["max_epochs"] = EPOCHS
    content["data"] |= {"eval_every_env_steps": EPOCH_STEPS, "updates_per_episode": 100}
    small_config.write_text(yaml.safe_dump(content))
    return str(small_config)


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rher_pl.sweep", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def lines(process: subprocess.Popen[str], until: str) -> Iterator[str]:
    """What it prints, up to the line that matches."""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="")
        yield line
        if re.search(until, line):
            return
    pytest.fail(f"no line like {until!r}")


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate()
    print(out)
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("checkpoints/*/last.ckpt")
    return dict(read_checkpoint_file(path)["state_dict"])


def single_run(folder: Path, config: str, seed: int, *options: str) -> dict[str, torch.Tensor]:
    """The weights of an ordinary training."""
    command = [sys.executable, "-m", "rher_pl.fit", "--config", config, *options]
    command += ["--seed_everything", str(seed), "--recorder.folder", str(folder)]
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=os.environ | threads, capture_output=True)
    return weights(folder)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def check_evaluations(sweep: Path, store: str, count: int) -> None:
    """Each trial has every evaluation once, in its checkpoint and in the store."""
    expected = [EPOCH_STEPS * (i + 1) for i in range(EPOCHS)]
    client = connect(store)
    trials = json.loads((sweep / "results.json").read_text())["trials"]
    assert len({trial["run_id"] for trial in trials}) == len(trials) == count
    for trial in trials:
        (path,) = sweep.glob(f"trials/*/checkpoints/{trial['run_id']}/last.ckpt")
        assert [row["env_steps"] for row in read_history(path)] == expected
        points = client.get_metric_history(trial["run_id"], "eval/success")
        assert sorted(point.step for point in points) == expected
        assert client.get_run(trial["run_id"]).info.status == "FINISHED"


def test_a_machine_dies_and_nothing_is_lost_or_counted_twice(tmp_path: Path, config: str) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        worker = cluster.add_node(num_cpus=1)
        arguments = ["--config", config, "--seeds", "0..3", "--grid", "model.gamma=0.9,0.95"]
        process = begin(tmp_path, *arguments, "--address", cluster.address, "--name", "eight")
        for _ in lines(process, r"2 of 5 evaluations"):
            pass
        for _ in lines(process, r"2 of 5 evaluations"):  # both machines are in the middle of one
            pass
        cluster.remove_node(worker, allow_graceful=False)
        out = finish(process)
    finally:
        cluster.shutdown()
    assert process.returncode == 0
    assert "goes on elsewhere" in out
    sweep = tmp_path / "mlruns" / "sweeps" / "eight"
    check_evaluations(sweep, f"sqlite:///{tmp_path}/mlruns/mlflow.db", 8)
    assert (sweep / "comparison.png").is_file()
    lost = [line.partition(":")[0] for line in out.splitlines() if "goes on elsewhere" in line]
    gamma, seed = re.fullmatch(r"gamma ([\d.]+), seed (\d)", lost[0]).groups()  # type: ignore[union-attr]
    alone = single_run(tmp_path / "alone", config, int(seed), f"--model.gamma={gamma}")
    assert same(weights(sweep / "trials" / f"model.gamma={gamma},seed={seed}"), alone)


def test_a_stopped_sweep_goes_on(tmp_path: Path, config: str) -> None:
    arguments = ["--config", config, "--seeds", "0..2", "--jobs", "1", "--name", "stopped"]
    process = begin(tmp_path, *arguments)
    for _ in lines(process, r"seed 1: 2 of 5"):
        pass
    process.send_signal(signal.SIGINT)
    out = finish(process)
    assert process.returncode == 128 + signal.SIGINT and "the same command continues" in out
    process = begin(tmp_path, *arguments)
    out = finish(process)
    assert process.returncode == 0 and "1 of 3 trials are done already" in out
    sweep = tmp_path / "mlruns" / "sweeps" / "stopped"
    check_evaluations(sweep, f"sqlite:///{tmp_path}/mlruns/mlflow.db", 3)
    alone = single_run(tmp_path / "alone", config, 1)
    assert same(weights(sweep / "trials" / "seed=1"), alone)
    other = weights(sweep / "trials" / "seed=2")
    assert not same(other, alone)


def test_a_search_finds_a_better_learning_rate_than_a_bad_one(tmp_path: Path) -> None:
    path = tmp_path / "point.yaml"
    content: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "point_push.yaml").read_text())
    content["trainer"]["max_epochs"] = 6
    content["model"]["learning_rate"] = 1e-6
    path.write_text(yaml.safe_dump(content))
    begun = time.monotonic()
    search = ["--search", "model.learning_rate=log(1e-6,1e-2)", "--trials", "6", "--prune"]
    search += ["--confirm", "1"]
    process = begin(tmp_path, "--config", str(path), *search, "--name", "search")
    out = finish(process)
    print(f"{time.monotonic() - begun:.0f} s")
    assert process.returncode == 0
    report = json.loads((tmp_path / "mlruns/sweeps/search/results.json").read_text())
    found = report["winner"]
    assert report["confirmed"]["seeds"] == [1] and "trained again with 1 fresh seeds" in out
    bad = tmp_path / "bad"
    single_run(bad, str(path), 0)
    (checkpoint,) = bad.glob("checkpoints/*/last.ckpt")
    success = [row["eval/success"] for row in read_history(checkpoint)]
    assert found["chosen_on"] > sum(success) / len(success) + 0.2
    assert float(found["options"]["model.learning_rate"]) > 1e-5
    assert "stopped early" in out


def test_a_stopped_search_goes_on(tmp_path: Path, config: str) -> None:
    """Trials that ended are kept, the cut one continues, and no evaluation is there twice."""
    search = ["--search", "model.gamma=uniform(0.8,0.95)", "--trials", "4", "--jobs", "1"]
    arguments = ["--config", config, *search, "--name", "stopped"]
    process = begin(tmp_path, *arguments)
    for _ in lines(process, r"5 of 5 evaluations"):
        pass
    for _ in lines(process, r"2 of 5 evaluations"):
        pass
    process.send_signal(signal.SIGINT)
    out = finish(process)
    assert process.returncode == 128 + signal.SIGINT and "the same command continues" in out
    process = begin(tmp_path, *arguments)
    finish(process)
    assert process.returncode == 0
    sweep = tmp_path / "mlruns" / "sweeps" / "stopped"
    check_evaluations(sweep, f"sqlite:///{tmp_path}/mlruns/mlflow.db", 4)
