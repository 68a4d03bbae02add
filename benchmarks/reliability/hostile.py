"""Checkpoints as an enemy would write them, through everything that reads one.

Each is a real small one in which something was changed: bytes, the pickle, or the content. The
seal is made anew in every second of them; else it is that of the real one.
"""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from benchmarks.reliability import broken
from benchmarks.reliability.outcome import outcome
from benchmarks.reliability.workers import step
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.checkpoints.seal import COMMENT_LENGTH, SEAL_SIZE, seal
from rher_pl.cli.command import run_command
from rher_pl.deploy.trained import load_policy
from rher_pl.evaluate import main as evaluate_main
from rher_pl.export import main as export_main
from rher_pl.fit import main as fit_main
from rher_pl.inspect import main as inspect_main

PATH = Path("hostile.ckpt")
DEEP = 2_000
"""Levels of a list that is deeper than Python can walk."""

TENSORS: tuple[Callable[[Tensor], Any], ...] = (
    lambda x: x * torch.nan,
    lambda x: x + torch.inf,
    lambda x: x.double() * 1e30,
    lambda x: x[..., :0],
    lambda x: x.flatten(),
    lambda x: x.unsqueeze(0),
    lambda x: x.reshape(-1)[:1].expand(x.shape) if x.numel() else x,
    lambda x: x.mT.contiguous().mT if x.dim() > 1 else x[None].expand(2, *x.shape),
    lambda x: torch.cat([x, x], -1) if x.dim() else x[None],
    lambda x: x.double(),
    lambda x: x.long(),
    lambda x: x.bool(),
    lambda x: x.to(torch.complex64),
    lambda x: x.half(),
    lambda x: -torch.ones_like(x),
    lambda x: torch.full_like(x, 2**30),
    lambda x: x.tolist(),
    lambda x: torch.tensor(float("nan")),
)
"""What may become of a tensor."""


def dag(levels: int = 40) -> list[Any]:
    """A list of few objects that stands for more items than any memory holds."""
    inner: list[Any] = ["x"]
    for _ in range(levels):
        inner = [inner, inner]
    return inner


def deep() -> list[Any]:
    inner: list[Any] = []
    for _ in range(DEEP // 4):
        inner = [inner]
    return inner


VALUES: tuple[Callable[[], Any], ...] = (
    dag,
    deep,
    lambda: "\x1b[2J\x1b]0;owned\x07",
    lambda: "x" * 2**20,
    lambda: "FetchPush-v4",
    lambda: "‮tpkc",
    lambda: 10**5_000,
    lambda: -1,
    lambda: 2**62,
    lambda: 1e308,
    lambda: float("nan"),
    lambda: [[1.0, 2.0], ["a"]],
    lambda: {"a": {"b": {}}},
    lambda: torch.zeros(3),
    lambda: {1: 2, None: 3},
    lambda: b"bytes",
)
"""What may stand in a value's place, beside what :mod:`broken` has."""


# --- contents: each changes one in place ---------------------------------------------------------


def _places(content: Any, kind: type) -> list[tuple[Any, Any]]:
    """Containers and keys of all values of a type, dicts and lists alike."""
    found, left = [], [content]
    while left:
        holder = left.pop()
        items = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, value in items:
            if isinstance(value, kind):
                found.append((holder, key))
            if isinstance(value, (dict, list)):
                left.append(value)
    return found


def other_tensor(random: Random, content: dict[str, Any]) -> None:
    holder, key = random.choice(_places(content, Tensor))
    holder[key] = random.choice(TENSORS)(holder[key])


def other_value(random: Random, content: dict[str, Any]) -> None:
    holder, key = random.choice(_places(content, object))
    own = random.random() < 0.7
    holder[key] = random.choice(VALUES)() if own else broken.value(random)


def missing(random: Random, content: dict[str, Any]) -> None:
    holder, key = random.choice(_places(content, object))
    del holder[key]


def extra(random: Random, content: dict[str, Any]) -> None:
    holder = random.choice([p for p, _ in _places(content, object) if isinstance(p, dict)])
    name = random.choice(["zzz", "\x1b[31m", "_instantiator", "__class__", "x" * 10_000, 7])
    holder[name] = random.choice(VALUES)()


def swapped(random: Random, content: dict[str, Any]) -> None:
    states = content["optimizer_states"]
    if random.random() < 0.5:
        states.reverse()
        return
    holder, key = random.choice(_places(content, Tensor))
    other, name = random.choice(_places(content, Tensor))
    holder[key], other[name] = other[name], holder[key]


def optimizer(random: Random, content: dict[str, Any]) -> None:
    """A moment, a step or an option of an optimizer: what native code walks through."""
    holder, key = random.choice(_places(content["optimizer_states"], object))
    value = holder[key]
    tensor = isinstance(value, Tensor)
    holder[key] = random.choice(TENSORS)(value) if tensor else random.choice(VALUES)()


def replay(random: Random, content: dict[str, Any]) -> None:
    holder, key = random.choice(_places(content["RelayDataModule"], object))
    value = holder[key]
    tensor = isinstance(value, Tensor)
    holder[key] = random.choice(TENSORS)(value) if tensor else random.choice(VALUES)()


def code(random: Random, content: dict[str, Any]) -> None:
    holder, key = random.choice(_places(content, object))
    holder[key] = broken.Trap()


CONTENTS = (
    other_tensor,
    other_value,
    other_value,
    missing,
    extra,
    swapped,
    optimizer,
    replay,
    code,
)


# --- pickles and bytes ---------------------------------------------------------------------------

PICKLES = (
    b"\x80\x02]q\x00h\x00a.",  # a list that contains itself
    b"\x80\x02cos\nsystem\nX\x0e\x00\x00\x00touch executed\x85R.",
    b"cposix\nsystem\n(S'touch executed'\ntR.",
    b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0etouch executed\x85R.",
    b"(S'touch executed'\nios\nsystem\n.",
    b"\x80\x02\x82\x01.",
    b"\x80\x02Q.",
    b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    b"\x80\x02\x8b\x00\x00\x00\x10.",
    b"\x80\x02X\xff\xff\xff\x7f.",
    b"\x80\x02}\x940.",
    b"\x80\x02r\xff\xff\xff\xff.",
    b"\x80\x02}X\x05\x00\x00\x00__setq\x00}b.",
    b"",
    b".",
)


def other_pickle(random: Random, good: bytes) -> bytes:
    """The same records with another or a damaged pickle."""
    source = zipfile.ZipFile(io.BytesIO(good))
    target = io.BytesIO()
    own = random.choice(PICKLES) if random.random() < 0.5 else None
    with zipfile.ZipFile(target, "w") as archive:
        for record in source.infolist():
            data = source.read(record)
            if record.filename.endswith("data.pkl"):
                data = broken.cut(random, data) if own is None else own
            archive.writestr(record.filename, data)
    return target.getvalue()


def other_bytes(random: Random, good: bytes) -> bytes:
    return broken.cut(random, good[: -SEAL_SIZE - COMMENT_LENGTH]) + bytes(COMMENT_LENGTH)


def packed(random: Random, good: bytes) -> bytes:
    """An archive that unpacks to far more than it is, or with overlapping records."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"rher_pl": {}}, protocol=2))
        archive.writestr("archive/data/0", bytes(random.randint(1, 20) << 20))
    return target.getvalue()


BYTES = (other_pickle, other_pickle, other_pickle, other_bytes, other_bytes, packed)


def make_hostile(random: Random, good: Path, sealed: bool) -> None:
    """Write a hostile checkpoint to ``PATH``."""
    if random.random() < 0.3:
        PATH.write_bytes(random.choice(BYTES)(random, good.read_bytes()))
        if sealed:
            with open(PATH, "rb+") as file:
                seal(file)
        return
    content = read_checkpoint_file(good)
    with suppress(AttributeError, IndexError, RuntimeError, TypeError):  # not of that tensor
        for _ in range(random.choice([1, 1, 1, 2, 4])):
            random.choice(CONTENTS)(random, content)
    with suppress(pickle.PicklingError, OSError, RecursionError, AttributeError):
        write_checkpoint(content, PATH)
    if not sealed and PATH.exists():
        whole = PATH.read_bytes()
        digest = good.read_bytes()[-SEAL_SIZE:]
        PATH.write_bytes(whole[:-SEAL_SIZE] + digest)


def _record(recorder: Any, trainer: Any, metrics: Any, env_steps: int) -> dict[str, float]:
    """In place of a recorder's own, which has no run here."""
    return {name: float(value) for name, value in metrics.items()}


# --- what reads one ------------------------------------------------------------------------------


def act(arguments: list[str]) -> int:
    """``load_policy``, and an action."""
    policy = load_policy(arguments[0])
    state = {name: np.zeros(size) for name, size in policy.portable.sizes.items()}
    action = policy(state)
    print(f"{policy!r}, {action}")
    if not np.isfinite(action).all():
        raise ValueError(f"the action is {action}")
    return 0


def hostile_case(seed: int, good: Path, small: list[str]) -> Callable[[int], str | None]:
    """The case of a number: makes a checkpoint, and gives it to every command that reads one.

    Number -1 is the real one, which all of them must take.
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
            make_hostile(random, good, sealed=index % 4 in (1, 2))  # as many for each child
        with mock.patch.multiple(RunRecorder, setup=lambda *_, **__: None, record=_record):
            for name, main, arguments, statuses in commands:
                step()
                if problem := outcome(main, arguments, statuses if index >= 0 else (0,)):
                    return f"{name}: {problem}"
        return None

    return case
