"""A queue of metrics for a store that may be unreachable for a while."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rher_pl.errors import say, warn
from rher_pl.tracking.client import short

Point = dict[str, Any]
"""Metrics of one moment, in plain types: ``step``, ``time`` (ms since 1970), ``values`` by name."""

POINTS_AT_ONCE = 20
RETRY_SECONDS = 2.0
PAUSE_SECONDS = 3.0
"""Between two batches: each costs the learner time, however few points it has."""


class MetricQueue:
    """Sends points in order from a thread of its own and keeps what the store does not take.

    One line on stderr says that the store is away, and one that it is back and has everything.

    Args:
        send: writes points to the store; raises if it cannot. It may get points twice, if the first
            answer was lost, and must store them once.
    """

    def __init__(self, send: Callable[[list[Point]], None]) -> None:
        self._send = send
        self._points: deque[Point] = deque()
        self._changed = threading.Condition()
        self._hurried = False
        self._closed = False
        self.away = False
        """Whether the store did not take the last points that it was given."""
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)
        self._thread.start()

    def put(self, point: Point) -> None:
        with self._changed:
            self._points.append(point)
            self._changed.notify_all()

    def pending(self) -> list[Point]:
        """Points that the store is not known to have, oldest first."""
        with self._changed:
            return list(self._points)

    def close(self, patience: float) -> int:
        """Wait as long as points are still being taken; then stop.

        Args:
            patience: seconds to wait for the next one to be taken.

        Returns:
            how many points are left.
        """
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            left, deadline = len(self._points), time.monotonic() + patience
            while self._points and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())
                if len(self._points) < left:
                    left, deadline = len(self._points), time.monotonic() + patience
            self._closed = True
            self._changed.notify_all()
            return len(self._points)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._points and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                points = [self._points[i] for i in range(min(len(self._points), POINTS_AT_ONCE))]
            try:
                self._send(points)
            except Exception as error:  # a store has many ways to fail; none may end a run
                self._say_away(error)
                time.sleep(RETRY_SECONDS)
            else:
                with self._changed:
                    for _ in points:
                        self._points.popleft()
                    self._changed.notify_all()
                    back = self.away and not self._points
                if back:
                    self.away = False
                    say("MLflow is back: nothing was lost")
                self._pause()

    def _pause(self) -> None:
        """Let points gather for a while, unless there are enough of them or the end is near."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._hurried or len(self._points) >= POINTS_AT_ONCE, PAUSE_SECONDS
            )

    def _say_away(self, error: Exception) -> None:
        if not self.away:
            self.away = True
            warn(f"MLflow does not take metrics, which wait here: {short(error)}")
