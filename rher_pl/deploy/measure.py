"""How well a trained policy does: episodes of every subtask, as plain figures."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from rher_pl.deploy.trained import TrainedPolicy
from rher_pl.evaluation.report import report
from rher_pl.evaluation.rollout import evaluate
from rher_pl.tasks import make_env

ENVS = 25
"""Episodes played side by side."""
FEWER_ENVS = 5
"""Of a Gymnasium environment: each is a simulator of its own, with tens of megabytes."""


def measure(trained: TrainedPolicy, episodes: int, seed: int, threads: int = 1) -> dict[str, Any]:
    """Play episodes of the whole task, and judge every subtask in them."""
    task = trained.task
    env = make_env(task, min(ENVS if task.written is None else FEWER_ENVS, episodes), seed, threads)
    seeds = range(seed, seed + episodes)
    results = evaluate(env, trained.policy, seeds, 0.0, _no_q)
    env.close()
    return {
        "task": trained.task_name,
        "policy": trained.source,
        "episodes": episodes,
        "first_seed": seed,
        **trained.counters,
        "subtasks": report(results),
    }


def _no_q(inputs: Tensor, action: Tensor) -> Tensor:
    """The critic stays with the checkpoint."""
    return inputs[:, 0] * float("nan")
