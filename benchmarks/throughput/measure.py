"""The parts of a throughput benchmark, each with its keys of the results file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.learning.settings import Settings
from benchmarks.throughput.rounds import Rate
from rher_pl.choices import RelayMode
from rher_pl.tasks import get_task, make_env
from rher_pl.training.datamodule import split_batch

Results = dict[str, Any]
COLLECTIONS = {"sequential": "false", "pipelined": "true"}
"""Ways to collect, with the value of ``data.pipelined``."""
TASK_ENVS = 16
"""Environments side by side where all tasks are measured."""
UPDATES_PER_EPISODE = 40
"""Of whole trainings."""


@dataclass(frozen=True)
class Budget:
    """How much is measured.

    Args:
        env_rounds, task_rounds, update_rounds: timed rounds of each contestant.
        updates: in a round.
        epochs: of each run whose iterations, or whose whole command, are timed.
        episodes: in a whole training.
        trainings: whole trainings of each contestant, in turns; or pairs of whole commands.
        starts: starts of a process, the first of which warms caches.
        num_envs: batch sizes of environments.
        threads: numbers of threads, of environments and of torch.
    """

    env_rounds: int = 20
    task_rounds: int = 8
    update_rounds: int = 30
    updates: int = 40
    epochs: int = 12
    episodes: int = 200
    trainings: int = 3
    starts: int = 4
    num_envs: Sequence[int] = (1, 8, 16, 32)
    threads: Sequence[int] = (1, 2)


QUICK = Budget(
    env_rounds=2,
    task_rounds=1,
    update_rounds=3,
    updates=10,
    epochs=3,
    episodes=10,
    trainings=1,
    starts=2,
)


@dataclass(frozen=True)
class Subject:
    """What is measured: a config of one of Gymnasium's Fetch tasks, and the same resolved."""

    config: Path
    settings: Settings
    budget: Budget

    @property
    def task(self) -> str:
        return str(self.settings["data"]["task"])

    @property
    def options(self) -> list[str]:
        """For the command line of runs."""
        return ["--trainer.precision", str(self.settings["trainer"]["precision"])]

    @property
    def batch_size(self) -> int:
        """Samples in a mixed batch."""
        sizes, mode = self.settings["data"]["batch_size"], RelayMode(self.settings["data"]["relay"])
        subtasks = get_task(self.task).trained_relay(mode).num_subtasks
        return sum(split_batch(sizes, subtasks, mode, self.task))


def environments(subject: Subject) -> Results:
    from benchmarks.throughput.environments import measure_environments

    budget = subject.budget
    shape = (budget.num_envs, budget.threads, budget.env_rounds)
    rates = measure_environments(subject.task, *shape)
    return {"env_steps_per_second": medians(rates), "env_steps_quartiles": quartiles(rates)}


def tasks(subject: Subject) -> Results:
    """All Fetch tasks, whatever the config says."""
    from benchmarks.throughput.environments import measure_tasks

    rates = measure_tasks(TASK_ENVS, subject.budget.task_rounds)
    return {
        "task_env_steps_per_second": {task: medians(found) for task, found in rates.items()},
        "task_env_steps_quartiles": {task: quartiles(found) for task, found in rates.items()},
    }


def updates(subject: Subject) -> Results:
    from benchmarks.throughput.updates import chosen_engine, loss_agreement, measure_updates

    budget, default = subject.budget, torch.get_num_threads()
    threads = sorted({*budget.threads, default})
    rounds = (budget.updates, budget.update_rounds)
    rates = measure_updates(subject.settings, subject.batch_size, threads, *rounds)
    by_threads = {str(count): medians(found) for count, found in rates.items()}
    return {
        "updates_per_second": by_threads[str(default)],
        "updates_per_second_by_threads": by_threads,
        "updates_quartiles_by_threads": {str(n): quartiles(found) for n, found in rates.items()},
        "engines": {"ours": chosen_engine(subject.settings)},
        "loss_agreement": loss_agreement(subject.settings, subject.batch_size, 8),
    }


def iteration(subject: Subject) -> Results:
    from benchmarks.throughput.runs import measure_iteration

    found = {
        name: measure_iteration(
            subject.config, subject.budget.epochs, ["--data.pipelined", value, *subject.options]
        )
        for name, value in COLLECTIONS.items()
    }
    over_parts = {name: seconds["over_parts"] for name, seconds in found.items()}
    pipelined = subject.settings["data"]["pipelined"]
    return {
        "iteration_over_parts": over_parts["pipelined" if pipelined else "sequential"],
        "iteration_over_parts_by_collection": over_parts,
        "iteration_seconds": found,
    }


def training(subject: Subject) -> Results:
    """Trainings in turn: ours, ours compiled, and stable-baselines3's."""
    from benchmarks.throughput.baselines import train_sb3
    from benchmarks.throughput.runs import train_ours

    model, work = subject.settings["model"], (subject.budget.episodes, UPDATES_PER_EPISODE)
    length = int(make_env(get_task(subject.task), 1, 0).max_episode_steps)
    ours, compiled = (subject.config, length, *work), ["--model.engine", "compile"]
    options = subject.options
    contestants: dict[str, Callable[[], tuple[float, int]]] = {
        "ours": lambda: train_ours(*ours, options),
        "ours_compiled": lambda: train_ours(*ours, [*compiled, *options]),
        "sb3": lambda: train_sb3(subject.task, model, subject.batch_size, *work),
    }
    rounds: dict[str, list[float]] = {name: [] for name in contestants}
    done = {}
    for _ in range(subject.budget.trainings):
        for name, train in contestants.items():
            seconds, done[name] = train()
            rounds[name].append(seconds)
    return {
        "training_seconds": {name: median(seconds) for name, seconds in rounds.items()},
        "training_rounds": rounds,
        "training_episodes": subject.budget.episodes,
        "training_updates": done,
    }


def startup(subject: Subject) -> Results:
    from benchmarks.throughput.startup import first_step_seconds, help_seconds

    starts = [first_step_seconds(subject.config) for _ in range(subject.budget.starts)]
    helps = [help_seconds() for _ in starts]
    return {"startup_seconds": median(starts[1:] or starts), "help_seconds": median(helps)}


PARTS: dict[str, Callable[[Subject], Results]] = {
    "environments": environments,
    "tasks": tasks,
    "updates": updates,
    "iteration": iteration,
    "training": training,
    "startup": startup,
}
"""Parts by their names in ``--only``."""


def medians(rates: Mapping[str, Rate]) -> dict[str, float]:
    return {name: rate.median for name, rate in rates.items()}


def quartiles(rates: Mapping[str, Rate]) -> dict[str, list[float]]:
    return {name: [rate.low, rate.high] for name, rate in rates.items()}
