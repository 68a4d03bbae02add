"""Runs that are killed, stopped and cut off from where they record: nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("options", [()], ids=["default"])
def test_a_killed_run_becomes_what_it_would_have_been(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """Kills a real process; a process of its own, because forks need one without threads."""
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.reliability", "kills", "--kills", "2"]
    done = subprocess.run(
        [*command, "--results", str(results), *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(results.read_text())
    assert figures == {"kills": 2, "identical_after_kill": 2}
    for each in ("SIGTERM", "SIGINT", "two at once"):
        assert f"{each}: identical" in done.stdout
