"""Broken and hostile input: configs, checkpoints, environments. One line and the right status."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import yaml
from lightning.pytorch import Trainer

from benchmarks.reliability import broken
from benchmarks.reliability.kills import CONFIG
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.fit import main
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

SECONDS = 60
"""A case that takes longer hangs."""
OPTIONS = {
    section: [*inspect.signature(owner.__init__).parameters][1:]  # type: ignore[misc]
    for section, owner in (
        ("data", RelayDataModule),
        ("model", RHERModule),
        ("trainer", Trainer),
        ("recorder", RunRecorder),
    )
}
"""Options that cases break, by section."""


class Enough(BaseException):
    """Ends a command where training would begin."""


class Hang(BaseException):
    """Ends a case that takes too long."""


def outcome(arguments: list[str], statuses: tuple[int, ...]) -> str | None:
    """Run a command in this process; what was wrong with how it ended, or None.

    It may end with one of ``statuses`` (then, unless 0, with exactly one line that begins with
    ``error:``) or where training begins.
    """

    def hang(*_: Any) -> None:
        raise Hang

    out, err = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
    except Enough:
        return None
    except Hang:
        return f"hung for {SECONDS} s"
    except BaseException as error:
        return f"{type(error).__name__} came through: {str(error)[:200]}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    lines = [line for line in err.getvalue().splitlines() if line.startswith("error: ")]
    if Path(broken.CANARY).exists():
        return "code was executed"
    if status not in statuses:
        return f"status {status}: {err.getvalue()[-200:]}"
    if "Traceback" in err.getvalue() or len(lines) != (status != 0):
        return f"{len(lines)} lines of error: {err.getvalue()[-200:]}"
    return None


class Fuzz:
    """Makes cases of three kinds in the working directory and tries them.

    Args:
        seed: of all cases.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        Path("config.yaml").write_text(yaml.safe_dump(CONFIG | {"recorder": {"folder": "runs"}}))
        self.small = ["--config", "config.yaml", "--trainer.max_epochs", "1"]
        self.small += ["--data.eval_every_env_steps", "100", "--data.eval_episodes", "4"]

    # --- configs -------------------------------------------------------------------------------

    def config(self) -> str | None:
        """A config in which up to three values, names or lines are broken."""
        config = yaml.safe_load(Path("config.yaml").read_text())
        for _ in range(self.random.randint(1, 3)):
            section = self.random.choice(
                [*config] * 4 + ["seed_everything", "ckpt_path", "zzz", "💥"]
            )
            if not isinstance(config.get(section), dict):
                config[section] = broken.value(self.random)
                continue
            names = [*OPTIONS.get(section, ()), "zzz", "", "class_path"]
            config[section][self.random.choice(names)] = broken.value(self.random)
        text = yaml.safe_dump(config, allow_unicode=True)
        if self.random.random() < 0.2:
            text = broken.cut(self.random, text.encode()).decode(errors="replace")
        Path("broken.yaml").write_text(text)
        with mock.patch.object(RunRecorder, "setup", _enough):
            return outcome(["--config", "broken.yaml"], (0, 2))

    def argument(self) -> str | None:
        """Options on the command line."""
        section = self.random.choice([*OPTIONS])
        name = f"--{section}.{self.random.choice(OPTIONS[section])}"
        with mock.patch.object(RunRecorder, "setup", _enough):
            return outcome([*self.small, f"{name}={broken.value(self.random)}"], (0, 2))

    # --- checkpoints ---------------------------------------------------------------------------

    def checkpoint(self, good: Path) -> str | None:
        """A checkpoint whose bytes or content are broken, with or without a matching seal."""
        make = self.random.choice(broken.CHECKPOINTS)
        path = Path("broken.ckpt")
        path.unlink(missing_ok=True)
        make(self.random, good, path)
        command = self.random.choice((["validate"], ["test"], self.small))
        with mock.patch.object(RunRecorder, "setup", lambda *_: None):
            return outcome([*command, "--ckpt_path", str(path)], (0, 2))

    # --- environments --------------------------------------------------------------------------

    def environment(self) -> str | None:
        """An environment that gives something wrong, or raises, from some state on."""
        key = self.random.choice(("observation", "achieved_goals", "desired_goals"))
        when, calls = self.random.randrange(150), 0
        spoil = self.random.choice(broken.SPOILS)

        def spoiled(original: Callable[..., Any]) -> Callable[..., Any]:
            def method(*arguments: Any, **options: Any) -> Any:
                nonlocal calls
                calls += 1
                state = original(*arguments, **options)
                if calls >= when:
                    state[key] = spoil(state[key])
                return state

            return method

        methods = {name: spoiled(getattr(PointPushEnv, name)) for name in ("_reset", "_step")}
        with mock.patch.multiple(PointPushEnv, **methods):
            return outcome(self.small, (1, 2) if when < 100 else (0, 1, 2))


def _enough(*_: Any, **__: Any) -> None:
    raise Enough


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run_fuzz(folder: Path, cases: int, seed: int) -> dict[str, int]:
    """``cases`` of each kind, environments a tenth of that (each is a training run)."""
    torch.set_num_threads(1)
    with _inside(folder):
        fuzz = Fuzz(seed)
        if main(fuzz.small) != 0:
            raise ValueError("the run that makes a checkpoint to break failed")
        (good,) = Path("runs/checkpoints").glob("*/last.ckpt")
        kinds: dict[str, tuple[int, Callable[[], str | None]]] = {
            "config": (cases, fuzz.config),
            "argument": (cases, fuzz.argument),
            "checkpoint": (cases, lambda: fuzz.checkpoint(good)),
            "environment": (max(1, cases // 10), fuzz.environment),
        }
        tried = failed = 0
        for kind, (count, case) in kinds.items():
            for index in range(count):
                problem = case()
                tried += 1
                if problem is not None:
                    failed += 1
                    print(f"{kind} case {index}: {problem}", file=sys.stderr, flush=True)
            print(f"{kind}: {count} cases", flush=True)
    return {"fuzz_cases": tried, "fuzz_failures": failed}
