"""A training as a process of its own, watched from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPORT = re.compile(r"^([\d,]+)(?:/[\d,]+)? env steps \|", re.MULTILINE)
PATIENCE = 600.0
"""Seconds that no training of this benchmark takes, even on a busy machine."""

TINY: dict[str, Any] = {
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
    "trainer": {"max_epochs": 7, "precision": "32-true"},
}
"""A config with a second of training in it."""


class Training:
    """``python -m rher_pl.fit`` in a folder; what it prints goes to a file beside the folder.

    Args:
        folder: working directory.
        arguments: of the command line.
    """

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self._log = folder.with_suffix(".txt")  # not in the folder, whose disk may be full
        path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
        with open(self._log, "a") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rher_pl.fit", *arguments],
                cwd=folder,
                stdout=output,
                stderr=output,
                env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            )

    @property
    def log(self) -> str:
        """All that trainings in this folder have printed."""
        return self._log.read_text()

    @property
    def reports(self) -> list[int]:
        """Env steps at each evaluation that was reported."""
        return [int(steps.replace(",", "")) for steps in REPORT.findall(self.log)]

    def wait_until(self, reached: Callable[[], bool], seconds: float, every: float) -> None:
        """Call ``reached`` every ``every`` seconds until it is true.

        Raises:
            ValueError: if the process ends before.
            TimeoutError: if it takes longer.
        """
        deadline = time.monotonic() + seconds
        while not reached():
            if (status := self.process.poll()) is not None:
                raise ValueError(f"the run ended with status {status}: {self.log[-500:]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not reached within {seconds} s: {self.log[-500:]}")
            time.sleep(every)

    def wait(self) -> int:
        """Exit status.

        Raises:
            subprocess.TimeoutExpired: if it hangs.
        """
        return self.process.wait(PATIENCE)


@contextmanager
def training(folder: Path, arguments: Sequence[str]) -> Iterator[Training]:
    """A training; if it still runs when the block is left, it is killed."""
    run = Training(folder, arguments)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.wait()
