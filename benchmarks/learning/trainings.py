"""Trains seeds by ``python -m rher_pl.fit``, several side by side, and keeps what they record."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from benchmarks.learning.records import Records, read_run
from benchmarks.learning.settings import Settings, differing
from rher_pl.errors import ConfigError


class Trainings:
    """The seeds of one config.

    Args:
        label: shown before each line.
        records: what is recorded of its seeds.
        settings: resolved.
        scratch: folder for the runs; a seed is continued from there.
        env_steps: budget of each seed, rounded up to whole epochs.

    Raises:
        ConfigError: if earlier records were made with other settings.
    """

    def __init__(
        self, label: str, records: Records, settings: Settings, scratch: Path, env_steps: int
    ) -> None:
        self.label, self.records, self.settings = label, records, settings
        self.scratch, self.config = scratch, scratch / "settings.yaml"
        self.epochs = math.ceil(env_steps / settings["data"]["eval_every_env_steps"])
        changed = differing(settings, records.settings) if records.read() else []
        if changed:
            raise ConfigError(
                f"{records.path} was recorded with other settings ({', '.join(changed)}): "
                "start over with --fresh, or record elsewhere with --results"
            )
        before = yaml.safe_load(self.config.read_text()) if self.config.is_file() else {}
        if differing(settings, before):
            shutil.rmtree(scratch, ignore_errors=True)  # runs under other settings
        scratch.mkdir(parents=True, exist_ok=True)
        self.config.write_text(yaml.safe_dump(settings, sort_keys=False))

    def is_complete(self, seed: int) -> bool:
        return len(self.records.read(seed)) >= self.epochs

    def command(self, seed: int) -> list[str]:
        """The command that trains a seed, or continues it."""
        command = [sys.executable, "-m", "rher_pl.fit", "--config", str(self.config)]
        command += ["--seed_everything", str(seed), "--trainer.max_epochs", str(self.epochs)]
        command += ["--recorder.folder", str(self._folder(seed)), "--video.every_evaluations", "0"]
        command += ["--until.success", "null", "--until.episodes", "0"]  # spend the whole budget
        return command + (["--ckpt_path", "last"] if self._checkpoint(seed) else [])

    def keep(self, seed: int, labels: dict[str, Any]) -> None:
        """Make the records of a seed those of its checkpoint; without one, there are none."""
        checkpoint = self._checkpoint(seed)
        with suppress(ConfigError):  # a damaged one: fit falls back to the one before
            made = read_run(checkpoint, labels | {"seed": seed}) if checkpoint else []
            if made or self.records.read(seed):
                self.records.update(seed, made, self.settings)

    def _folder(self, seed: int) -> Path:
        return self.scratch / f"seed{seed}"

    def _checkpoint(self, seed: int) -> Path | None:
        """The checkpoint that fit continues from, if there is any."""
        found = self._folder(seed).glob("checkpoints/*/last.ckpt")
        return max(found, key=lambda path: path.stat().st_mtime, default=None)


class Pool:
    """Trains side by side, ``jobs`` at a time."""

    def __init__(self, jobs: int) -> None:
        from rher_pl.tracking.provenance import commit_label, hardware, versions

        self.jobs, self.stopping = jobs, False
        self.processes: set[subprocess.Popen[str]] = set()
        gpu = {key: name for key, name in hardware().items() if key == "gpu"}
        self.labels = {"commit": commit_label(), "versions": versions() | gpu}

    def run(self, queue: Sequence[tuple[Trainings, int]]) -> list[str]:
        """Train (config, seed) pairs in order; a line for each that failed.

        Raises:
            KeyboardInterrupt: on SIGINT or SIGTERM, after all trainings have ended in order.
        """
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        with ThreadPoolExecutor(self.jobs) as pool:
            futures = [pool.submit(self.train, trainings, seed) for trainings, seed in queue]
            try:
                return [problem for future in futures if (problem := future.result())]
            except KeyboardInterrupt:
                self.stopping = True
                for process in tuple(self.processes):
                    process.terminate()
                raise
            finally:
                pool.shutdown(cancel_futures=True)
                signal.signal(signal.SIGTERM, previous)

    def train(self, trainings: Trainings, seed: int) -> str | None:
        """Bring one seed to its budget; None, or what went wrong."""
        name, log = f"{trainings.label} seed {seed}", trainings.scratch / f"seed{seed}.txt"
        if not trainings.is_complete(seed):
            trainings.keep(seed, self.labels)
        done = len(trainings.records.read(seed))
        print(f"{name}: {done} of {trainings.epochs} evaluations are recorded", flush=True)
        if done >= trainings.epochs or self.stopping:
            return None
        process = subprocess.Popen(
            trainings.command(seed),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C reaches this process only, which stops the others
        )
        self.processes.add(process)
        assert process.stdout is not None
        with open(log, "a") as file:
            for line in process.stdout:
                print(line, end="", file=file, flush=True)
                if " env steps | " in line:
                    print(f"{name}: {line}", end="", flush=True)
                    trainings.keep(seed, self.labels)
        status = process.wait()
        self.processes.discard(process)
        trainings.keep(seed, self.labels)
        if status == 0 or self.stopping:
            return None
        said = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
        reason = said[-1].removeprefix("error: ") if said else f"exit status {status}"
        return f"{name} failed: {reason} (log: {log})"
