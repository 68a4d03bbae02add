"""Whole runs of ``rher_pl.fit``, timed from inside and from outside."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from rher_pl.errors import ConfigError

MODULE = "benchmarks.throughput.stopwatch"


def _timed_by(callback: str, config: Path, options: Sequence[str]) -> dict[str, Any]:
    """What a callback of :mod:`benchmarks.throughput.stopwatch` measured in a run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        watch = [f"--trainer.callbacks+={MODULE}.{callback}", f"--trainer.callbacks.path={path}"]
        time_command(config, Path.cwd(), [*watch, *options])
        return dict(json.loads(path.read_text()))


def measure_iteration(config: Path, epochs: int, options: Sequence[str] = ()) -> dict[str, Any]:
    """Train for some epochs with everything that a run has, and see where time goes.

    Returns:
        Seconds of an iteration. ``loop``: from one to the next with no evaluation in between,
        median. ``environment``, ``updates``: its env steps and its updates, done alone in the same
        run, medians. ``over_parts``: the iteration divided by the sum of these two, median over
        measurements made one after the other, as the machine's speed varies. ``whole``: the whole
        run, evaluations included, divided by its iterations. ``parts``: what the run itself
        spends, by name; work in a thread beside the updates counts only while it is waited for.
    """
    return _timed_by("Stopwatch", config, ["--trainer.max_epochs", str(epochs), *options])


def train_ours(
    config: Path, length: int, episodes: int, updates_per_episode: int, options: Sequence[str] = ()
) -> tuple[float, int]:
    """Seconds of a training of ``episodes`` of ``length`` env steps, and the number of updates.

    Recording is part of it; start-up, building an engine and the evaluation that follows are not.
    """
    fixed = ["--data.random_episodes", "0", "--trainer.max_epochs", "1"]
    fixed += ["--data.updates_per_episode", str(updates_per_episode)]
    fixed += ["--data.eval_every_env_steps", str(episodes * length), "--data.eval_episodes", "1"]
    found = _timed_by("Clock", config, [*fixed, *options])
    return float(found["seconds"]), int(found["updates"])


def compare_checkouts(config: Path, other: Path, epochs: int, rounds: int) -> dict[str, Any]:
    """The whole command in this checkout and in another one, in turn.

    Args:
        config: path in both checkouts, relative to each.
        other: folder of the other checkout.
        epochs: of each run.
        rounds: pairs of runs, after one pair that warms caches.

    Returns:
        ``command_seconds`` and ``epoch_seconds`` of ``here`` and ``there`` by round, and the median
        over pairs of here over there.
    """
    seconds: dict[str, dict[str, list[float]]] = {
        kind: {"here": [], "there": []} for kind in ("command_seconds", "epoch_seconds")
    }
    for number in range(rounds + 1):
        for name, place in (("here", Path.cwd()), ("there", other)):
            length = ["--trainer.max_epochs", str(epochs)]
            whole, epoch = time_command(config, place.resolve(), length)
            if number > 0:
                seconds["command_seconds"][name].append(whole)
                seconds["epoch_seconds"][name].append(epoch)
    ratios = {
        f"{kind.removesuffix('_seconds')}_here_over_there": median(
            here / there for here, there in zip(found["here"], found["there"], strict=True)
        )
        for kind, found in seconds.items()
    }
    return {"other": str(other), **seconds, **ratios}


def time_command(config: Path, checkout: Path, options: Sequence[str]) -> tuple[float, float]:
    """Seconds of ``rher_pl.fit``, and the median from one reported evaluation to the next.

    Raises:
        ConfigError: if it fails.
    """
    command = [sys.executable, "-m", "rher_pl.fit", "--config", str(config)]
    command += ["--video.every_evaluations", "0", "--until.success", "null", *options]
    begin, printed, reports = time.perf_counter(), [], []
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*command, "--recorder.folder", folder],
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": str(checkout)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if " env steps | " in line:
                reports.append(time.perf_counter())
        if process.wait() != 0:
            raise ConfigError(f"in {checkout}: {''.join(printed)[-500:]}")
    epochs = [later - sooner for sooner, later in pairwise(reports)]
    return time.perf_counter() - begin, median(epochs or [math.nan])
