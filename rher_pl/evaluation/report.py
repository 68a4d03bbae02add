"""Results of an evaluation: plain values for JSON, and the table that all commands show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rich.table import Table
from scipy.stats import binomtest
from tensordict import TensorDictBase

from rher_pl.evaluation.judging import Fate

Row = dict[str, Any]

HEADINGS = ["subtask", "solved", "success", "interval", "mean steps", "solved at start and end"]
FATES = "failures"
LEGEND = (
    "Episodes that began solved are counted apart. Intervals are 95% (Wilson). Mean steps: env "
    "steps until the subtask is solved for good."
)
FATES_LEGEND = (
    " Failures: waiting (its turn never came), untouched, disturbed (solved before, not at the "
    "end), dropped, short (at most twice epsilon from the goal), away (further)."
)


def wilson_interval(solved: int, episodes: int) -> tuple[float, float]:
    """95% Wilson interval of a share; (0, 1) for no episodes."""
    if episodes == 0:
        return 0.0, 1.0
    interval = binomtest(solved, episodes).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def report(results: Mapping[str, TensorDictBase]) -> dict[str, Row]:
    """Figures of each subtask; episodes that started solved are counted apart.

    Args:
        results: by subtask; see :func:`rher_pl.evaluation.judging.judge`.
    """
    return {
        name: {
            "not_solved_at_reset": _figures(result[~result["solved_at_reset"]]),
            "solved_at_reset": _figures(result[result["solved_at_reset"]]),
            "all": _figures(result),
            "fates": fates(result),
            "standing": standing(result),
        }
        for name, result in results.items()
    }


def fates(episodes: TensorDictBase) -> Row:
    """How many objects ended in each :class:`Fate`; empty for a subtask that reaches."""
    if "fate" not in episodes.keys():
        return {}
    counted = torch.bincount(episodes["fate"], minlength=len(Fate)).tolist()
    return {fate.name.lower(): count for fate, count in zip(Fate, counted)}


def standing(episodes: TensorDictBase) -> int | None:
    """How many solved episodes stay so when the hand opens and withdraws; None if not tried."""
    return int(episodes["standing"].sum()) if "standing" in episodes.keys() else None


def _figures(episodes: TensorDictBase) -> Row:
    """Figures of a group of episodes; the mean of the steps is over the solved ones."""
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
    headings, rows, legend = _content(subtasks)
    table = Table(title=title, caption=legend)
    for heading in headings:
        left = heading in (HEADINGS[0], FATES)
        table.add_column(
            heading,
            justify="left" if left else "right",
            no_wrap=heading == FATES,  # other columns are narrowed first: nothing is cut off
        )
    for row in rows:
        table.add_row(
            *row[: len(HEADINGS)], *(text.replace(", ", "\n") for text in row[len(HEADINGS) :])
        )
    return table


def report_markdown(subtasks: Mapping[str, Row]) -> str:
    """The same table in Markdown."""
    headings, rows, legend = _content(subtasks)
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{legend}\n"


def _content(subtasks: Mapping[str, Row]) -> tuple[list[str], list[list[str]], str]:
    """Headings, rows and legend; with several objects, a column says how they failed."""
    rows = [_cells(name, groups) for name, groups in subtasks.items()]
    *_, task = subtasks.values()
    legend = LEGEND
    if task.get("standing") is not None:
        legend += (
            f" {task['standing']} of {task['all']['solved']} solved episodes stay solved after the "
            "gripper opens and withdraws."
        )
    if sum(bool(groups["fates"]) for groups in subtasks.values()) < 2:
        return HEADINGS, rows, legend
    told = [_fates_text(groups["fates"]) for groups in subtasks.values()]
    rows = [[*row, text] for row, text in zip(rows, told)]
    return [*HEADINGS, FATES], rows, legend + FATES_LEGEND


def _fates_text(counted: Row) -> str:
    """Such as ``3 dropped, 1 short``; nothing if all were solved."""
    solved = Fate.SOLVED.name.lower()
    failed = {name: count for name, count in counted.items() if count and name != solved}
    ordered = sorted(failed.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name}" for name, count in ordered)


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
