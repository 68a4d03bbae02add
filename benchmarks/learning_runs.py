"""Brings the seeds of a learning benchmark to their budget, several side by side."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.learning_worker import can_resume
from benchmarks.records import Record, Records
from rher_pl.checkpoints.file import read_checkpoint_file


def make_progress() -> Progress:
    return Progress(
        TextColumn("{task.fields[label]}"),
        BarColumn(),
        TextColumn("{task.completed:,}/{task.total:,} env steps  {task.fields[note]}"),
        TimeElapsedColumn(),
        console=Console(soft_wrap=True, highlight=False),
    )


class Runs:
    """One worker process per seed.

    Args:
        name: of the benchmark.
        records: its file.
        scratch: folder for checkpoints and logs.
        env_steps: budget of each seed.
        progress: shown beside other benchmarks; without it, this is the only one.
    """

    def __init__(
        self,
        name: str,
        records: Records,
        scratch: Path,
        env_steps: int,
        progress: Progress | None = None,
    ) -> None:
        self.name, self.records, self.scratch, self.env_steps = name, records, scratch, env_steps
        self.workers: set[subprocess.Popen[str]] = set()
        self.stopping = False
        self.prefix = "" if progress is None else f"{name} "
        self.progress = make_progress() if progress is None else progress

    def stop(self) -> None:
        """End all workers; none starts any more."""
        self.stopping = True
        for worker in tuple(self.workers):
            worker.terminate()

    def train_seed(self, seed: int) -> str | None:
        """Train one seed from where it stands; None, or what went wrong."""
        folder = self.scratch / f"seed{seed}"
        folder.mkdir(exist_ok=True)
        with _lock(folder) as lock:
            if lock is None:
                return f"{self.prefix}seed {seed} is being trained by another process"
            note = self.prepare(seed, folder / "last.ckpt")
            done = self.records.env_steps(seed)
            label, shown = f"{self.prefix}seed {seed}", min(done, self.env_steps)
            task = self.progress.add_task(
                "", total=self.env_steps, completed=shown, label=label, note=note
            )
            self.progress.console.print(f"{label}: {note}")
            return None if done >= self.env_steps else self._run(seed, folder, task, lock)

    def prepare(self, seed: int, checkpoint: Path) -> str:
        """Make records and checkpoint agree; says in a word what will happen.

        Records after the checkpoint are dropped because they are about to be made again. Without
        a checkpoint that can be continued, everything of the seed is.
        """
        recorded = self.records.env_steps(seed)
        if recorded >= self.env_steps:
            return "complete"
        if recorded and can_resume(checkpoint):
            reached = read_checkpoint_file(checkpoint)["rher_pl"]["env_steps"]
            if reached <= recorded:
                self._drop(seed, after=reached)
                return f"resumes at {reached:,} env steps"
        checkpoint.unlink(missing_ok=True)
        dropped = self._drop(seed)
        if dropped:
            return f"starts over, {dropped} evaluations dropped: no checkpoint to continue from"
        return "starts"

    def _drop(self, seed: int, after: int = -1) -> int:
        return self.records.drop(lambda r: r["seed"] == seed and r["env_steps"] > after)

    def _run(self, seed: int, folder: Path, task: TaskID, lock: int) -> str | None:
        settings, log = folder / "settings.yaml", folder / "log.txt"
        settings.write_bytes(self.records.path.with_suffix(".yaml").read_bytes())
        command = [sys.executable, "-m", "benchmarks.learning_worker", "--config", str(settings)]
        command += ["--name", self.name, "--seed", str(seed), "--env_steps", str(self.env_steps)]
        command += ["--records", str(self.records.path)]
        command += ["--checkpoint", str(folder / "last.ckpt")]
        with open(log, "w") as errors:
            worker = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                pass_fds=(lock,),  # held until the worker ends, even if this process is killed
                start_new_session=True,  # Ctrl-C is for this process, which stops its workers
            )
        self.workers.add(worker)
        if self.stopping:
            worker.terminate()
        assert worker.stdout is not None
        for line in worker.stdout:
            if line.startswith("{"):
                self._show(json.loads(line), task)
        self.workers.discard(worker)
        if worker.wait() == 0 or self.stopping:
            return None
        lines = log.read_text().splitlines()
        faults = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
        reason = faults[-1] if faults else f"exit status {worker.returncode}"
        return f"{self.prefix}seed {seed} failed: {reason} (log: {log})"

    def _show(self, record: Record, task: TaskID) -> None:
        last = next(reversed(record["success_per_subtask"]))
        innr = record["metrics"].get(f"relay/innr_share/{last}")
        self.progress.update(task, completed=record["env_steps"], note=f"{record['success']:.0%}")
        self.progress.console.print(
            f"{self.prefix}seed {record['seed']}  env_steps {record['env_steps']:>9,}  "
            f"success {record['success']:.2f}  INNR {'-' if innr is None else f'{innr:.2f}'}  "
            f"{record['seconds']:,.0f} s"
        )


def train_all(queue: Sequence[tuple[Runs, int]], jobs: int) -> list[str]:
    """Train (benchmark, seed) pairs, ``jobs`` at a time; returns a line for each that failed.

    All benchmarks share one progress display.
    """
    if not queue:
        return []
    with queue[0][0].progress, ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(runs.train_seed, seed) for runs, seed in queue]
        try:
            return [problem for future in futures if (problem := future.result())]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for runs, _ in queue:
                runs.stop()
            raise


@contextmanager
def _lock(folder: Path) -> Iterator[int | None]:
    """A file descriptor that holds the folder, or None if another process does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        yield None
    finally:
        os.close(descriptor)
