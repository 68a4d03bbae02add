"""Success of each subtask over the last evaluations."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class MovingSuccess:
    """Mean success of each subtask over the last evaluations, by which guide and noise may fade.

    Args:
        num_subtasks: number of subtasks.
        window: number of evaluations in the mean.
    """

    def __init__(self, num_subtasks: int, window: int = 3) -> None:
        self._recent: list[deque[float]] = [deque(maxlen=window) for _ in range(num_subtasks)]

    @property
    def values(self) -> list[float]:
        """Success of each subtask in [0, 1], 0 before the first evaluation."""
        return [sum(r) / len(r) if r else 0.0 for r in self._recent]

    def record(self, success: Sequence[float]) -> None:
        """Add one evaluation: the success of every subtask, each in [0, 1]."""
        for recent, value in zip(self._recent, success, strict=True):
            recent.append(float(value))

    @property
    def recent(self) -> list[list[float]]:
        """The evaluations in the mean of each subtask, oldest first."""
        return [list(recent) for recent in self._recent]

    def restore(self, recent: Sequence[Sequence[float]]) -> None:
        """Restore what :attr:`recent` gave."""
        for mine, values in zip(self._recent, recent, strict=True):
            mine.clear()
            mine.extend(values)
