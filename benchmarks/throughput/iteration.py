"""What an iteration of a real run costs beside its environment steps and its updates."""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console
from tensordict import TensorDict

from benchmarks.learning_settings import build
from benchmarks.throughput.updates import ours, random_samples
from rher_pl.callbacks.checkpoint import Checkpoints
from rher_pl.callbacks.guard import FiniteGuard
from rher_pl.callbacks.progress import ProgressLine
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.callbacks.stopping import StopOnSignal
from rher_pl.callbacks.throughput import Throughput
from rher_pl.callbacks.warm_up import WarmUp
from rher_pl.checkpoint_io import SealedCheckpointIO
from rher_pl.cli import default_precision
from rher_pl.tasks import get_task

EVERY = 4
"""Iterations between two measurements of the parts alone."""


@dataclass(frozen=True)
class Iteration:
    """Seconds in an iteration of a run.

    Args:
        loop: from one to the next where no evaluation lies between, median.
        environment, updates: its env steps and its updates, done alone in the same run, medians.
        whole: everything in the run, evaluations included, over its iterations.
        parts: what the run itself spends, by name, over its iterations. What goes on in a thread
            beside the updates counts only as far as it is waited for.
    """

    loop: float
    environment: float
    updates: float
    whole: float
    parts: dict[str, float]

    @property
    def over_parts(self) -> float:
        """The iteration over environment plus updates alone."""
        return self.loop / (self.environment + self.updates)


def measure_iteration(
    config: Path, folder: Path, epochs: int, overrides: tuple[str, ...] = ()
) -> Iteration:
    """Train for some epochs with everything that a run has, and look at where time goes.

    Args:
        config: of the trainer.
        folder: where the run is recorded.
        epochs: to train, each with an evaluation.
        overrides: further options, as on the command line.
    """
    cli: Any = build(["--config", str(config), *overrides], seed=0)
    silent, stopwatch = Console(file=io.StringIO()), Stopwatch()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        precision=default_precision(),  # type: ignore[arg-type]
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[
            Throughput(),
            RunRecorder(str(folder)),
            FiniteGuard(),
            WarmUp(),
            ProgressLine(silent),
            stopwatch,
            Checkpoints(),
            StopOnSignal(),
        ],
        plugins=[SealedCheckpointIO()],
    )
    trainer.fit(cli.model, cli.datamodule)
    return stopwatch.result()


class Stopwatch(pl.Callback):
    """Times the iterations of a run, what they consist of, and two of these parts alone."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = defaultdict(float)
        self.iterations: list[float] = []
        self.environment: list[float] = []
        self.updates: list[float] = []
        self.aside = 0.0
        """Seconds of measuring alone, which are no part of the run."""
        self.threads = torch.get_num_threads()

    def result(self) -> Iteration:
        count, alone = len(self.iterations), (self.environment, self.updates)
        return Iteration(
            median(self.iterations),
            *(median(seconds) for seconds in alone),
            whole=(self.end - self.begin - self.aside) / count,
            parts={name: seconds / count for name, seconds in self.parts.items()},
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.loader, hp = data.loader, data.hparams
        self._time(self.loader.collector, "collect", "collecting")
        self._time(self.loader, "sample", "sampling and relabelling")
        self._time(pl_module, "encode", "encoding")
        self._time(pl_module, "update", "updating")
        self._time(pl_module, "validation_step", "evaluation")
        self._time(trainer, "save_checkpoint", "checkpoints")
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, RunRecorder):
                self._time(callback, "on_train_batch_end", "recording")
                self._time(callback, "on_validation_end", "recording")
        threads = hp["num_threads"] or self.threads
        self.env = get_task(hp["task"]).make_env(hp["num_envs"], 0, threads)
        self.twin = ours(dict(pl_module.hparams), default_precision(), pl_module.hparams.compiled)
        self.samples = random_samples(self.twin, sum(data.batch_sizes), self.loader.updates)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.mark = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: dict[str, TensorDict],
        batch_idx: int,
    ) -> None:
        now = time.perf_counter()
        if self.environment:  # not before it has been warmed up
            self.iterations.append(now - self.mark)
        if batch["updates"] is not None and len(self.iterations) % EVERY == 0:
            self._measure_alone()
            if not self.iterations:
                self.parts.clear()
                self.begin, self.aside = time.perf_counter(), 0.0
        self.mark = time.perf_counter()
        self.aside += self.mark - now

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.end = time.perf_counter()
        self.env.close()

    def _measure_alone(self) -> None:
        self.loader.collector.state_dict()  # waits for episodes under way
        begin = time.perf_counter()
        self.env.reset()
        for _ in range(self.env.max_episode_steps):
            action = torch.rand(self.env.action_spec.shape) * 2.0 - 1.0
            self.env.step(TensorDict({"action": action}, self.env.batch_size))
        middle, in_run = time.perf_counter(), torch.get_num_threads()
        torch.set_num_threads(self.threads)  # all of them, whatever the run leaves to others
        for sample in self.samples:
            self.twin.update(sample)
        torch.set_num_threads(in_run)
        self.environment.append(middle - begin)
        self.updates.append(time.perf_counter() - middle)

    def _time(self, owner: Any, method: str, name: str) -> None:
        inner: Callable = getattr(owner, method)

        def timed(*arguments: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return inner(*arguments, **options)
            finally:
                self.parts[name] += time.perf_counter() - begin

        setattr(owner, method, timed)
