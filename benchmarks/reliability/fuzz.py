"""Broken configs, checkpoints and environments: each must end in one line and the right status."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import torch
import yaml
from lightning.pytorch import Trainer

from benchmarks.reliability import broken
from benchmarks.reliability.hostile import hostile_case
from benchmarks.reliability.kills import CONFIG
from benchmarks.reliability.outcome import Enough, outcome
from benchmarks.reliability.workers import Case, limited, try_all
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.fit import main
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

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
BROKEN = "broken.yaml"
TURNS = 80
"""States that a training asks for at least; in fact it asks for 86."""
TEXTS = (
    "a: &a [x, x]\nb: &b [*a, *a]\n",
    "data: &r\n  task: *r\n",
    "[" * 500,
    "data: {" * 50,
    "!!python/object/apply:os.system [touch executed]\n",
    "trainer: {callbacks: {class_path: os.system, init_args: {command: touch executed}}}\n",
    "model:\n  critics: 9" + "9" * 5_000 + "\n",
    "recorder: {folder: 'a?b'}\n",
    "recorder: {folder: ''}\n",
    "recorder: {tracking_uri: 'sqlite:///x?mode=ro'}\n",
    "trainer: {plugins: " + "x" * 10_000 + "}\n",
    "\ufeffdata: {num_envs: 2}\n",
)
"""Texts that are appended to a config, or stand alone."""


class Fuzz:
    """Cases by their number, each tried in the working directory.

    Args:
        seed: of all cases.
        folder: for the whole config, of which broken ones are made.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.whole = folder.absolute() / "config.yaml"
        self.whole.write_text(yaml.safe_dump(CONFIG | {"recorder": {"folder": "runs"}}))
        self.small = ["--config", str(self.whole), "--trainer.max_epochs", "1"]
        self.small += ["--data.eval_every_env_steps", "100", "--data.eval_episodes", "4"]

    def random(self, kind: str, index: int) -> Random:
        return Random(f"{self.seed} {kind} {index}")

    def config(self, index: int) -> str | None:
        """A config with up to three broken values, names or lines, or, each fourth, an option."""
        random = self.random("config", index)
        if index % 4 == 3:
            return self.argument(random)
        text = self.broken_config(random)
        Path(BROKEN).write_text(text, errors="surrogatepass", encoding="utf-8")
        with mock.patch.object(RunRecorder, "setup", _enough):
            return outcome(main, ["--config", BROKEN], (0, 2))

    def broken_config(self, random: Random) -> str:
        config = yaml.safe_load(self.whole.read_text())
        for _ in range(random.randint(1, 3)):
            section = random.choice([*config] * 4 + ["seed_everything", "ckpt_path", "zzz", "💥"])
            if not isinstance(config.get(section), dict):
                config[section] = broken.value(random)
                continue
            names = [*OPTIONS.get(section, ()), "zzz", "", "class_path"]
            config[section][random.choice(names)] = broken.value(random)
        text = yaml.safe_dump(config, allow_unicode=True)
        if random.random() < 0.2:
            text = broken.cut(random, text.encode()).decode(errors="replace")
        if random.random() < 0.1:
            text = random.choice(["", text]) + random.choice(TEXTS)
        return text

    def argument(self, random: Random) -> str | None:
        """An option on the command line."""
        section = random.choice([*OPTIONS])
        name = f"--{section}.{random.choice(OPTIONS[section])}"
        with mock.patch.object(RunRecorder, "setup", _enough):
            return outcome(main, [*self.small, f"{name}={broken.value(random)}"], (0, 2))

    def environment(self, index: int) -> str | None:
        """An environment that gives something wrong, or raises, from some state on."""
        random = self.random("environment", index)
        key = random.choice(("observation", "achieved_goals", "desired_goals"))
        when, calls = random.randrange(TURNS * 3 // 2), 0
        spoil = random.choice(broken.SPOILS)

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
            return outcome(main, self.small, (1, 2) if when < TURNS else (0, 1, 2))


def _enough(*_: Any, **__: Any) -> None:
    raise Enough


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in ``folder``, also with temporary files."""
    before, temporary = Path.cwd(), tempfile.tempdir
    os.chdir(folder)
    Path("tmp").mkdir()
    tempfile.tempdir = str(Path("tmp").absolute())
    try:
        yield
    finally:
        os.chdir(before)
        tempfile.tempdir = temporary


def run_fuzz(folder: Path, cases: int, seed: int) -> dict[str, int]:
    """Try ``cases`` configs, as many hostile checkpoints, and a tenth as many environments."""
    torch.set_num_threads(1)
    with _inside(folder):
        fuzz = Fuzz(seed, Path())
        if main(fuzz.small) != 0:
            raise ValueError("the run that makes a checkpoint to break failed")
        (good,) = Path("runs/checkpoints").absolute().glob("*/last.ckpt")
        more = [*fuzz.small, "--trainer.max_epochs", "2"]
        hostile = hostile_case(seed, good, more)
        if problem := limited(hostile, -1):  # this also imports everything before the fork
            raise ValueError(problem)
        environments = max(1, cases // 10)
        failed = tried_all("config", fuzz.config, cases)
        failed += tried_all("environment", fuzz.environment, environments)
        hostile_failed = tried_all("hostile checkpoint", hostile, cases)
    return {
        "fuzz_cases": cases + environments,
        "fuzz_failures": failed,
        "hostile_checkpoints": cases,
        "hostile_failures": hostile_failed,
    }


def tried_all(kind: str, case: Case, count: int) -> int:
    """Try cases, print each that did not end as it must, and return how many those were."""
    wrong = 0
    for index, problem in try_all(case, count):
        wrong += 1
        print(f"{kind} {index}: {problem}", file=sys.stderr, flush=True)
    print(f"{kind}: {count} cases, {wrong} wrong", flush=True)
    return wrong
