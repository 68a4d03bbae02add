"""All measurements of a throughput benchmark, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from benchmarks.learning_settings import build
from benchmarks.throughput import report
from benchmarks.throughput.environments import measure_environments
from benchmarks.throughput.iteration import measure_iteration
from benchmarks.throughput.startup import first_step_seconds, help_seconds
from benchmarks.throughput.training import train_ours, train_sb3
from benchmarks.throughput.updates import engines, loss_agreement, measure_updates

COLLECTIONS = {"sequential": "false", "pipelined": "true"}
"""Ways to collect, with the value of ``data.pipelined``."""


@dataclass(frozen=True)
class Budget:
    """How much is measured.

    Args:
        env_rounds, update_rounds: timed rounds of each contestant.
        updates: in a round.
        epochs: of each run whose iterations are timed.
        episodes: of a whole training.
        trainings: of each contestant, taken in turns.
        starts: of a process, the first of which warms caches.
        num_envs: batch sizes of environments.
        threads: numbers of threads, of environments and of torch.
        compiled: whether compiled updates take part.
    """

    env_rounds: int = 20
    update_rounds: int = 30
    updates: int = 40
    epochs: int = 12
    episodes: int = 200
    trainings: int = 3
    starts: int = 4
    num_envs: Sequence[int] = (1, 8, 16, 32)
    threads: Sequence[int] = (1, 2)
    compiled: bool = True


QUICK = Budget(
    env_rounds=2, update_rounds=3, updates=10, epochs=2, episodes=10, trainings=1, starts=2
)


def measure(config: Path, budget: Budget, folder: Path, console: Console) -> report.Results:
    """Results by the keys of the results file.

    Args:
        config: of the trainer; its task must be one of Gymnasium's.
        budget: how much to measure.
        folder: for what the runs write.
        console: for notes while it goes on.
    """
    default = torch.get_num_threads()
    cli: Any = build(["--config", str(config)], seed=0)
    task, model = cli.datamodule.hparams["task"], dict(cli.model.hparams)
    batch_size = sum(cli.datamodule.batch_sizes)
    pipelined = cli.datamodule.hparams["pipelined"]

    def track(sequence: Iterable[int], title: str) -> Iterable[int]:
        with Progress(console=console, transient=True) as progress:
            yield from progress.track(sequence, description=title)

    results = report.environment_results(
        measure_environments(task, budget.num_envs, budget.threads, budget.env_rounds, track)
    )
    console.print("environments measured; next: updates, compiled ones among them")
    threads = sorted({*budget.threads, default})
    rounds = (budget.updates, budget.update_rounds, budget.compiled)
    rates = measure_updates(model, batch_size, threads, *rounds, track)
    results |= report.update_results(rates, default)
    results["engines"] = engines(model)
    results["loss_agreement"] = loss_agreement(model, batch_size, budget.updates)
    iterations = {}
    for name, value in COLLECTIONS.items():
        console.print(f"next: {budget.epochs} epochs of a run, {name}")
        iterations[name] = measure_iteration(
            config, folder / name, budget.epochs, (f"--data.pipelined={value}",)
        )
    results |= report.iteration_results(iterations, "pipelined" if pipelined else "sequential")
    console.print(f"next: {budget.episodes} episodes of training, ours and stable-baselines3's")
    compiled = budget.compiled and results["engines"]["ours_compiled"] != results["engines"]["ours"]
    results |= measure_training(config, budget, compiled, task, model, batch_size)
    console.print("next: start-up")
    starts = [first_step_seconds(config) for _ in range(budget.starts)]
    results["startup_seconds"] = median(starts[1:] or starts)
    results["help_seconds"] = median(help_seconds() for _ in range(budget.starts))
    return results


def measure_training(
    config: Path,
    budget: Budget,
    compiled: bool,
    task: str,
    model: dict[str, Any],
    batch_size: int,
) -> report.Results:
    """Seconds (medians) and updates of whole trainings, 40 updates for each episode.

    What is compiled is compiled before its clock starts; ``compiled`` trains with that option too.
    """
    updates = 40
    contestants: dict[str, Callable[[], tuple[float, int]]] = {
        "ours": lambda: train_ours(config, budget.episodes, updates)
    }
    if compiled:
        option = ("--model.compiled=true",)
        contestants["ours_compiled"] = lambda: train_ours(config, budget.episodes, updates, option)
    contestants["sb3"] = lambda: train_sb3(task, model, batch_size, budget.episodes, updates)
    rounds: dict[str, list[float]] = {name: [] for name in contestants}
    done = {}
    for _ in range(budget.trainings):
        for name, train in contestants.items():
            seconds, done[name] = train()
            rounds[name].append(seconds)
    return {
        "training_seconds": {name: median(seconds) for name, seconds in rounds.items()},
        "training_rounds": rounds,
        "training_episodes": budget.episodes,
        "training_updates": done,
    }
