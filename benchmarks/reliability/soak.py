"""A long run on the real task, watched from outside: memory, handles, threads and speed."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import linregress

from benchmarks.reliability.process import PATIENCE, Training, training

REPLAY_CAPACITY = 25_000
"""Transitions. The buffer is full early, but only after figures and a video were made once, which
loads their libraries. From then on memory should stay flat."""
SAMPLE_SECONDS = 2.0
WARM_UP_SECONDS = 600.0
"""Time in which libraries are loaded, and the allocator's memory grows to its usual size."""
STOP_SECONDS = 10.0
"""Time within which a process must end after SIGTERM."""


class Sample(NamedTuple):
    """A process at one moment; ``env_steps`` are those of its latest evaluation."""

    seconds: float
    env_steps: int
    rss_mib: float
    handles: int
    threads: int


def take_sample(pid: int, env_steps: int) -> Sample:
    folder = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    rss = int(status["VmRSS"].split()[0]) / 1024
    handles = len(list((folder / "fd").iterdir()))
    return Sample(time.monotonic(), env_steps, rss, handles, int(status["Threads"]))


def watch(run: Training, seconds: float) -> list[Sample]:
    """Samples over ``seconds``, which begin when the replay buffer is full."""
    samples: list[Sample] = []

    def enough() -> bool:
        reports = run.reports
        if reports and reports[-1] >= REPLAY_CAPACITY:
            samples.append(take_sample(run.process.pid, reports[-1]))
        return bool(samples) and samples[-1].seconds - samples[0].seconds >= seconds

    run.wait_until(enough, seconds + 6 * PATIENCE, SAMPLE_SECONDS)
    return samples


def run_soak(
    folder: Path, minutes: float, config: Path, options: Sequence[str] = ()
) -> dict[str, Any]:
    """Figures of a run that lasts ``minutes`` after its replay buffer is full."""
    arguments = ["--config", str(config.absolute()), "--trainer.max_epochs", "1000000", *options]
    arguments += ["--data.replay_capacity", str(REPLAY_CAPACITY)]
    (folder / "run").mkdir()
    with training(folder / "run", arguments) as run:
        samples = watch(run, 60.0 * minutes)
        begin = time.monotonic()
        run.process.terminate()
        status, seconds = run.wait(), time.monotonic() - begin
    quarters = [round(i * (len(samples) - 1) / 4) for i in range(5)]
    return {
        "soak_minutes": minutes,
        "soak_memory_slope_mib_per_hour": round(memory_slope(samples), 2),
        "soak_memory_mib_at_quarters": [round(samples[i].rss_mib) for i in quarters],
        "soak_steps_per_second_first_and_last": first_and_last_speed(samples),
        "soak_file_handles_first_and_last": [samples[i].handles for i in (0, -1)],
        "soak_threads_first_and_last": [samples[i].threads for i in (0, -1)],
        "soak_seconds_to_stop": round(seconds, 1),
        "soak_stopped_in_order": status == 128 + signal.SIGTERM and seconds <= STOP_SECONDS,
    }


def memory_slope(samples: Sequence[Sample]) -> float:
    """MiB an hour by which the highest memory of a minute grows, after ``WARM_UP_SECONDS``.

    Memory goes up and down by 30 MiB within each iteration, as its batches are made and freed. So a
    line through all measurements would depend on how busy the machine was. Of a run shorter than
    twice ``WARM_UP_SECONDS``, the second half is taken.
    """
    begin, end = samples[0].seconds, samples[-1].seconds
    since = begin + min(WARM_UP_SECONDS, (end - begin) / 2)
    highest: dict[int, float] = {}
    for sample in samples:
        if sample.seconds >= since:
            minute = int((sample.seconds - since) // 60)
            highest[minute] = max(highest.get(minute, 0.0), sample.rss_mib)
    if len(highest) < 2:
        return 0.0
    return float(linregress([m / 60 for m in highest], list(highest.values())).slope)


def first_and_last_speed(samples: Sequence[Sample]) -> list[float]:
    """Env steps per second, evaluations included, over the first and the last quarter.

    Raises:
        ValueError: if fewer than two evaluations were reported.
    """
    reports = [b for a, b in pairwise(samples) if b.env_steps > a.env_steps]
    if len(reports) < 2:
        raise ValueError("too short: fewer than two evaluations after the buffer was full")
    quarter = max(1, (len(reports) - 1) // 4)
    pairs = ((reports[0], reports[quarter]), (reports[-1 - quarter], reports[-1]))
    return [round((b.env_steps - a.env_steps) / (b.seconds - a.seconds), 1) for a, b in pairs]
