"""Callbacks that time a run from inside; ``fit --trainer.callbacks`` takes them."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import lightning.pytorch as pl
import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.envs import EnvBase

from rher_pl.callbacks.recording import find_recorder
from rher_pl.collect.seeds import Stream, episode_seeds
from rher_pl.learner.engines import with_engine
from rher_pl.learner.td3 import TD3
from rher_pl.tasks import make_env
from rher_pl.training import module as training_module
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

EVERY = 2
"""Iterations between two measurements of the parts alone."""


class Clock(pl.Callback):
    """Seconds from the first iteration to the first evaluation, and the updates until then.

    Args:
        path: JSON file to write.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begin = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        found = {"seconds": time.perf_counter() - self.begin, "updates": int(pl_module.updates)}
        Path(self.path).write_text(json.dumps(found))


class Stopwatch(pl.Callback):
    """Times the iterations of a run, their parts, and two of these parts alone.

    Args:
        path: JSON file to write, see ``measure_iteration``.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.parts: dict[str, float] = defaultdict(float)
        self.iterations: list[float] = []
        self.environment: list[float] = []
        self.updates: list[float] = []
        self.ratios: list[float] = []
        self.aside = 0.0
        """Seconds spent on measuring parts alone, which are no part of the run."""
        self.threads = torch.get_num_threads()
        self.batches: Any = None
        """Batches of the latest updates."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(pl_module, RHERModule) and isinstance(data, RelayDataModule)
        assert data.loader is not None
        recorder = find_recorder(trainer)
        for owner, method, name in (
            (data.loader.collector, "collect", "collecting"),
            (data.loader, "sample", "sampling and relabelling"),
            (training_module, "encode", "encoding"),
            (pl_module.td3, "learn", "updating"),
            (pl_module, "validation_step", "evaluation"),
            (trainer, "save_checkpoint", "checkpoints"),
            (recorder, "on_train_batch_end", "recording"),
            (recorder, "on_validation_end", "recording"),
        ):
            self._time(owner, method, name)
        hp = data.hparams
        threads = hp["num_threads"] or self.threads
        self.env = make_env(data.task, hp["num_envs"], 0, threads)
        self.twin = make_twin(pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.mark = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
    ) -> None:
        now = time.perf_counter()
        if self.environment:  # after the first measurement, which warms up
            self.iterations.append(now - self.mark)
        if self.batches is not None and len(self.iterations) % EVERY == 0:
            self._measure_alone(trainer, int(pl_module.episodes), batch["episodes"]["action"])
            if self.iterations:
                alone = self.environment[-1] + self.updates[-1]
                self.ratios.append(self.iterations[-1] / alone)
            else:
                self.parts.clear()
                self.begin, self.aside = time.perf_counter(), 0.0
        self.mark = time.perf_counter()
        self.aside += self.mark - now

    def _measure_alone(self, trainer: pl.Trainer, episodes: int, actions: torch.Tensor) -> None:
        """Repeat the latest episodes, with actions [N, T, A], and then the latest updates."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        seed, latest = data.hparams["seed"], range(episodes - len(actions), episodes)
        begin = time.perf_counter()
        play(self.env, episode_seeds(seed, latest, Stream.ENVIRONMENT), actions)
        middle, in_run = time.perf_counter(), torch.get_num_threads()
        torch.set_num_threads(self.threads)  # also those that the run leaves to collection
        self.twin.learn(self.batches)
        torch.set_num_threads(in_run)
        self.environment.append(middle - begin)
        self.updates.append(time.perf_counter() - middle)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        end = time.perf_counter()  # after the last checkpoint, which follows on_train_end
        self.env.close()
        count = len(self.iterations)
        found = {
            "loop": median(self.iterations),
            "environment": median(self.environment),
            "updates": median(self.updates),
            "over_parts": median(self.ratios),
            "whole": (end - self.begin - self.aside) / count,
            "parts": {name: seconds / count for name, seconds in self.parts.items()},
        }
        Path(self.path).write_text(json.dumps(found))

    def _time(self, owner: Any, method: str, name: str) -> None:
        inner: Callable[..., Any] = getattr(owner, method)

        def timed(*arguments: Any, **options: Any) -> Any:
            if name == "updating":
                self.batches = arguments[0]
            begin = time.perf_counter()
            try:
                return inner(*arguments, **options)
            finally:
                self.parts[name] += time.perf_counter() - begin

        setattr(owner, method, timed)


def play(env: EnvBase, seeds: Sequence[int], actions: torch.Tensor) -> TensorDictBase:
    """Play episodes of these seeds with actions [N, T, A]; returns their last states [N]."""
    env.set_seeds(seeds)  # type: ignore[attr-defined]
    state = env.reset()
    for action in actions.unbind(1):
        state = env.step(TensorDict({"action": action}, env.batch_size))["next"]
    return state


def make_twin(module: RHERModule) -> TD3:
    """A second learner of the same kind: timing updates must not train the run's own."""
    with torch.random.fork_rng(devices=[]):  # the run's random numbers stay the same
        twin = RHERModule(**module.hparams).td3
    twin.compute_type = module.td3.compute_type
    return with_engine(twin, module.td3.engine)
