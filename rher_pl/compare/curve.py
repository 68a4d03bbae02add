"""The learning curve of one seed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One evaluation: success in [0, 1]; counters since the start, None if not recorded."""

    success: float
    updates: int | None
    seconds: float | None


@dataclass(frozen=True)
class Curve:
    """What one run recorded.

    Args:
        source: names the run.
        task: registered task name.
        seed: of the run.
        config: values by option; runs of a task with the same ones form a group.
        points: evaluations by env steps.
    """

    source: str
    task: str
    seed: int
    config: dict[str, str]
    points: dict[int, Point]
