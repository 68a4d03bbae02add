"""What an evaluation says: plain values for JSON, and the one table that all commands show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from scipy.stats import binomtest
from tensordict import TensorDictBase

Row = dict[str, Any]

HEADINGS = ["subtask", "solved", "success", "interval", "mean steps", "began solved, stayed"]
LEGEND = (
    "Episodes that began solved are counted apart. An interval is 95% (Wilson); steps are env "
    "steps to the first state from which it stays solved."
)


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
    """The figures that :func:`report` gave, a row for each subtask, the task itself last."""
    table = Table(title=title, caption=LEGEND)
    for column, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if column else "left")
    for name, groups in subtasks.items():
        table.add_row(*_cells(name, groups))
    return table


def report_markdown(subtasks: Mapping[str, Row]) -> str:
    """The same table in Markdown."""
    rows = [HEADINGS, ["---"] * len(HEADINGS)]
    rows += [_cells(name, groups) for name, groups in subtasks.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{LEGEND}\n"


def _cells(name: str, groups: Row) -> list[str]:
    fresh, easy = groups["not_solved_at_reset"], groups["solved_at_reset"]
    return [
        name,
        f"{fresh['solved']} of {fresh['episodes']}",
        _number(fresh["success"], ".3f"),
        interval_text(fresh),
        _number(fresh["mean_steps_to_success"], ".1f"),
        f"{easy['solved']} of {easy['episodes']}",
    ]


def share_text(figures: Row) -> str:
    """Success with its interval, such as ``0.950 [0.888, 0.978]``; a dash for no episodes."""
    if not figures["episodes"]:
        return "-"
    return f"{figures['success']:.3f} {interval_text(figures)}"


def interval_text(figures: Row) -> str:
    """Such as ``[0.888, 0.978]``; a dash for no episodes."""
    low, high = figures["interval_95"]
    return f"[{low:.3f}, {high:.3f}]" if figures["episodes"] else "-"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
