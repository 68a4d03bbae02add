"""Which runs of a folder are being trained now, whatever became of the others."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

RUNNING = "RUNNING"


class RunLock:
    """Held by the process that trains a run; the system lets go of it however the process ends.

    The file ``running.lock`` in the run's checkpoint folder says ``RUNNING``, or the final status
    if the store could not be told, or nothing once the store knows the truth.

    Args:
        folder: of the run's checkpoints; its name is the run's id.
    """

    def __init__(self, folder: Path) -> None:
        self.run_id = folder.name
        folder.mkdir(parents=True, exist_ok=True)
        self._file = open(folder / "running.lock", "a+")  # noqa: SIM115

    def take(self) -> bool:
        """Whether no other process trains the run; then this one does."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @property
    def status(self) -> str:
        self._file.seek(0)
        return self._file.read().strip()

    def write(self, status: str) -> None:
        self._file.truncate(0)
        self._file.write(status)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def abandoned_runs(checkpoints: Path) -> Iterator[RunLock]:
    """Locks, now ours, of runs whose process is gone and whose end the store was not told.

    Args:
        checkpoints: folder that holds the runs' checkpoint folders.
    """
    for file in sorted(checkpoints.glob("*/running.lock")):
        lock = RunLock(file.parent)
        try:
            if lock.take() and lock.status:
                yield lock
        finally:
            lock.close()
