"""How a command must end on broken input: one line, the right status, and nothing left behind."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.reliability import broken
from rher_pl.errors import LONGEST

Main = Callable[[list[str]], int]


class Enough(BaseException):
    """Ends a command where training would begin."""


def outcome(main: Main, arguments: list[str], statuses: Sequence[int]) -> str | None:
    """Run a command in this process; what was wrong with how it ended, or None.

    It may end with one of ``statuses`` (then, unless 0, with exactly one line that begins with
    ``error:``) or by :class:`Enough`.
    """
    out, err = io.StringIO(), io.StringIO()
    before, processes = set(os.listdir()), _children()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
    except Enough:
        status = 0
    except Exception as error:
        return f"{type(error).__name__} came through: {str(error)[:200]}"
    except SystemExit as error:
        return f"SystemExit came through: {error}"
    printed = err.getvalue()
    lines = [line for line in printed.splitlines() if line.startswith("error: ")]
    if status not in statuses:
        return f"status {status}: {printed[-200:]!r}"
    if "Traceback" in printed or len(lines) != (status != 0):
        return f"{len(lines)} lines of error: {printed[-200:]!r}"
    for line in (printed + out.getvalue()).splitlines():
        if len(line) > LONGEST or "\x1b" in line:
            return f"a line of {len(line)} characters: {line[:120]!r}"
    return left_behind(before if status == 2 else set(os.listdir()), processes)


def left_behind(before: set[str], processes: set[str]) -> str | None:
    """What a command leaves that it must not: code that ran, files, processes."""
    if Path(broken.CANARY).exists():
        Path(broken.CANARY).unlink()
        return "code was executed"
    if more := set(os.listdir()) - before:
        return f"left in the folder: {sorted(more)}"
    if files := [name for name in os.listdir(tempfile.gettempdir()) if "torchinductor" not in name]:
        return f"left among temporary files: {files[:3]}"
    if children := _children() - processes:
        return f"left a process: {children}"
    return None


def _children() -> set[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that is just ending
            found.update((task / "children").read_text().split())
    return found
