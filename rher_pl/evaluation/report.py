"""What an evaluation says, as plain values for JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from scipy.stats import binomtest
from tensordict import TensorDictBase

Row = dict[str, Any]


def wilson_interval(solved: int, episodes: int) -> tuple[float, float]:
    """95% Wilson interval of a share; (0, 1) for no episodes."""
    if episodes == 0:
        return 0.0, 1.0
    interval = binomtest(solved, episodes).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def report(results: Mapping[str, TensorDictBase]) -> dict[str, Row]:
    """Figures of each subtask under its own policy, episodes that started solved apart.

    Args:
        results: by subtask; see ``evaluation.py``.
    """
    return {
        name: {
            "not_solved_at_reset": _figures(result[~result["solved_at_reset"]]),
            "solved_at_reset": _figures(result[result["solved_at_reset"]]),
            "all": _figures(result),
        }
        for name, result in results.items()
    }


def _figures(episodes: TensorDictBase) -> Row:
    """Of a group of episodes; steps are counted over the solved ones."""
    solved, count = int(episodes["success"].sum()), len(episodes)
    steps = episodes["steps_to_success"][episodes["success"]]
    return {
        "solved": solved,
        "episodes": count,
        "success": solved / count if count else None,
        "interval_95": list(wilson_interval(solved, count)),
        "mean_steps_to_success": float(steps.float().mean()) if solved else None,
    }


def report_table(subtasks: Mapping[str, Row], title: str) -> Table:
    """The figures that :func:`report` gave, a row for each subtask."""
    table = Table(title=title, caption="an interval is 95% (Wilson); steps are env steps")
    table.add_column("subtask")
    for heading in ("solved", "success", "interval", "mean steps", "began solved, stayed"):
        table.add_column(heading, justify="right")
    for name, groups in subtasks.items():
        fresh, easy = groups["not_solved_at_reset"], groups["solved_at_reset"]
        table.add_row(
            name,
            f"{fresh['solved']} of {fresh['episodes']}",
            _number(fresh["success"], ".3f"),
            interval_text(fresh),
            _number(fresh["mean_steps_to_success"], ".1f"),
            f"{easy['solved']} of {easy['episodes']}",
        )
    return table


def interval_text(figures: Row) -> str:
    """Such as ``[0.888, 0.978]``; a dash for no episodes."""
    low, high = figures["interval_95"]
    return f"[{low:.3f}, {high:.3f}]" if figures["episodes"] else "-"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
