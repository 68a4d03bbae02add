"""Kills a training at random moments, resumes it, and compares it with one that never stopped."""

from __future__ import annotations

import hashlib
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from mlflow.tracking import MlflowClient

from benchmarks.reliability.process import PATIENCE, TINY, training
from rher_pl.checkpoints.file import read_checkpoint_file
from rher_pl.tracking.store import absolute_uri

CONFIG: dict[str, Any] = TINY | {
    "data": TINY["data"]
    | {
        "fading_guide": True,  # what depends on evaluations must be restored too
        "replay_capacity": 1_500,  # smaller than the run, so that old episodes are overwritten
        "eval_episodes": 20,
    }
}
NOT_COMPARED = ("header", "run_id", "seconds", "pending", "perf/")
"""Keys, or beginnings of keys, of what may differ: the run's name and its speed."""


def digest(value: Any) -> str:
    """SHA-256 over nested containers of tensors and plain values, in order."""
    total = hashlib.sha256()

    def add(item: Any) -> None:
        if isinstance(item, torch.Tensor):
            total.update(f"{item.dtype}{tuple(item.shape)}".encode())
            total.update(item.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(item, dict):
            for key, inner in item.items():
                if not str(key).startswith(NOT_COMPARED):
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


def part_digests(folder: Path) -> dict[str, str]:
    """Digest of each part of a folder's only run of seed 0: checkpoint and metrics, without speed.

    Raises:
        ValueError: if there is not exactly one such run, or it is not FINISHED.
    """
    client = MlflowClient(absolute_uri(f"sqlite:///{folder}/mlruns/mlflow.db"))
    experiment = client.get_experiment_by_name(CONFIG["data"]["task"])
    runs = client.search_runs([experiment.experiment_id], "tags.seed = '0'")
    if [run.info.status for run in runs] != ["FINISHED"]:
        raise ValueError(f"{folder} holds runs {[run.info.status for run in runs]}")
    run_id, names = runs[0].info.run_id, sorted(runs[0].data.metrics)
    histories = {name: client.get_metric_history(run_id, name) for name in names}
    metrics = {name: [(m.step, m.value) for m in found] for name, found in histories.items()}
    steps = {f"steps of {name}": [m.step for m in found] for name, found in histories.items()}
    content = read_checkpoint_file(folder / "mlruns" / "checkpoints" / run_id / "last.ckpt")
    return {name: digest(part) for name, part in {**content, "metrics": metrics | steps}.items()}


class Kills:
    """Trials against one uninterrupted run.

    Args:
        folder: empty; every trial gets a folder in it.
        seed: of the random moments.
        options: more command line options for every process, such as ``["--data.num_envs", "4"]``.
    """

    def __init__(self, folder: Path, seed: int, options: Sequence[str] = ()) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.arguments = ["--config", str(folder / "config.yaml"), *options]
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
        with training(self._new("reference"), self.arguments) as run:
            if run.wait() != 0:
                raise ValueError(run.log[-500:])
        self.reference = part_digests(folder / "reference")

    def _new(self, name: str) -> Path:
        (self.folder / name).mkdir()
        return self.folder / name

    def trial(self, name: str, number: int, moment: Callable[[], bool] | None = None) -> list[str]:
        """Kill once and continue; names of the parts that differ from the uninterrupted run's.

        Args:
            name: of the trial.
            number: of the signal; after any but SIGKILL the process must end in an orderly way.
            moment: says when to send it; by default at a random moment of a random epoch.
        """
        folder = self._new(name)
        with training(folder, self.arguments) as run:
            try:
                run.wait_until(moment or self.within_an_epoch(folder), PATIENCE, every=0.0005)
            except ValueError as error:
                return [str(error)]
            run.process.send_signal(number)
            status = run.wait()
        if status != (-number if number == signal.SIGKILL else 128 + number):
            return [f"ended with status {status}, not by the signal"]
        with training(folder, [*self.arguments, "--ckpt_path", "last"]) as run:
            status = run.wait()
        return [f"continued, ended with status {status}"] if status else self.differing(folder)

    def within_an_epoch(self, folder: Path) -> Callable[[], bool]:
        """A condition that is true after a random share of a random epoch.

        The epoch before tells how long it takes. It is never the last epoch, which may be over
        before a signal arrives.
        """
        epoch = self.random.randrange(2, CONFIG["trainer"]["max_epochs"] - 1)
        share = self.random.random()
        saved: dict[int, float] = {}  # when each was seen first, by modification time

        def reached() -> bool:
            for last in folder.glob("mlruns/checkpoints/*/last.ckpt"):
                saved.setdefault(last.stat().st_mtime_ns, time.monotonic())
            if len(saved) < epoch:
                return False
            before, latest = [*saved.values()][-2:]
            return time.monotonic() - latest > share * (latest - before)

        return reached

    def while_writing(self, folder: Path) -> Callable[[], bool]:
        """A condition that is true while a random checkpoint is being written."""
        left = self.random.randrange(2, CONFIG["trainer"]["max_epochs"])
        was_there = False

        def reached() -> bool:
            nonlocal left, was_there
            is_there = any(folder.glob("mlruns/checkpoints/*/last.ckpt.draft"))
            left, was_there = left - (is_there and not was_there), is_there
            return is_there and left <= 0

        return reached

    def together(self) -> list[str]:
        """Begin two runs at once in an empty folder; parts of seed 0 that differ from it alone."""
        folder = self._new("together")
        with (
            training(folder, [*self.arguments, "--seed_everything", "0"]) as first,
            training(folder, [*self.arguments, "--seed_everything", "1"]) as second,
        ):
            statuses = [first.wait(), second.wait()]
        return [f"exit statuses {statuses}"] if any(statuses) else self.differing(folder)

    def differing(self, folder: Path) -> list[str]:
        found = part_digests(folder)
        return [k for k in self.reference | found if found.get(k) != self.reference.get(k)]


def run_kills(folder: Path, kills: int, seed: int, options: Sequence[str] = ()) -> dict[str, int]:
    """All trials, each reported in a line; the figures ``kills`` and ``identical_after_kill``.

    Every third process is killed while a checkpoint is being written.
    """
    folder.mkdir(exist_ok=True)
    trials, identical = Kills(folder, seed, options), 0
    for index in range(kills):
        name = f"kill{index}"
        writing = trials.while_writing(folder / name) if index % 3 == 0 else None
        different = trials.trial(name, signal.SIGKILL, writing)
        identical += not different
        print(f"kill {index}: {', '.join(different) or 'identical'}", flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        if different := trials.trial(number.name, number):
            raise ValueError(f"stopped by {number.name} and continued, these differ: {different}")
        print(f"{number.name}: identical", flush=True)
    if different := trials.together():
        raise ValueError(f"beside another run, these differ: {different}")
    print("two at once: identical", flush=True)
    return {"kills": kills, "identical_after_kill": identical}
