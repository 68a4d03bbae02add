"""Trials on Ray Tune: all of a list, or those that Optuna proposes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from rher_pl.errors import one_line
from rher_pl.sweep.place import Place, Trial
from rher_pl.sweep.ranges import Range
from rher_pl.sweep.runs import RUN_ID
from rher_pl.sweep.training import Training
from rher_pl.sweep.trial import EVALUATIONS, FAILED, METRIC, SweepTrial, as_trial

MOST_LOSSES = 20
"""How often a trial may lose its machine or its process, and be started again."""
PATIENCE = 3
"""Pruning judges a trial first after a third of its evaluations: at first all are at 0."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Args:
        trial: which.
        evaluations: how many it has.
        failed: what went wrong, in one line; empty for nothing.
    """

    trial: Trial
    evaluations: int
    failed: str


class Interrupted:
    """SIGINT and SIGTERM let all trials save and end; a second signal ends the sweep at once."""

    def __init__(self) -> None:
        self.received = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
        before = {number: signal.getsignal(number) for number in numbers}
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until Tune handles it, by stopping
        for number in numbers[:2]:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = number
        os.kill(os.getpid(), signal.SIGUSR1)


class Lines(tune.Callback):
    """Prints one line for each new evaluation.

    Args:
        total: evaluations of a whole training.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.told: dict[str, int] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        name = as_trial(trial.config["trial"]).label
        if result.get(FAILED):
            print(f"{name}: failed: {result[FAILED]}", flush=True)
        elif result[EVALUATIONS] > self.told.get(name, 0):
            self.told[name] = result[EVALUATIONS]
            score = f"success {result[METRIC]:.2f}"
            print(f"{name}: {result[EVALUATIONS]} of {self.total} evaluations, {score}", flush=True)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name = as_trial(trial.config["trial"]).label
        print(f"{name}: lost its machine or process, goes on elsewhere", flush=True)


def run_list(place: Place, trials: Sequence[Trial], gpus: int) -> list[Outcome]:
    """Train each trial that is not complete yet."""
    done = [trial for trial in trials if is_whole(place, trial)]
    whole = [Outcome(trial, place.epochs, "") for trial in done]
    todo = [trial for trial in trials if trial not in done]
    if whole:
        print(f"{len(whole)} of {len(trials)} trials are done already", flush=True)
    return [*whole, *_run(place, todo, gpus)] if todo else whole


def is_whole(place: Place, trial: Trial) -> bool:
    """Whether it was trained to its end before."""
    file = place.of(trial) / RUN_ID
    return file.is_file() and Training(place, trial, file.read_text().strip()).is_complete


def _run(place: Place, trials: Sequence[Trial], gpus: int) -> list[Outcome]:
    each = [{"options": dict(trial.options), "seed": trial.seed} for trial in trials]
    tuner = tune.Tuner(
        with_resources(gpus),
        param_space={"place": place, "is_search": False, "trial": tune.grid_search(each)},
        tune_config=tune.TuneConfig(
            metric=METRIC, mode="max", reuse_actors=True, trial_dirname_creator=str
        ),
        run_config=run_config(place, "list"),
    )
    return outcomes(tuner, trials)


def run_search(
    place: Place, space: Mapping[str, Range], seed: int, count: int, prune: bool, gpus: int
) -> list[Outcome]:
    """Train ``count`` proposals of Optuna's TPE, or go on with an earlier search."""
    from ray.tune.search.optuna import OptunaSearch

    path = run_config(place, "search").storage_path
    before = f"{path}/search"
    trainable = with_resources(gpus)
    options = {name: distribution(values) for name, values in space.items()}
    trial = {"options": options, "seed": seed}
    param_space = {"place": place, "is_search": True, "trial": trial}
    if tune.Tuner.can_restore(before):
        tuner = tune.Tuner.restore(
            before,
            trainable,
            resume_unfinished=True,
            restart_errored=True,
            param_space=param_space,  # Tune saves plain values only
        )
        return outcomes(tuner)
    cores = int(ray.cluster_resources().get("GPU" if gpus else "CPU", 1))
    tuner = tune.Tuner(
        trainable,
        param_space=param_space,
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            num_samples=count,
            max_concurrent_trials=cores,  # each proposal learns from those that have ended
            search_alg=OptunaSearch(seed=seed),
            scheduler=pruning(place.epochs) if prune else None,
            reuse_actors=True,
            trial_dirname_creator=str,
        ),
        run_config=run_config(place, "search"),
    )
    return outcomes(tuner)


def pruning(epochs: int) -> ASHAScheduler:
    """Of trials at the same number of evaluations, the best third goes on (arXiv 1810.05934)."""
    first = max(1, -(-epochs // PATIENCE))
    return ASHAScheduler(EVALUATIONS, max_t=max(epochs, 1), grace_period=first, reduction_factor=3)


def distribution(values: Range) -> Any:
    """A range as a distribution of Tune."""
    if values.kind == "choice":
        return tune.choice(list(values.values))
    if values.kind == "int":
        low, high = (int(end) for end in values.values)
        return tune.randint(low, high + 1)
    low_end, high_end = (float(end) for end in values.values)
    return (tune.loguniform if values.kind == "log" else tune.uniform)(low_end, high_end)


def with_resources(gpus: int) -> Any:
    """A core for each trial, and a GPU if it trains on one."""
    return tune.with_resources(SweepTrial, {"cpu": 1, "gpu": gpus})


def run_config(place: Place, name: str) -> tune.RunConfig:
    """Where Tune keeps what it needs to go on, and how often a trial may be lost."""
    return tune.RunConfig(
        name=name,
        storage_path=str(Path(place.folder) / "ray"),
        failure_config=tune.FailureConfig(max_failures=MOST_LOSSES),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # `fit` has its own
        callbacks=[Lines(place.epochs)],
        verbose=0,
    )


def outcomes(tuner: tune.Tuner, listed: Sequence[Trial] = ()) -> list[Outcome]:
    """Run, and say how each trial ended.

    Args:
        tuner: of the trials.
        listed: the trials, where they were known before.
    """
    found, results = [], tuner.fit()
    for index in range(len(results)):
        each = results[index]
        metrics, config = each.metrics or {}, each.config or {}
        if not listed and not config:  # a trial of a stopped search that reported nothing
            continue
        number = str(metrics.get("trial_id", ""))
        trial = listed[index] if listed else as_trial(config["trial"], number)
        failed = str(metrics.get(FAILED) or "")
        if each.error is not None:
            failed = one_line(str(each.error).strip().splitlines()[-1])
        found.append(Outcome(trial, int(metrics.get(EVALUATIONS, 0)), failed))
    return found
