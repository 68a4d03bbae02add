"""How well a trained policy does: episodes of every subtask, as plain figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from rher_pl.evaluation.report import Row, report, share_text
from rher_pl.evaluation.rollout import evaluate
from rher_pl.tasks import Task, make_env

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy

ENVS = 25
"""Episodes played side by side."""
FEWER_ENVS = 5
"""The same for a Gymnasium environment: each copy is a simulator of tens of megabytes."""


@dataclass(frozen=True, repr=False)
class Evaluation:
    """How well a policy did.

    Args:
        figures: all of them, as :func:`measure` gives and ``rher-pl evaluate --json`` writes them.
    """

    figures: dict[str, Any]

    @property
    def success(self) -> float:
        """Share of all episodes that end solved, those that began solved included."""
        return float(self._task["success"])

    @property
    def interval(self) -> tuple[float, float]:
        """95% Wilson interval of :attr:`success`."""
        low, high = self._task["interval_95"]
        return low, high

    @property
    def _task(self) -> Row:
        *_, task = self.figures["subtasks"].values()
        figures: Row = task["all"]
        return figures

    def __repr__(self) -> str:
        task, first = self.figures["task"], self.figures["first_seed"]
        last = first + self.figures["episodes"] - 1
        return f"Evaluation({task}: success {share_text(self._task)}, seeds {first} to {last})"


def measure(
    trained: TrainedPolicy, episodes: int, seed: int, threads: int = 1, task: Task | None = None
) -> dict[str, Any]:
    """Play episodes of the whole task, and judge every subtask in them.

    Args:
        trained: whose policy plays.
        episodes: how many.
        seed: of the first one.
        threads: that step simulations.
        task: to play in place of the one that it was trained on, such as one from a given scene.

    Returns:
        Plain values: the policy's counters, the episodes, and under ``subtasks`` the figures of
        each subtask, the task itself last; see ``report.py``.
    """
    task = task or trained.task
    env = make_env(task, min(ENVS if task.written is None else FEWER_ENVS, episodes), seed, threads)
    seeds = range(seed, seed + episodes)
    results = evaluate(env, trained.policy, seeds, 0.0, _no_q)
    env.close()
    counters = trained.counters
    return {
        "task": trained.task_name,
        "policy": trained.source,
        "episodes": episodes,
        "first_seed": seed,
        "env_steps": counters["env_steps"],
        "training_episodes": counters["episodes"],
        "updates": counters["updates"],
        "subtasks": report(results),
    }


def _no_q(inputs: Tensor, action: Tensor) -> Tensor:
    """NaN in place of Q: a policy is loaded without its critics."""
    return inputs[:, 0] * float("nan")
