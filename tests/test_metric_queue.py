"""A store that goes away and comes back has everything once, in order."""

from __future__ import annotations

import threading
import time

import pytest

from rher_pl.tracking import metric_queue
from rher_pl.tracking.metric_queue import MetricQueue, Point
from rher_pl.tracking.run_lock import RUNNING, RunLock, abandoned_runs


class Store:
    """Takes points, or is away."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.away = False
        self.asked = threading.Event()

    def send(self, points: list[Point]) -> None:
        self.asked.set()
        if self.away:
            raise ConnectionError("nobody there")
        self.steps += [point["step"] for point in points]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_queue, "RETRY_SECONDS", 0.01)


def point(step: int) -> Point:
    return {"step": step, "time": 0, "values": {"loss": 1.0}}


def test_an_outage_loses_nothing_and_is_told_twice(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store()
    queue = MetricQueue(store.send)
    store.away = True
    for step in range(100):
        queue.put(point(step))
    store.asked.wait(5.0)
    time.sleep(0.1)  # several retries
    assert [p["step"] for p in queue.pending()] == list(range(100))
    store.away = False
    assert queue.close(5.0) == 0
    assert store.steps == list(range(100))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "nobody there" in told[0] and "back" in told[1]


def test_points_gather_until_there_are_enough_or_the_end_is_near() -> None:
    batches: list[int] = []
    queue = MetricQueue(lambda points: batches.append(len(points)))
    queue.put(point(0))
    while queue.pending():
        time.sleep(0.001)
    for step in range(1, 46):
        queue.put(point(step))
    begin = time.monotonic()
    assert queue.close(5.0) == 0
    assert time.monotonic() - begin < metric_queue.PAUSE_SECONDS / 2
    assert sum(batches) == 46 and len(batches) <= 6, "nearly all of them in batches"


def test_the_end_does_not_wait_for_ever() -> None:
    store = Store()
    store.away = True
    queue = MetricQueue(store.send)
    queue.put(point(3))
    begin = time.monotonic()
    assert queue.close(0.2) == 1
    assert time.monotonic() - begin < 5.0
    assert queue.pending() == [point(3)]


def test_a_lock_tells_the_living_from_the_dead(tmp_path) -> None:
    living, dead, ended = (RunLock(tmp_path / name) for name in ("living", "dead", "ended"))
    for lock in (living, dead, ended):
        assert lock.take()
        lock.write(RUNNING)
    assert not RunLock(tmp_path / "living").take()
    ended.write("")
    dead.close()
    ended.close()
    found = [(lock.run_id, lock.status) for lock in abandoned_runs(tmp_path)]
    assert found == [("dead", RUNNING)]
