"""How much faster two Ray actors collect than one, where a simulator is slow.

Two environments take the same time for a step of a row: one waits, as for a simulator on another
machine, the other computes. Only collection is timed, one and two actors in turn; the cores should
do nothing else.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from benchmarks.throughput.report import finish, provenance
from benchmarks.throughput.rounds import Contestant, interleave
from rher_pl.cli.command import Parser, positive, run_command
from rher_pl.cluster.joining import joined
from rher_pl.collect.behavior import Exploration
from rher_pl.collect.collector import EpisodeCollector
from rher_pl.collect.progress import MovingSuccess
from rher_pl.collect.shards import ShardPlayer, ShardWorker
from rher_pl.collect.workers import Cluster, Workers
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.networks.actor_critic import Actor, NetworkSizes
from rher_pl.networks.encoder import InputEncoder
from rher_pl.networks.policy import RelayPolicy
from rher_pl.tasks import Task, get_task, make_env

RESULTS = Path("benchmarks/results/shards.json")
NUM_ENVS, SHARDS = 4, 4
WORKERS = (1, 2)


class Slow(PointPushEnv):
    """Each row takes ``seconds`` for a step.

    Args:
        num_envs, seed: as of :class:`PointPushEnv`.
        seconds: of a row's step.
        computes: whether it keeps its core busy meanwhile.
    """

    def __init__(self, num_envs: int, seed: int, seconds: float, computes: bool) -> None:
        super().__init__(num_envs, seed)
        self.seconds, self.computes = seconds, computes

    def _advance(self, action: Tensor) -> Tensor:
        wanted = self.seconds * self.num_envs
        if not self.computes:
            time.sleep(wanted)
            return super()._advance(action)
        # Processor time, not wall-clock: two that share one core take twice as long.
        until = time.thread_time() + wanted
        while time.thread_time() < until:
            pass
        return super()._advance(action)


def slow_task(seconds: float, computes: bool) -> Task:
    def make(num_envs: int, seed: int, num_threads: int = 1) -> Slow:
        return Slow(num_envs, seed, seconds, computes)

    return replace(get_task("PointPush-v0"), make_env=make)


def collector(task: Task, workers: int) -> EpisodeCollector:
    encoder = InputEncoder(task.relay, task.layout)
    policy = RelayPolicy(encoder, Actor(NetworkSizes(encoder.size, task.action_size, 256, 3)))
    rows = NUM_ENVS // SHARDS
    arguments = (task, rows, policy.to_dict(), asdict(Exploration()))
    made = Workers(Cluster(workers), SHARDS, rows, ShardWorker, arguments)
    success = MovingSuccess(task.relay.num_subtasks)
    return EpisodeCollector(
        ShardPlayer(make_env(task, 1, 0), NUM_ENVS, made, policy, success), run_seed=0
    )


def contestant(made: EpisodeCollector) -> Contestant:
    """Collects an iteration, in units of env steps."""

    def work() -> int:
        return int(made.collect()["length"].sum())

    return work


def make_parser() -> Parser:
    parser = Parser("benchmarks.throughput.shards", __doc__ or "")
    parser.add_argument("--ms", type=float, default=10.0, help="duration of a row's step (10)")
    parser.add_argument("--rounds", type=positive, default=7, help="rounds of all rows in turn (7)")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"JSON file ({RESULTS})")
    return parser


def body(arguments: Sequence[str]) -> int:
    """Measure, show and record."""
    options = make_parser().parse_args(arguments)
    torch.set_num_threads(1)
    results: dict[str, Any] = provenance(False) | {"ms": options.ms, "shards": SHARDS, "rows": {}}
    table = Table("simulator", "workers", "env steps/s", "quartiles", "times one worker")
    with joined(None, sum(WORKERS), ()):
        for name, computes in {"waits": False, "computes": True}.items():
            task = slow_task(options.ms / 1000, computes)
            made = {str(count): collector(task, count) for count in WORKERS}
            rates = interleave({n: contestant(each) for n, each in made.items()}, options.rounds)
            for each in made.values():
                each.close()
            one = rates["1"].median
            for count, rate in rates.items():
                spread = f"{rate.low:,.0f} to {rate.high:,.0f}"
                times = f"{rate.median / one:.2f}"
                table.add_row(name, count, f"{rate.median:,.0f}", spread, times)
            results["rows"][name] = {count: rate._asdict() for count, rate in rates.items()}
            results["rows"][name]["two_to_one"] = rates["2"].median / one
    return finish(table, results, options.results)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see ``--help``."""
    return run_command(body, argv)


if __name__ == "__main__":
    sys.exit(main())
