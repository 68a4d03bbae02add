"""Broken and hostile input: configs, checkpoints, environments. One line and the right status."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import random
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import yaml

from benchmarks.kills import CONFIG
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.checkpoints.file import (
    COMMENT_LENGTH,
    SEAL_SIZE,
    read_checkpoint_file,
    seal,
    write_checkpoint,
)
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.fit import main

SECONDS = 60
"""A case that takes longer hangs."""
CANARY = "executed"
"""File that a pickle's code would make."""

NUMBERS = (0, 1, -1, 2, 3.5, -0.0, 1e308, -1e308, 10**12, -(10**12), 2**63, 10**400, 1e-300)
STRINGS = ("", " ", "nan", ".inf", "-.inf", "null", "true", "💥", "ε" * 200, "a\nb", "\x00", "../x")
OTHERS: tuple[Any, ...] = (None, True, [], [1, 2], [[]], {}, {"a": 1}, {"class_path": "os.system"})


class Enough(BaseException):
    """Ends a command where training would begin."""


class Hang(BaseException):
    """Ends a case that takes too long."""


class Trap:
    """Pickles to a call that leaves a file behind."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (Path(CANARY),)


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
    except SystemExit as stop:
        return f"SystemExit {stop.code}"
    except Hang:
        return f"hung for {SECONDS} s"
    except BaseException as error:
        return f"{type(error).__name__} came through: {str(error)[:200]}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        executed = Path(CANARY).exists()
    if executed:
        return "code was executed"
    lines = [line for line in err.getvalue().splitlines() if line.startswith("error: ")]
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
                config[section] = self.value()
                continue
            names = [*OPTIONS.get(section, ()), "zzz", "", "class_path"]
            config[section][self.random.choice(names)] = self.value()
        text = yaml.safe_dump(config, allow_unicode=True)
        if self.random.random() < 0.2:
            text = self.cut(text.encode()).decode(errors="replace")
        Path("broken.yaml").write_text(text)
        with mock.patch.object(RunRecorder, "setup", _enough):
            return outcome(["--config", "broken.yaml"], (0, 2))

    def argument(self) -> str | None:
        """Options on the command line."""
        section = self.random.choice([*OPTIONS])
        name = f"--{section}.{self.random.choice(OPTIONS[section])}"
        with mock.patch.object(RunRecorder, "setup", _enough):
            return outcome([*self.small, f"{name}={self.value()}"], (0, 2))

    def value(self) -> Any:
        kind = self.random.random()
        if kind < 0.6:
            return self.random.choice(NUMBERS)
        return self.random.choice(STRINGS if kind < 0.8 else OTHERS)

    # --- checkpoints ---------------------------------------------------------------------------

    def checkpoint(self, good: Path) -> str | None:
        """A checkpoint whose bytes or content are broken, with or without a matching seal."""
        make = self.random.choice((self.bytes, self.bytes, self.resealed, self.content, self.bomb))
        path = Path("broken.ckpt")
        path.unlink(missing_ok=True)
        make(good, path)
        command = self.random.choice((["validate"], ["test"], self.small))
        with mock.patch.object(RunRecorder, "setup", lambda *_: None):
            return outcome([*command, "--ckpt_path", str(path)], (0, 2))

    def bytes(self, good: Path, path: Path) -> None:
        path.write_bytes(self.cut(good.read_bytes()))

    def resealed(self, good: Path, path: Path) -> None:
        """Broken, with the seal of the broken bytes."""
        unsealed = good.read_bytes()[: -SEAL_SIZE - COMMENT_LENGTH]
        path.write_bytes(self.cut(unsealed) + bytes(COMMENT_LENGTH))
        with open(path, "rb+") as file:
            seal(file)

    def content(self, good: Path, path: Path) -> None:
        """Another value, a missing key or code somewhere in the content."""
        content = read_checkpoint_file(good)
        place: Any = content
        while isinstance(place, dict) and place:
            key = self.random.choice([*place])
            if not isinstance(place[key], dict) or self.random.random() < 0.3:
                action = self.random.random()
                if action < 0.2:
                    del place[key]
                else:
                    place[key] = Trap() if action < 0.4 else self.value()
                break
            place = place[key]
        with contextlib.suppress(pickle.PicklingError, OSError):
            write_checkpoint(content, path)

    def bomb(self, good: Path, path: Path) -> None:
        """An archive that unpacks to far more than it is."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"rher_pl": {}}, protocol=2))
            with archive.open("archive/data/0", "w") as record:
                for _ in range(self.random.randint(1, 20)):
                    record.write(bytes(1 << 20))
        with open(path, "rb+") as file:
            seal(file)

    def cut(self, data: bytes) -> bytes:
        """Cut off, flip, insert or repeat a few bytes."""
        changed, place = bytearray(data), self.random.randrange(len(data))
        action = self.random.randrange(4)
        if action == 0:
            return bytes(changed[:place])
        if action == 1:
            for _ in range(self.random.randint(1, 8)):
                changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
        elif action == 2:
            changed[place:place] = self.random.randbytes(self.random.randint(1, 64))
        else:
            changed[place:place] = changed[place : place + 500]
        return bytes(changed)

    # --- environments --------------------------------------------------------------------------

    def environment(self) -> str | None:
        """An environment that gives something wrong, or raises, at some step."""
        key = self.random.choice(("observation", "achieved_goals", "desired_goals"))
        when, calls = self.random.randrange(150), 0
        spoil = self.random.choice(SPOILS)
        original = PointPushEnv._observe

        def observe(env: PointPushEnv, extra: Any) -> Any:
            nonlocal calls
            calls += 1
            outcome = original(env, extra)
            if calls >= when:
                spoil(outcome, key)
            return outcome

        with mock.patch.object(PointPushEnv, "_observe", observe):
            return outcome(self.small, (1, 2) if when < 100 else (0, 1, 2))


def _enough(*_: Any, **__: Any) -> None:
    raise Enough


def _nan(state: Any, key: str) -> None:
    state[key][0] = torch.nan


def _infinite(state: Any, key: str) -> None:
    state[key][-1] = torch.inf


def _wider(state: Any, key: str) -> None:
    state[key] = torch.cat([state[key], state[key]], dim=-1)


def _narrower(state: Any, key: str) -> None:
    state[key] = state[key][..., :-1]


def _double(state: Any, key: str) -> None:
    state[key] = state[key].double()


def _whole(state: Any, key: str) -> None:
    state[key] = state[key].long()


def _missing(state: Any, key: str) -> None:
    del state[key]


def _raises(state: Any, key: str) -> None:
    raise ZeroDivisionError(f"in the making of {key}")


SPOILS = (_nan, _infinite, _wider, _narrower, _double, _whole, _missing, _raises)

OPTIONS: dict[str, list[str]] = {
    "data": [
        *("task", "seed", "num_envs", "num_threads", "updates_per_episode", "batch_size"),
        *("replay_capacity", "relabel_ratio", "inert_ratio", "guide_share", "random_share"),
        *("exploration_noise", "reached_distance", "random_episodes", "eval_every_env_steps"),
        *("eval_episodes", "eval_envs", "reward_radius", "fading_guide", "prioritize_motion"),
        *("pipelined", "hindsight", "relay"),
    ],
    "model": [
        *("task", "gamma", "tau", "learning_rate", "policy_noise", "noise_clip", "policy_delay"),
        *("action_l2", "hidden_size", "hidden_layers", "relative_goals", "average_rate"),
        "learned_threshold",
    ],
    "trainer": [
        *(
            "max_epochs",
            "max_steps",
            "max_time",
            "precision",
            "accelerator",
            "devices",
            "callbacks",
        ),
        *("strategy", "logger", "limit_val_batches", "val_check_interval", "gradient_clip_val"),
        *("check_val_every_n_epoch", "num_nodes", "default_root_dir", "plugins", "fast_dev_run"),
    ],
    "recorder": [
        *("folder", "tracking_uri", "experiment", "run_name", "run_id"),
        "figures_every_evaluations",
    ],
}
"""Options that cases break, by section."""


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
