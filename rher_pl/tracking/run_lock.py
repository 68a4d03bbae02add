"""Which runs of a folder are being trained now, and which were abandoned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rher_pl.checkpoints.file import remove_drafts
from rher_pl.errors import require
from rher_pl.system import locked
from rher_pl.tracking.client import ENDED_BY, end_run

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

RUNNING = "RUNNING"
UNSENT = "UNSENT"
"""In a lock: the run was trained to its end, but the store has not got all of it."""
LOCK = "running.lock"


class RunLock:
    """Held by the process that trains a run; the system releases it however the process ends.

    The file ``running.lock`` in the run's checkpoint folder contains ``RUNNING``, or the final
    status if the store did not take it (``UNSENT`` in place of FINISHED, as the run then lacks what
    its end records), or nothing once the store has it.

    Args:
        folder: of the run's checkpoints; its name is the run's id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.run_id = folder, folder.name
        folder.mkdir(parents=True, exist_ok=True)
        self._file = open(folder / LOCK, "a+")  # noqa: SIM115

    def take(self) -> bool:
        """Take the lock; returns False if another process trains the run."""
        return locked(self._file)

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

    def withdraw(self) -> None:
        """Close the lock, and remove it and its folder if the folder holds nothing else."""
        self.close()
        if [path.name for path in self.folder.iterdir()] == [LOCK]:
            (self.folder / LOCK).unlink()
            self.folder.rmdir()


def lock_run(checkpoints: Path, run_id: str) -> RunLock:
    """The lock of a run that this process is going to train.

    Args:
        checkpoints: folder that holds the runs' checkpoint folders.
        run_id: of the run.

    Raises:
        ConfigError: if ``run_id`` cannot be an id, or if another process trains the run.
    """
    require(
        re.fullmatch(r"\w[\w-]*", run_id) is not None,
        f"recorder.run_id {run_id!r} is not the id of an MLflow run: copy it from the run",
    )
    lock = RunLock(checkpoints / run_id)
    taken = lock.take()
    if taken:
        remove_drafts(lock.folder)
    require(
        taken,
        f"run {run_id} is being trained by another process: wait for it or stop it, "
        "or leave out --ckpt_path to begin a run of its own",
    )
    return lock


def abandoned_runs(checkpoints: Path) -> Iterator[RunLock]:
    """Take the locks of runs whose process is gone before the store had their final status.

    Unfinished files of such a process are removed.

    Args:
        checkpoints: folder that holds the runs' checkpoint folders.
    """
    for file in sorted(checkpoints.glob(f"*/{LOCK}")):
        lock = RunLock(file.parent)
        try:
            if not lock.take():
                continue
            remove_drafts(file.parent)
            if lock.status:
                yield lock
        finally:
            lock.close()


def mark_abandoned_runs(client: MlflowClient, checkpoints: Path) -> None:
    """Set the true status of runs in this folder whose process is gone.

    Args:
        client: of the store.
        checkpoints: folder that holds the runs' checkpoint folders.
    """
    for lock in abandoned_runs(checkpoints):
        try:
            status = client.get_run(lock.run_id).info.status
        except Exception:  # of another store, or deleted: nothing to correct here
            continue
        if status != RUNNING or end_run(client, lock.run_id, *final_status(lock.status)):
            lock.write("")


def final_status(written: str) -> tuple[str, dict[str, str]]:
    """Status and tags of a run whose process is gone and left ``written`` in its lock."""
    causes = {RUNNING: "SIGKILL or crash", UNSENT: "MLflow away"}
    return ("KILLED", {ENDED_BY: causes[written]}) if written in causes else (written, {})
