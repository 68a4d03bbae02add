"""Writes that a store did not take wait until it is back."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rher_pl.errors import say, warn
from rher_pl.tracking.client import short

RETRY_SECONDS = 30.0
"""Between two tries of waiting writes; each may take as long as the store's own retries."""


class LateWrites:
    """Writes to a store that may be unreachable or refuse some writes; those are tried again later.

    One line on stderr says that a write waits, and one that none waits any more.

    Args:
        is_away: tells whether the store is known to be unreachable now.
    """

    def __init__(self, is_away: Callable[[], bool]) -> None:
        self._is_away = is_away
        self._waiting: dict[str, Callable[[], Any]] = {}
        self._copies: TemporaryDirectory[str] | None = None
        self._tried = -math.inf
        self._told = False

    @property
    def waiting(self) -> list[str]:
        """Names of what the store does not have yet."""
        return list(self._waiting)

    def write(self, what: str, write: Callable[[], Any]) -> None:
        """Write now, after what waits, or later; replaces a waiting write of the same name."""
        self._attempt(what, write)

    def write_path(self, path: Path, write: Callable[[Path], Any]) -> None:
        """Write a file or folder; if the write must wait, a copy is kept."""
        if not self._attempt(path.name, lambda: write(path)):
            copy = self._copy(path)
            self._waiting[path.name] = lambda: write(copy)

    def catch_up(self) -> None:
        """Try the waiting writes again."""
        self._tried = time.monotonic()
        waiting, self._waiting = self._waiting, {}
        for what, write in waiting.items():
            self._try(what, write)
        if self._told and not self._waiting:
            self._told = False
            say("MLflow has taken everything that waited")

    def _attempt(self, what: str, write: Callable[[], Any]) -> bool:
        """Returns whether the store took it."""
        if self._is_away():
            self._waiting[what] = write
            return False
        if time.monotonic() - self._tried > RETRY_SECONDS:
            self.catch_up()
        self._waiting.pop(what, None)  # this is newer
        return self._try(what, write)

    def _try(self, what: str, write: Callable[[], Any]) -> bool:
        try:
            write()
        except Exception as error:  # a store has many ways to fail; none may end a run
            self._waiting[what] = write
            if not self._told:
                self._told = True
                warn(f"MLflow does not take {what}, which waits and is tried again: {short(error)}")
            return False
        return True

    def _copy(self, path: Path) -> Path:
        """A copy of a file or folder that may be gone when the store is back."""
        if self._copies is None:
            self._copies = TemporaryDirectory(prefix="rher_pl_")
        copy = Path(self._copies.name) / path.name
        try:
            if path.is_dir():
                shutil.copytree(path, copy, dirs_exist_ok=True)
            else:
                shutil.copy2(path, copy)
        except OSError:  # no room: the original may still be there
            return path
        return copy
