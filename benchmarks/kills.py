"""Kills a training process at random moments and compares what its resumed run becomes.

Every trial is a process of its own, ended by SIGKILL and continued by ``--ckpt_path last``. The
processes are forks of one that has imported everything, which saves their start-up time only.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from mlflow.tracking import MlflowClient

from rher_pl.checkpoints.file import read_checkpoint_file
from rher_pl.fit import main
from rher_pl.learner.native.gradients import NativeGradients
from rher_pl.tracking.store import absolute_uri, creating

CONFIG: dict[str, Any] = {
    "data": {
        "task": "PointPush-v0",
        "num_envs": 2,
        "updates_per_episode": 20,
        "batch_size": 32,
        "random_episodes": 4,
        "fading_guide": True,  # what evaluations decide must be continued too
        "replay_capacity": 1_500,  # smaller than the run, so that old episodes are overwritten
        "eval_every_env_steps": 250,
        "eval_episodes": 20,
        "eval_envs": 10,
    },
    "model": {"hidden_size": 32, "hidden_layers": 2},
    "trainer": {"max_epochs": 7, "precision": "32-true"},
}
STORE = "sqlite:///mlruns/mlflow.db"
SECONDS = 600.0  # no trial takes as long, even on a busy machine


def spawn(folder: Path, arguments: Sequence[str]) -> int:
    """Start ``rher_pl.fit`` in ``folder`` as a process; returns its id. Output goes to a file."""
    if child := os.fork():
        return child
    os.chdir(folder)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    torch.set_num_threads(1)
    status = 70
    try:
        status = main([*arguments])
    finally:
        os._exit(status)


def finish(child: int) -> int:
    """Wait for a process; its exit status, negative for a signal.

    Raises:
        TimeoutError: if it hangs; it is killed then.
    """
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError(f"a trial took more than {SECONDS} seconds")


def kill_when(child: int, number: int, reached: Callable[[], bool]) -> int:
    """Send a signal as soon as ``reached`` says so, or let the process end before; its status."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if reached():
            os.kill(child, number)
            return finish(child)
        time.sleep(0.0005)


def part_digests(folder: Path) -> dict[str, str]:
    """Digest of each part of what the only run of seed 0 became; speed is left out.

    Raises:
        ValueError: if there is not exactly one such run, or it is not FINISHED.
    """
    client = MlflowClient(absolute_uri(f"sqlite:///{folder}/mlruns/mlflow.db"))
    experiment = client.get_experiment_by_name(CONFIG["data"]["task"])
    runs = client.search_runs([experiment.experiment_id], "tags.seed = '0'")
    if [run.info.status for run in runs] != ["FINISHED"]:
        raise ValueError(f"{folder} holds runs {[run.info.status for run in runs]}")
    run_id = runs[0].info.run_id
    history = {
        name: [
            (metric.step, None if name.startswith("perf/") else metric.value)
            for metric in client.get_metric_history(run_id, name)
        ]
        for name in sorted(runs[0].data.metrics)
    }
    content = read_checkpoint_file(folder / "mlruns" / "checkpoints" / run_id / "last.ckpt")
    rows = content["callbacks"]["RunRecorder"]["history"]
    parts = {
        "weights and normaliser": content["state_dict"],
        "optimizers": content["optimizer_states"],
        "replay and randomness": content["RelayDataModule"],
        "counters and progress": content["rher_pl"],
        "best": content["callbacks"]["Checkpoints"],
        "evaluations": [{k: v for k, v in row.items() if "perf/" not in k} for row in rows],
        "metrics": history,
    }
    return {name: digest(part) for name, part in parts.items()}


def digest(value: Any) -> str:
    """SHA-256 over nested containers of tensors and plain values, in order."""
    total = hashlib.sha256()

    def add(item: Any) -> None:
        if isinstance(item, torch.Tensor):
            total.update(f"{item.dtype}{tuple(item.shape)}".encode())
            total.update(item.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(item, dict):
            for key, inner in item.items():
                total.update(repr(key).encode())
                add(inner)
        elif isinstance(item, (list, tuple)):
            total.update(b"[")
            for inner in item:
                add(inner)
        else:
            total.update(repr(item).encode())

    add(value)
    return total.hexdigest()


class Kills:
    """Trials against one uninterrupted run.

    Args:
        folder: empty; every trial gets a folder in it.
        seed: of the moments.
        options: more command line options for every process, such as ``["--data.num_envs", "4"]``.
    """

    def __init__(self, folder: Path, seed: int, options: Sequence[str] = ()) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.arguments = ["--config", str(folder / "config.yaml"), *options]
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
        NativeGradients.available()  # built once, before the first fork
        store = f"sqlite:///{folder}/empty/mlruns/mlflow.db"
        if child := os.fork():  # not here: a fork must not inherit a database connection
            finish(child)
        else:
            with creating(store):
                MlflowClient(absolute_uri(store)).search_experiments(max_results=1)
            os._exit(0)
        if finish(spawn(self.new("reference"), self.arguments)) != 0:
            raise ValueError((folder / "reference" / "log.txt").read_text()[-500:])
        self.reference = self.digests("reference")

    def new(self, name: str) -> Path:
        """A folder with an empty store."""
        return Path(shutil.copytree(self.folder / "empty", self.folder / name))

    def digests(self, name: str) -> dict[str, str]:
        """As :func:`part_digests`, from a process of its own."""
        reader, writer = os.pipe()
        if child := os.fork():
            os.close(writer)
            with os.fdopen(reader) as pipe:
                text = pipe.read()
            finish(child)
            return dict(yaml.safe_load(text) or {"error": "unreadable"})
        try:
            found = part_digests(self.folder / name)
        except Exception as error:
            found = {"error": str(error)}
        with os.fdopen(writer, "w") as pipe:
            yaml.safe_dump(found, pipe)
        os._exit(0)

    def trial(self, index: int, number: int = signal.SIGKILL) -> list[str]:
        """Kill once and continue; names of the parts that differ from the uninterrupted run's.

        Every third trial is killed while a checkpoint is being written, the others at a random
        moment of a random epoch.

        Args:
            index: of the trial.
            number: the signal; after any but SIGKILL the process must end in order.
        """
        folder = self.new(f"trial{index}")
        checkpoints = folder / "mlruns" / "checkpoints"
        writes = self.random.randrange(2, CONFIG["trainer"]["max_epochs"])
        share = self.random.random()
        seen, was_there = 0, False
        saved: dict[int, float] = {}  # when each checkpoint was seen first, by its time of change

        def writing() -> bool:
            nonlocal seen, was_there
            is_there = any(checkpoints.glob("*/last.ckpt.draft"))
            seen, was_there = seen + (is_there and not was_there), is_there
            return is_there and seen >= writes

        def within_an_epoch() -> bool:
            for last in checkpoints.glob("*/last.ckpt"):
                saved.setdefault(last.stat().st_mtime_ns, time.monotonic())
            if len(saved) < writes:
                return False
            before, latest = [*saved.values()][-2:]
            return time.monotonic() - latest > share * (latest - before)

        child = spawn(folder, self.arguments)
        status = kill_when(child, number, writing if index % 3 == 0 else within_an_epoch)
        if status != (-number if number == signal.SIGKILL else 128 + number):
            return [f"ended with status {status}, not by the signal"]
        status = finish(spawn(folder, [*self.arguments, "--ckpt_path", "last"]))
        if status != 0:
            return [f"continued, ended with status {status}"]
        return self.differing(folder.name)

    def together(self) -> list[str]:
        """Two runs begun at once where nothing is yet; what seed 0 became other than alone."""
        folder = self.folder / "together"
        folder.mkdir()
        children = [spawn(folder, [*self.arguments, "--seed_everything", seed]) for seed in "01"]
        if statuses := [status for child in children if (status := finish(child))]:
            return [f"exit status {statuses[0]}"]
        return self.differing(folder.name)

    def differing(self, name: str) -> list[str]:
        found = self.digests(name)
        return [k for k in self.reference | found if found.get(k) != self.reference.get(k)]


def run_kills(folder: Path, kills: int, seed: int, options: Sequence[str] = ()) -> dict[str, int]:
    """All trials, each reported in a line; the figures ``kills`` and ``identical_after_kill``."""
    trials, identical = Kills(folder, seed, options), 0
    for index in range(kills):
        different = trials.trial(index)
        identical += not different
        print(f"kill {index}: {', '.join(different) or 'identical'}", flush=True)
    for index, number in enumerate((signal.SIGTERM, signal.SIGINT), start=kills):
        if different := trials.trial(index, number):
            raise ValueError(f"stopped by {number.name}, then other than never: {different}")
        print(f"{number.name}: identical", flush=True)
    if different := trials.together():
        raise ValueError(f"beside another run, other than alone: {different}")
    print("two at once: identical", flush=True)
    return {"kills": kills, "identical_after_kill": identical}
