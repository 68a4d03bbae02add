"""The file of one benchmark: a JSON line per evaluation, shared by several workers."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Record = dict[str, Any]

KEYS = (
    "name",
    "task",
    "seed",
    "env_steps",
    "updates",
    "seconds",
    "success",
    "success_not_solved_at_reset",
    "success_per_subtask",
    "versions",
    "commit",
    "metrics",
)
"""Of every record, in this order. ``seconds`` is wall-clock since the seed's start."""


class Records:
    """Appends to and reads one JSON-lines file.

    The folder is locked while the file changes, so several processes may write. A line cut short
    by a crash is ignored by readers and removed by the next writer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, seed: int | None = None) -> list[Record]:
        """All records, or one seed's, in the order of seeds and env steps."""
        records = [json.loads(line) for line in self._lines()]
        mine = [r for r in records if seed is None or r["seed"] == seed]
        return sorted(mine, key=lambda r: (r["seed"], r["env_steps"]))

    def env_steps(self, seed: int) -> int:
        """Env steps of the seed's last evaluation, 0 if there is none."""
        return max((r["env_steps"] for r in self.read(seed)), default=0)

    def append(self, record: Record) -> None:
        """Add one line; it is on disk when this returns."""
        if tuple(record) != KEYS:
            raise ValueError(f"a record has the keys {', '.join(KEYS)}; got {', '.join(record)}")
        line = json.dumps(record, allow_nan=False) + "\n"
        with self._locked(), open(self.path, "ab") as file:
            whole = sum(len(kept) for kept in self._lines())
            if whole < file.tell():
                file.truncate(whole)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def drop(self, unwanted: Callable[[Record], bool]) -> int:
        """Remove matching records by replacing the file in one step; returns how many."""
        with self._locked():
            lines = self._lines()
            kept = [line for line in lines if not unwanted(json.loads(line))]
            if len(kept) < len(lines):
                draft = self.path.with_suffix(".draft")
                with open(draft, "wb") as file:
                    file.writelines(kept)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft, self.path)
        return len(lines) - len(kept)

    def _lines(self) -> list[bytes]:
        """Whole lines of the file, newlines kept."""
        if not self.path.exists():
            return []
        return [line for line in self.path.read_bytes().splitlines(True) if line.endswith(b"\n")]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # The folder and not the file: a replaced file would leave waiting writers with the old one.
        self.path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
