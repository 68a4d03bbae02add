"""A long run on the real task, watched from outside: memory, handles, threads and speed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import linregress

ROOT = Path(__file__).parents[1]
REPLAY_CAPACITY = 25_000
"""Transitions; the buffer is full early, but not before figures and a video were made once, which
load their libraries. From then on memory can be expected to be flat."""
SAMPLE_SECONDS = 2.0
STOP_SECONDS = 10.0
"""Within which a process must end after SIGTERM."""


@dataclass
class Sample:
    """Of the process at one moment."""

    seconds: float
    rss_mib: float
    handles: int
    threads: int


class Watched:
    """A training process, its samples, and when it reported how many env steps.

    Args:
        command: to run.
        folder: working directory.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        self.samples: list[Sample] = []
        self.reports: list[tuple[float, int]] = []
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if found := re.match(r"([\d,]+)(?:/[\d,]+)? env steps \|", line):
                self.reports.append((self.seconds, int(found[1].replace(",", ""))))
                print(line, end="", flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begin

    def watch(self, seconds: float) -> None:
        """Sample for so long after the buffer is full; less if the process ends."""
        full: float | None = None
        while self.process.poll() is None:
            if full is None and self.reports and self.reports[-1][1] >= REPLAY_CAPACITY:
                full = self.seconds
            if full is not None:
                self.samples.append(self.sample())
                if self.seconds - full >= seconds:
                    return
            time.sleep(SAMPLE_SECONDS)
        raise ValueError(f"the run ended with status {self.process.poll()}: {self.lines[-3:]}")

    def sample(self) -> Sample:
        folder = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        rss = int(status["VmRSS"].split()[0]) / 1024
        handles = len(list((folder / "fd").iterdir()))
        return Sample(self.seconds, rss, handles, int(status["Threads"]))

    def stop(self) -> tuple[int | None, float]:
        """SIGTERM; exit status, None if it had to be killed, and seconds until the end."""
        begin = time.monotonic()
        self.process.terminate()
        try:
            status = self.process.wait(6 * STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = None
        return status, time.monotonic() - begin


def run_soak(
    folder: Path, minutes: float, config: str, options: Sequence[str] = ()
) -> dict[str, Any]:
    """Figures of a run that lasts ``minutes`` after its replay buffer is full."""
    command = [sys.executable, "-m", "rher_pl.fit", "--config", str(Path(config).absolute())]
    command += ["--data.replay_capacity", str(REPLAY_CAPACITY)]
    command += ["--trainer.max_epochs", "1000000", *options]
    watched = Watched(command, folder)
    try:
        watched.watch(60.0 * minutes)
        status, seconds = watched.stop()
    finally:
        watched.process.kill()
    samples = watched.samples
    slope = linregress([s.seconds / 3600 for s in samples], [s.rss_mib for s in samples]).slope
    return {
        "soak_minutes": minutes,
        "soak_memory_slope_mib_per_hour": round(float(slope), 2),
        "soak_memory_mib_at_quarters": [
            round(samples[round(i * (len(samples) - 1) / 4)].rss_mib) for i in range(5)
        ],
        "soak_steps_per_second_first_and_last": first_and_last_speed(
            [report for report in watched.reports if report[0] >= samples[0].seconds]
        ),
        "soak_file_handles_first_and_last": [samples[i].handles for i in (0, -1)],
        "soak_threads_first_and_last": [samples[i].threads for i in (0, -1)],
        "soak_seconds_to_stop": round(seconds, 1),
        "soak_stopped_in_order": status == 128 + signal.SIGTERM and seconds <= STOP_SECONDS,
    }


def first_and_last_speed(reports: Sequence[tuple[float, int]]) -> list[float]:
    """Env steps per second, evaluations included, over the first and the last quarter.

    Args:
        reports: (seconds, env steps), at least two.

    Raises:
        ValueError: if there are fewer.
    """
    if len(reports) < 2:
        raise ValueError("too short: fewer than two evaluations after the buffer was full")
    quarter = max(1, (len(reports) - 1) // 4)
    pairs = ((reports[0], reports[quarter]), (reports[-1 - quarter], reports[-1]))
    return [round((b[1] - a[1]) / (b[0] - a[0]), 1) for a, b in pairs]
