"""Gives hostile checkpoints to all that reads one; half of them have a seal that fits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.reliability.hostile_files import make_hostile
from benchmarks.reliability.outcome import outcome
from benchmarks.reliability.workers import step
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.cli.command import run_command
from rher_pl.deploy.trained import load_policy
from rher_pl.evaluate import main as evaluate_main
from rher_pl.export import main as export_main
from rher_pl.fit import main as fit_main
from rher_pl.inspect import main as inspect_main

PATH = Path("hostile.ckpt")
COMMANDS = 2
"""Commands that get each checkpoint, besides ``load_policy``: all five would take an hour."""


def _record(recorder: Any, metrics: Any, env_steps: int) -> dict[str, float]:
    """Replaces a recorder's own method, as there is no run here."""
    return {name: float(value) for name, value in metrics.items()}


def act(arguments: list[str]) -> int:
    """Load a policy, and act once."""
    policy = load_policy(arguments[0])
    state = {name: np.zeros(size) for name, size in policy.portable.sizes.items()}
    action = policy(state)
    print(f"{policy!r}, {action}")
    if not np.isfinite(action).all():
        raise ValueError(f"the action is {action}")
    return 0


def hostile_case(seed: int, good: Path, small: list[str]) -> Callable[[int], str | None]:
    """A function of a case's number, which makes a checkpoint and gives it to some commands.

    These are ``load_policy`` and, in rotation, two of the commands that read one. Number -1 is the
    real checkpoint, which all commands must accept.
    """
    ckpt = ["--ckpt", str(PATH)]
    commands: tuple[tuple[str, Callable[[list[str]], int], list[str], tuple[int, ...]], ...] = (
        ("load_policy", lambda arguments: run_command(act, arguments), [str(PATH)], (0, 2)),
        ("evaluate", evaluate_main, [*ckpt, "--episodes", "1", "--json", "figures.json"], (0, 2)),
        ("inspect", inspect_main, [*ckpt, "--out", "episode.png"], (0, 2)),
        (
            "export",
            export_main,
            [*ckpt, "--to", "torchscript", "pretrained", "--episodes", "0"],
            (0, 1, 2),
        ),
        ("test", fit_main, ["test", "--ckpt_path", str(PATH), "--data.eval_episodes", "2"], (0, 2)),
        ("continue", fit_main, [*small, "--ckpt_path", str(PATH)], (0, 1, 2)),
    )

    def case(index: int) -> str | None:
        random = Random(f"{seed} {index}")
        PATH.unlink(missing_ok=True)
        if index < 0:
            shutil.copy(good, PATH)
        else:
            make_hostile(random, good, PATH, sealed=index % 4 in (1, 2))  # each child gets as many
        with mock.patch.multiple(RunRecorder, setup=lambda *_, **__: None, record=_record):
            loading, *others = commands
            turn = [loading, *(others[(index + n) % len(others)] for n in range(COMMANDS))]
            for name, main, arguments, statuses in commands if index < 0 else turn:
                step()
                if problem := outcome(main, arguments, statuses if index >= 0 else (0,)):
                    return f"{name}: {problem}"
        return None

    return case
