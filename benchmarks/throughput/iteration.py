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
from benchmarks.throughput.updates import begin_learning, ours, random_samples
from rher_pl.callbacks.checkpoint import Checkpoints
from rher_pl.callbacks.garbage import GarbageCollection
from rher_pl.callbacks.guard import FiniteGuard
from rher_pl.callbacks.progress import ProgressLine
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.callbacks.stopping import StopOnSignal
from rher_pl.callbacks.throughput import Throughput
from rher_pl.callbacks.warm_up import WarmUp
from rher_pl.checkpoints.file import SealedCheckpointIO
from rher_pl.learner.precision import default_precision
from rher_pl.tasks import get_task

EVERY = 2
"""Iterations between two measurements of the parts alone."""

REPLAYED_SEED = 3_000_000
"""Episodes of the environment alone start from this seed and those after it."""


@dataclass(frozen=True)
class Iteration:
    """Seconds in an iteration of a run.

    Args:
        loop: from one to the next where no evaluation lies between, median.
        environment, updates: its env steps and its updates, done alone in the same run, medians.
        over_parts: the iteration over environment plus updates alone: the median over pairs that
            are next to each other in time, as the machine is not equally fast all the time.
        whole: everything in the run, evaluations included, over its iterations.
        parts: what the run itself spends, by name, over its iterations. What goes on in a thread
            beside the updates counts only as far as it is waited for.
    """

    loop: float
    environment: float
    updates: float
    over_parts: float
    whole: float
    parts: dict[str, float]


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
            GarbageCollection(),
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
        self.ratios: list[float] = []
        self.aside = 0.0
        """Seconds of measuring alone, which are no part of the run."""
        self.threads = torch.get_num_threads()

    def result(self) -> Iteration:
        count = len(self.iterations)
        measured = (self.iterations, self.environment, self.updates, self.ratios)
        return Iteration(
            *(median(values) for values in measured),
            whole=(self.end - self.begin - self.aside) / count,
            parts={name: seconds / count for name, seconds in self.parts.items()},
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.loader, hp = data.loader, data.hparams
        self._time(self.loader.collector, "collect", "collecting")
        self._time(self.loader, "sample", "sampling and relabelling")
        self._time(pl_module, "encode", "encoding")
        self._time(pl_module, "learn", "updating")
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
        begin_learning(self.twin, self.samples)

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
            if self.iterations:
                alone = self.environment[-1] + self.updates[-1]
                self.ratios.append(self.iterations[-1] / alone)
            else:
                self.parts.clear()
                self.begin, self.aside = time.perf_counter(), 0.0
        self.mark = time.perf_counter()
        self.aside += self.mark - now

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.end = time.perf_counter()  # after the last checkpoint, which follows on_train_end
        self.env.close()

    def _measure_alone(self) -> None:
        actions = self._act()
        begin = time.perf_counter()
        self.env.reset()
        for action in actions:
            self.env.step(TensorDict({"action": action}, self.env.batch_size))
        middle, in_run = time.perf_counter(), torch.get_num_threads()
        torch.set_num_threads(self.threads)  # all of them, whatever the run leaves to others
        self.twin.learn(self.samples)
        torch.set_num_threads(in_run)
        self.environment.append(middle - begin)
        self.updates.append(time.perf_counter() - middle)

    def _act(self) -> list[torch.Tensor]:
        """What the run's policy does in episodes that the environment is then ready to repeat.

        Pushing takes a simulator longer than random actions in the air do.
        """
        collector, env = self.loader.collector, self.env
        collector.state_dict()  # waits for episodes under way
        behavior_policy, actions = collector.behavior_policy, []
        randomness = behavior_policy.generator.get_state()
        env.set_seeds(range(REPLAYED_SEED, REPLAYED_SEED + env.num_envs))
        state = env.reset()
        for _ in range(env.max_episode_steps):
            state = behavior_policy(state)
            actions.append(state["action"])
            state = env.step(state)["next"]
        behavior_policy.generator.set_state(randomness)
        env.set_seeds(range(REPLAYED_SEED, REPLAYED_SEED + env.num_envs))
        return actions

    def _time(self, owner: Any, method: str, name: str) -> None:
        inner: Callable = getattr(owner, method)

        def timed(*arguments: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return inner(*arguments, **options)
            finally:
                self.parts[name] += time.perf_counter() - begin

        setattr(owner, method, timed)
