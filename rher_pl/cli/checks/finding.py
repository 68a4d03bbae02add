"""The outcome of a check of the machine, or of a task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is; the value is the colour it is shown in."""

    OK = "green"
    """Nothing to do."""
    SLOW = "yellow"
    """Training works; something is slower, missing or doubtful."""
    BROKEN = "red"
    """Training would fail, or give wrong results."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Args:
        name: of what was checked.
        level: how bad it is.
        detail: what was found.
        fix: what to do about it; empty if nothing can or must be done.
    """

    name: str
    level: Level
    detail: str
    fix: str = ""


def show(findings: Iterable[Finding], word: str, meaning: str) -> int:
    """Print findings as they come, a line each, and how many there are of each level.

    Args:
        findings: of checks.
        word: for the level between ok and broken, at most 6 letters.
        meaning: of ``word``, for the last line.

    Returns:
        How many are broken.
    """
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    marks = {Level.OK: "ok", Level.SLOW: word, Level.BROKEN: "BROKEN"}
    levels = []
    for finding in findings:
        levels.append(finding.level)
        mark = f"[{finding.level.value}]{marks[finding.level]:<6}[/]"
        console.print(f"{mark}  {finding.name:<14} {escape(finding.detail)}")
        if finding.fix:
            console.print(f"{'':24}[bold]fix:[/] {escape(finding.fix)}")
    broken, between = levels.count(Level.BROKEN), levels.count(Level.SLOW)
    console.print(f"{broken} broken, {between} {meaning}, {levels.count(Level.OK)} ok")
    return broken
