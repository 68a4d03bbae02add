"""What a store did not take waits until it is back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rher_pl.tracking.client import warn_not_taken


class LateWrites:
    """Writes to a store that may be away; those it did not take are tried again later.

    Args:
        is_away: whether the store is known to take nothing now.
    """

    def __init__(self, is_away: Callable[[], bool]) -> None:
        self._is_away = is_away
        self._waiting: dict[str, Callable[[], Any]] = {}
        self._copies: TemporaryDirectory[str] | None = None

    def write(self, what: str, write: Callable[[], Any]) -> None:
        """Write now, after all that waits; or later, in place of an earlier ``what`` that waits."""
        self._attempt(what, write)

    def write_path(self, path: Path, write: Callable[[Path], Any]) -> None:
        """Write a file or folder; a copy of it is kept if that must wait."""
        if not self._attempt(path.name, lambda: write(path)):
            copy = self._copy(path)
            self._waiting[path.name] = lambda: write(copy)

    def catch_up(self) -> None:
        """Try again what waits."""
        waiting, self._waiting = self._waiting, {}
        for what, write in waiting.items():
            self._try(what, write)

    def _attempt(self, what: str, write: Callable[[], Any]) -> bool:
        """Returns whether the store took it."""
        if self._is_away():
            self._waiting[what] = write
            return False
        self.catch_up()
        return self._try(what, write)

    def _try(self, what: str, write: Callable[[], Any]) -> bool:
        try:
            write()
        except Exception as error:  # a store has many ways to fail; none may end a run
            warn_not_taken(what, error)
            self._waiting[what] = write
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
