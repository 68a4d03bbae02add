"""Cases tried in forked children, so that a crash in native code costs and reports one case only.

Everything is imported once, before the fork, so that a case has no start-up to pay for.
"""

from __future__ import annotations

import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

SECONDS = 10.0
"""Processor time; a step of a case that takes more counts as hanging."""
WAITING_SECONDS = 60
"""Time by the clock, on a busy machine; a case that takes more counts as hanging."""
GRACE = 10.0
"""Further seconds in which a child can report that itself, before it is killed."""
Case = Callable[[int], str | None]
"""Maps the number of a case to what was wrong with how it ended, or None."""


class Hang(BaseException):
    """Ends a case that takes too long, in Python."""


class Worker:
    """A child that tries every ``stride``-th case from ``first`` on, in a folder of its own.

    Args:
        case: what to try.
        first: number of its first case.
        stride: to the next.
        count: of all cases.
        prepare: called in each child that is started.
    """

    def __init__(
        self, case: Case, first: int, stride: int, count: int, prepare: Callable[[], None]
    ) -> None:
        self.case, self.stride, self.count, self.prepare = case, stride, count, prepare
        self.next = first
        self.began = time.monotonic()
        self.pid = 0
        self.output: IO[str]
        self._start()

    @property
    def is_done(self) -> bool:
        return self.next >= self.count

    def _start(self) -> None:
        read, write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(read)
            self._work(write)
        os.close(write)
        self.output = os.fdopen(read)
        self.began = time.monotonic()

    def _work(self, write: int) -> None:
        """In the child: a line of JSON for each case; never returns."""
        try:
            self.prepare()
            for index in range(self.next, self.count, self.stride):
                line = json.dumps([index, limited(self.case, index)]) + "\n"
                os.write(write, line.encode())
        finally:
            os._exit(0)

    def take(self) -> list[tuple[int, str]]:
        """Problems of the case that was just finished, or that ended the child."""
        if line := self.output.readline():
            index, problem = json.loads(line)
            self.next, self.began = index + self.stride, time.monotonic()
            return [(index, problem)] if problem else []
        return self._lost("ended")

    def stop_if_it_hangs(self) -> list[tuple[int, str]]:
        if time.monotonic() - self.began < WAITING_SECONDS + GRACE:
            return []
        os.kill(self.pid, signal.SIGKILL)
        return self._lost("hung, and its own time limit did not stop it")

    def _lost(self, how: str) -> list[tuple[int, str]]:
        """Start another child after the case at which this one was lost."""
        self.output.close()
        _, status = os.waitpid(self.pid, 0)
        if self.is_done:
            return []
        index = self.next
        if os.WIFSIGNALED(status):
            how = f"{how}: {signal.Signals(os.WTERMSIG(status)).name}"
        self.next += self.stride
        self._start()
        return [(index, how)]

    def close(self) -> None:
        """After :attr:`is_done`."""
        self.output.close()
        os.waitpid(self.pid, 0)


def limited(case: Case, index: int) -> str | None:
    """Try a case for ``WAITING_SECONDS``; see also :func:`step`."""

    def hang(*_: Any) -> None:
        raise Hang

    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, hang)
    signal.alarm(WAITING_SECONDS)
    step()
    try:
        return case(index)
    except Hang:
        return f"hung for {SECONDS} s of work, or {WAITING_SECONDS} s"
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def step() -> None:
    """Allow another ``SECONDS`` of processor time from here on."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)


def try_all(case: Case, count: int, jobs: int = 2) -> Iterator[tuple[int, str]]:
    """Numbers of cases and their problems as they come; each child works in a folder of its own."""

    def prepare() -> None:
        os.chdir(tempfile.mkdtemp(dir=Path.cwd()))
        Path("tmp").mkdir()
        tempfile.tempdir = str(Path("tmp").absolute())

    workers = [Worker(case, first, jobs, count, prepare) for first in range(min(jobs, count))]
    while busy := [worker for worker in workers if not worker.is_done]:
        ready = select.select([worker.output for worker in busy], [], [], 1.0)[0]
        for worker in busy:
            yield from worker.take() if worker.output in ready else worker.stop_if_it_hangs()
    for worker in workers:
        worker.close()
