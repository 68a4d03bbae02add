"""Updates per second: of each engine of ours, and of TorchRL's loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.learning.settings import Settings
from benchmarks.throughput.baselines import TorchRLTD3
from benchmarks.throughput.rounds import Contestant, Rate, interleave
from rher_pl.choices import LINKED, Engine
from rher_pl.errors import ConfigError
from rher_pl.learner.batches import random_batches
from rher_pl.learner.engines import with_engine
from rher_pl.learner.precision import compute_type
from rher_pl.learner.td3 import TD3
from rher_pl.training.module import RHERModule

ENGINES = {
    "eager_fp32": Engine.eager,
    "eager": Engine.eager,
    "compile": Engine.compile,
    "native": Engine.native,
}
"""Rows of ours with their engine; the first one computes in float32."""


def make_learner(settings: Settings, engine: Engine, precision: str) -> TD3:
    """The learner of a run with these settings.

    Raises:
        ConfigError: this machine cannot have the engine.
    """
    torch.manual_seed(0)
    td3 = RHERModule(**model_options(settings)).td3
    td3.compute_type = compute_type(precision)
    return with_engine(td3, engine)


def model_options(settings: Settings) -> dict[str, Any]:
    """Options of ``RHERModule``, including those that follow options of other sections."""
    linked = {}
    for target, source in LINKED.items():
        (section, name), (other, key) = target.split("."), (*source.split("."), "")[:2]
        if section == "model":
            linked[name] = settings[other][key]
    return settings["model"] | linked


def precision_of(settings: Settings) -> str:
    return str(settings["trainer"]["precision"])


def make_batches(learner: TD3, updates: int, batch_size: int) -> dict[str, Tensor]:
    """Encoded batches [U, B] in the shapes of real ones."""
    generator = torch.Generator().manual_seed(0)
    return random_batches(learner.sizes, updates, batch_size, generator)


def chosen_engine(settings: Settings) -> str:
    """Row of the engine that ``auto`` takes on this machine."""
    return str(make_learner(settings, Engine.auto, precision_of(settings)).engine.value)


def measure_updates(
    settings: Settings,
    batch_size: int,
    threads: Sequence[int],
    updates: int,
    rounds: int,
) -> dict[int, dict[str, Rate]]:
    """Rates by number of torch threads and contestant, all measured in turns.

    ``ours`` is the row of the engine that a run takes. The first round, which is not timed, builds
    what an engine needs to have built: ``compile`` takes a minute or so. An engine that this
    machine cannot have is left out.

    Args:
        settings: of the run.
        batch_size: samples in a mixed batch.
        threads: numbers of torch threads to try.
        updates: in a round.
        rounds: timed ones.
    """
    before, contestants = torch.get_num_threads(), {}
    for count in threads:
        for row in (*ENGINES, "td3loss"):
            try:
                learn = make_contestant(settings, row, batch_size, updates)
            except ConfigError as error:
                print(f"{row} is left out: {error}")
                continue
            contestants[f"{row} {count}"] = _with_threads(count, learn, updates)
    try:
        rates = interleave(contestants, rounds)
    finally:
        torch.set_num_threads(before)
    engine = chosen_engine(settings)
    found: dict[int, dict[str, Rate]] = {count: {} for count in threads}
    for name, rate in rates.items():
        row, _, count = name.partition(" ")
        found[int(count)][row] = rate
    return {count: rows | {"ours": rows[engine]} for count, rows in found.items()}


def make_contestant(
    settings: Settings, row: str, batch_size: int, updates: int
) -> Callable[[], Any]:
    """A function that does ``updates`` of a row; all rows get the same random batches."""
    precision = precision_of(settings) if row in ("eager", "compile", "native") else "32-true"
    learner = make_learner(settings, ENGINES.get(row, Engine.eager), precision)
    batches = make_batches(learner, updates, batch_size)
    if row == "td3loss":
        theirs = TorchRLTD3(learner.sizes.inputs, learner.sizes.actions, settings["model"])
        return partial(theirs.learn, TorchRLTD3.keys(batches))
    return partial(learner.learn, batches)


def _with_threads(threads: int, learn: Callable[[], Any], updates: int) -> Contestant:
    def work() -> int:
        torch.set_num_threads(threads)
        learn()
        return updates

    return work


def loss_agreement(settings: Settings, batch_size: int, batches: int) -> dict[str, float]:
    """Largest relative difference of a run's losses from those of eager updates in float32.

    Each batch is learned from by two learners that have the same weights.
    """
    worst = {"critic_loss": 0.0, "actor_loss": 0.0}
    every = settings["model"]["policy_delay"]
    for number in range(batches):
        found = []
        for engine, precision in ((Engine.eager, "32-true"), (Engine.auto, precision_of(settings))):
            learner = make_learner(settings, engine, precision)
            learner.updates = every - 1  # the next update is one of the actor too
            samples = make_batches(learner, batches, batch_size)
            found.append(learner.learn({k: v[number : number + 1] for k, v in samples.items()}))
        for name in worst:
            exact, other = (metrics[name].mean().item() for metrics in found)
            worst[name] = max(worst[name], abs(other - exact) / abs(exact))
    return worst
