"""How far along its chain of subtasks a run is."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any


class RelayProgress:
    """Moving evaluation success of each subtask, and the guide and learner that follow from it.

    A subtask counts as learned when its moving success is at least ``threshold`` (RHER's
    multi-object code: 0.8). The learner is the first subtask not learned yet, the guide the one
    before it. A relay of two subtasks always has guide 0 and learner 1; of one, no guide.

    Args:
        num_subtasks: length of the relay.
        threshold: success in [0, 1] from which a subtask counts as learned.
        window: evaluations that the moving success averages over.
    """

    def __init__(self, num_subtasks: int, threshold: float = 0.8, window: int = 3) -> None:
        self.threshold = threshold
        self._recent: list[deque[float]] = [deque(maxlen=window) for _ in range(num_subtasks)]

    @property
    def success(self) -> list[float]:
        """Moving success of each subtask, 0 before the first evaluation."""
        return [sum(r) / len(r) if r else 0.0 for r in self._recent]

    @property
    def num_learned(self) -> int:
        """Length of the learned prefix of the relay."""
        for index, success in enumerate(self.success):
            if success < self.threshold:
                return index
        return len(self._recent)

    @property
    def learner_subtask(self) -> int:
        """The subtask being learned now, 0-based."""
        last = len(self._recent) - 1
        return min(max(self.num_learned, 1), last)

    @property
    def guide_subtask(self) -> int | None:
        """The subtask whose policy guides exploration, or None in a relay of one."""
        return self.learner_subtask - 1 if self.learner_subtask > 0 else None

    def record(self, success: Sequence[float]) -> None:
        """Add one evaluation: the success of every subtask, each in [0, 1]."""
        for recent, value in zip(self._recent, success, strict=True):
            recent.append(float(value))

    def state_dict(self) -> dict[str, Any]:
        return {"recent": [list(recent) for recent in self._recent]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for recent, values in zip(self._recent, state["recent"], strict=True):
            recent.clear()
            recent.extend(values)
