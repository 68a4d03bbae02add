"""Seconds from the start of a process to its first env step, and to its help."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROBE = """
import gc, os, sys, time
gc.disable()  # as main does before it imports anything
from torchrl.envs import EnvBase

def first_step(self, *arguments, **options):
    print("first env step", time.time(), flush=True)
    os._exit(0)

EnvBase.step = first_step
from rher_pl.fit import main
sys.exit(main(sys.argv[1:]))
"""
"""Runs the command line up to the first env step. What it imports before, the run imports too."""


def first_step_seconds(config: Path) -> float:
    """From the start of ``python -m rher_pl.fit --config CONFIG`` to its first env step."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--config", str(config), "--recorder.folder", folder]
        begin = time.time()
        printed = _run("-c", PROBE, *arguments)
    lines = [line for line in printed.splitlines() if line.startswith("first env step")]
    return float(lines[-1].split()[-1]) - begin


def help_seconds() -> float:
    """Seconds of ``python -m rher_pl.fit --help``."""
    begin = time.time()
    _run("-m", "rher_pl.fit", "--help")
    return time.time() - begin


def _run(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments[:2])} failed: {done.stderr.strip()}")
    return done.stdout
