"""One training of a sweep: ``python -m rher_pl.fit`` in a process of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import rher_pl
from rher_pl.checkpoints.history import Row, read_history
from rher_pl.errors import ConfigError
from rher_pl.sweep.place import Place, Trial

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
"""A trial has one core, and the number of threads decides how sums are rounded."""
WHOLE = ("--until.success", "null", "--video.every_evaluations", "0")
"""Whole trainings, whose curves can be compared; no videos."""
STOP_SECONDS = 20.0
"""More than ``fit`` takes after SIGTERM to save, or to give up by itself."""
LOCK_SECONDS = 120.0
"""A machine that is lost may hold its lock on the shared folder until its lease ends."""
SET_DEATH_SIGNAL = 1
"""``PR_SET_PDEATHSIG`` of prctl(2)."""
LIBC = ctypes.CDLL(None)


class Training:
    """Begins, or continues, the ``fit`` of a trial, and reads its progress from its checkpoint.

    The process saves and ends when its parent process ends, in whatever way that ends.

    Args:
        place: of the sweep.
        trial: to train.
        run_id: MLflow run that a new training records to; a checkpoint knows its own.
    """

    def __init__(self, place: Place, trial: Trial, run_id: str) -> None:
        self.place, self.trial, self.run_id = place, trial, run_id
        self.folder = place.of(trial)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self._seen: tuple[int, int] | None = None
        self._rows: list[Row] = []

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoints" / self.run_id / "last.ckpt"

    @property
    def is_complete(self) -> bool:
        """Whether it has all its evaluations, and ``fit`` ended with success."""
        return len(self.rows()) >= self.place.epochs and (self.folder / "done").is_file()

    def rows(self) -> list[Row]:
        """Its evaluations so far, the earlier ones of a training that is continued included."""
        try:
            info = self.checkpoint.stat()
            if (seen := (info.st_ino, info.st_mtime_ns)) != self._seen:
                self._rows, self._seen = read_history(self.checkpoint), seen
        except (ConfigError, OSError):
            pass  # none yet, or damaged: `fit` goes back to the one before, and says so
        return self._rows

    def begin(self) -> None:
        """Start ``fit``, once no other process, such as one on a lost machine, holds the run."""
        wait_for_lock(self.checkpoint.with_name("running.lock"))
        package = str(Path(rher_pl.__file__).parents[1])
        paths = [package, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
                start_new_session=True,  # Ctrl-C is for the sweep, which stops its trials
                preexec_fn=end_with_parent,
            )

    def command(self) -> list[str]:
        """The command that trains, or continues, the trial."""
        place, options = self.place, self.trial.options
        command = [sys.executable, "-m", "rher_pl.fit", "--config", str(place.settings)]
        for module in place.imports:
            command += ["--import", module]
        command += [f"--{name}={value}" for name, value in options.items()]
        command += ["--seed_everything", str(self.trial.seed), *WHOLE]
        command += ["--recorder.folder", str(self.folder), "--recorder.run_name", self.trial.label]
        command += ["--recorder.tracking_uri", place.tracking_uri]
        command += ["--recorder.experiment", place.experiment]
        if self.checkpoint.is_file():
            return [*command, "--ckpt_path", "last"]
        return [*command, "--recorder.run_id", self.run_id]

    def ended(self) -> int | None:
        """Exit status, None while it runs; a whole training is marked as done."""
        assert self.process is not None
        status = self.process.poll()
        if status == 0:
            (self.folder / "done").touch()
        return status

    def stop(self) -> None:
        """Let it save and end."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def reason(self) -> str:
        """The last error in its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.is_file() else []
        told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return told[-1] if told else f"it ended without a message, see {self.log}"


def end_with_parent() -> None:
    """In a new process: ask for SIGTERM when the parent process ends."""
    LIBC.prctl(SET_DEATH_SIGNAL, signal.SIGTERM)


def wait_for_lock(path: Path, seconds: float = LOCK_SECONDS) -> None:
    """Wait until no process trains the run; after ``seconds`` it is left to ``fit`` to refuse."""
    import fcntl

    def is_free(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    if not path.is_file():
        return
    until = time.monotonic() + seconds
    with open(path, "a+") as file:
        while not is_free(file) and time.monotonic() < until:
            time.sleep(0.2)
