"""TD3 in C++: it computes what eager TD3 does, refuses what it cannot read, is built safely.

Skipped without a C++ compiler, as using the package needs none.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import rher_pl
from rher_pl.choices import Engine
from rher_pl.learner.batches import random_batches
from rher_pl.learner.engines import agrees, changing, trial
from rher_pl.learner.native import library as library_file
from rher_pl.learner.native.learner import AT_ONCE, NativeTD3
from rher_pl.learner.td3 import TD3
from rher_pl.networks.actor_critic import NetworkSizes

pytestmark = pytest.mark.usefixtures("library")

CPU = torch.device("cpu")
DTYPES = sorted(NativeTD3.types(), key=str)

in_pairs = pytest.mark.skipif(
    torch.bfloat16 not in DTYPES, reason="this CPU has no products of bfloat16"
)


def make_pair(dtype: torch.dtype = torch.float32, **sizes: Any) -> tuple[NativeTD3, TD3]:
    known: dict[str, Any] = {"inputs": 9, "actions": 4, "hidden_size": 32, "hidden_layers": 3}
    found, expected = trial(NativeTD3, NetworkSizes(**(known | sizes)), CPU)
    assert isinstance(found, NativeTD3)
    found.compute_type = expected.compute_type = dtype
    assert found.engine == Engine.native
    return found, expected


def make_batches(td3: TD3, updates: int, size: int = 32, seed: int = 0) -> dict[str, Tensor]:
    return random_batches(td3.sizes, updates, size, torch.Generator().manual_seed(seed))


def same(one: TD3, other: TD3) -> bool:
    return all(map(torch.equal, changing(one), changing(other)))


# --- it computes the same ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3, 4])  # 2 and 4: a team for each of two critics
@pytest.mark.parametrize(
    ("sizes", "settings"),
    [
        ({}, {}),
        ({"hidden_layers": 1, "hidden_size": 17}, {"policy_delay": 3}),
        ({"hidden_size": 100}, {"policy_delay": 1, "tau": 1.0, "average_rate": 1.0}),
        ({"critics": 1, "hidden_layers": 2}, {"policy_delay": 1}),
        ({"actions": 1}, {"bounded_target": False, "action_l2": 0.0, "noise_clip": 0.1}),
    ],
    ids=["td3", "shallow", "wide", "ddpg", "unbounded"],
)
def test_updates_are_those_of_eager_td3(
    sizes: dict, settings: dict, number: int, threads: Callable[[int], None]
) -> None:
    found, expected = make_pair(**sizes)
    for td3 in (found, expected):
        vars(td3).update(settings)
    for updates, size in ((5, 64), (1, 7), (4, 1)):  # 7 is no whole block, 1 leaves threads idle
        batches = make_batches(found, updates, size, seed=updates)
        threads(number)
        assert agrees(found, expected, batches), (updates, size)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_number_of_threads_changes_no_bit(
    dtype: torch.dtype, threads: Callable[[int], None]
) -> None:
    learners, metrics = [], []
    for number in (1, 2, 3, 4):
        td3, _ = make_pair(dtype, hidden_size=100)
        threads(number)
        metrics.append(td3.learn(make_batches(td3, 4, size=45)))
        learners.append(td3)
    for td3, values in zip(learners[1:], metrics[1:], strict=True):
        assert same(learners[0], td3)
        assert all(torch.equal(values[name], metrics[0][name]) for name in values)


@in_pairs
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"hidden_layers": 1, "hidden_size": 17},
        {"critics": 1, "hidden_layers": 2, "hidden_size": 100},
        {"hidden_size": 256},
    ],
    ids=["td3", "shallow", "ddpg", "large"],
)
def test_bfloat16_is_no_further_from_float32_than_pytorchs(sizes: dict) -> None:
    for size in (64, 7, 1):
        _, exact = make_pair(**sizes)
        start = [value.clone() for value in changing(exact)]
        batches = make_batches(exact, 2, size)
        learners = [exact, *make_pair(torch.bfloat16, **sizes)]
        for td3 in learners:
            td3.learn(batches)
        moved = [
            torch.cat([(a - b).flatten() for a, b in zip(changing(td3), start)]) for td3 in learners
        ]
        found, eager = ((m - moved[0]).norm() / moved[0].norm() for m in moved[1:])
        assert 0.0 < found < max(1.2 * eager, 0.004), size


def test_many_updates_are_done_in_calls_that_can_be_interrupted_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, _ = make_pair()
    batches = make_batches(one, 2 * AT_ONCE + 30, size=4)
    calls: list[int] = []
    at_once = NativeTD3._learn_at_once

    def counted(self: NativeTD3, given: Any) -> dict[str, Tensor]:
        calls.append(len(given["inputs"]))
        return at_once(self, given)

    other, _ = make_pair()
    for first in range(0, len(batches["inputs"]), 10):
        other.learn({name: value[first : first + 10] for name, value in batches.items()})
    monkeypatch.setattr(NativeTD3, "_learn_at_once", counted)
    metrics = one.learn(batches)
    assert calls == [AT_ONCE, AT_ONCE, 30]
    assert {k: v.shape[-1] for k, v in metrics.items()} == {
        "critic_loss": 230,
        "actor_loss": 115,
        "q": 920,
    }
    assert same(one, other) and one.updates == other.updates == 230


def test_without_an_update_of_the_actor_there_is_no_loss_of_it() -> None:
    td3, _ = make_pair()
    assert td3.learn(make_batches(td3, 1)).keys() == {"critic_loss", "q"}
    assert "actor_loss" in td3.learn(make_batches(td3, 1))


def test_batches_that_lie_otherwise_in_memory_are_read_right() -> None:
    found, expected = make_pair()
    batches = make_batches(found, 3)
    batches["inputs"] = batches["inputs"].mT.contiguous().mT
    batches["reward"] = batches["reward"][:, :1].expand(-1, 32)
    assert agrees(found, expected, batches)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layer", [0, 1, 3])
@pytest.mark.parametrize(
    ("network", "member"), [("critic", 0), ("target_critic", 0), ("target_critic", 1)]
)
def test_nan_in_a_weight_is_seen_in_the_loss(
    network: str, member: int, layer: int, dtype: torch.dtype
) -> None:
    td3, _ = make_pair(dtype)
    with torch.no_grad():
        getattr(td3, network).net.layers()[layer][0][member, 0, 0] = math.nan
    assert td3.learn(make_batches(td3, 1, size=8))["critic_loss"].isnan().all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nan_in_a_batch_is_seen_in_the_loss(dtype: torch.dtype) -> None:
    td3, _ = make_pair(dtype)
    batches = make_batches(td3, 6, size=8)
    batches["inputs"][3, 2, 1] = math.nan
    losses = td3.learn(batches)["critic_loss"]
    assert losses[:3].isfinite().all() and losses[3:].isnan().all()


@pytest.mark.parametrize(
    ("features", "types"),
    [
        ({"avx2": True}, {torch.float32}),
        ({"avx512_bf16": True}, {torch.float32, torch.bfloat16}),
        ({"avx512_bf16": True, "amx_bf16": True}, {torch.float32}),
    ],
)
def test_it_computes_in_what_the_cpu_has(
    features: dict, types: set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert NativeTD3.types() == types


# --- it refuses what it cannot read ------------------------------------------------------------

DAMAGES = """
import copy, sys, torch
from rher_pl.errors import ConfigError
from rher_pl.learner.batches import random_batches
from rher_pl.learner.engines import trial
from rher_pl.learner.native.learner import NativeTD3
from rher_pl.networks.actor_critic import NetworkSizes

def moment(value):
    def damage(td3, batches):
        state = td3.critic_optimizer.state_dict()
        for name in ("exp_avg", "exp_avg_sq"):
            state["state"][2][name] = value(state["state"][2][name])
        td3.critic_optimizer.load_state_dict(state)
    return damage

def in_place(value):
    def damage(td3, batches):
        state = td3.actor_optimizer.state[td3.actor.net.weight_1]
        state["exp_avg"] = value(state["exp_avg"])
    return damage

def steps(td3, batches):
    td3.actor_optimizer.state[td3.actor.net.weight_1]["step"] = torch.zeros(0)

def missing(td3, batches):
    del td3.actor_optimizer.state[td3.actor.net.weight_1]["exp_avg_sq"]

def swapped(td3, batches):
    critic = copy.deepcopy(td3.critic_optimizer.state_dict())
    actor = copy.deepcopy(td3.actor_optimizer.state_dict())
    td3.critic_optimizer.load_state_dict(actor)
    td3.actor_optimizer.load_state_dict(critic)

def network(name, value):
    def damage(td3, batches):
        weight = getattr(td3, name).net.weight_1
        weight.data = value(weight.data)
    return damage

def batch(name, value):
    def damage(td3, batches):
        batches[name] = value(batches[name])
    return damage

small, expanded = (lambda v: v[:, :1, :1].clone()), (lambda v: v[:, :1].expand_as(v))
turned = lambda v: v.mT.contiguous().mT
damages = {
    "moment of another size": moment(small),
    "moment larger": moment(lambda v: torch.zeros(9, 9, 9)),
    "moment expanded": moment(expanded),
    "moment empty": moment(lambda v: torch.zeros(0)),
    "moment in place empty": in_place(lambda v: torch.zeros(0)),
    "moment in place float64": in_place(torch.Tensor.double),
    "moment in place turned": in_place(turned),
    "moment in place elsewhere": in_place(lambda v: v.to("meta")),
    "moment in place no tensor": in_place(lambda v: 0.5),
    "step": steps,
    "moment missing": missing,
    "optimizers swapped": swapped,
    **{f"{n} {k}": network(n, v)
       for n in ("critic", "target_critic", "target_actor", "averaged_actor")
       for k, v in {"small": small, "float64": torch.Tensor.double, "turned": turned,
                    "expanded": expanded}.items()},
    "reward of two dimensions": batch("reward", lambda v: v.unsqueeze(-1)),
    "action too narrow": batch("action", lambda v: v[..., 1:]),
    "noise of fewer samples": batch("noise", lambda v: v[:, 1:]),
    "fewer batches": batch("next_inputs", lambda v: v[1:]),
    "terminated float": batch("terminated", lambda v: v.float()),
    "elsewhere": batch("reward", lambda v: v.to("meta")),
    "nothing": lambda td3, batches: None,
}
for name, damage in damages.items():
    td3, _ = trial(NativeTD3, NetworkSizes(9, 4, 32, 2), torch.device("cpu"))
    batches = random_batches(td3.sizes, 2, 32, torch.Generator().manual_seed(0))
    damage(td3, batches)
    print(name, end=": ", flush=True)
    try:
        td3.learn(batches)
        print("done", flush=True)
    except ConfigError as error:
        print("ConfigError", len(str(error).splitlines()), flush=True)
    except ValueError as error:
        print("ValueError", len(str(error).splitlines()), flush=True)
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python code in a process of its own, so that its crash is seen."""
    root = str(Path(rher_pl.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": root} | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_what_does_not_fit_is_refused_before_it_is_read() -> None:
    done = run(DAMAGES)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout
    outcomes = dict(line.split(": ") for line in done.stdout.splitlines())
    of_batches = {
        *("reward of two dimensions", "action too narrow", "noise of fewer samples"),
        *("fewer batches", "terminated float", "elsewhere"),
    }
    assert len(outcomes) == 35
    assert outcomes.pop("nothing") == "done"
    for name, outcome in outcomes.items():
        assert outcome == ("ValueError 1" if name in of_batches else "ConfigError 1"), name


# --- it is built safely ------------------------------------------------------------------------


def seal(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


def make_foreign(folder: Path) -> bytes:
    """A whole library without our symbols."""
    source, foreign = folder / "foreign.cpp", folder / "foreign.so"
    source.write_text('extern "C" int something() { return 1; }')
    subprocess.run([*library_file._compiler(), str(source), "-o", str(foreign)], check=True)
    return seal(foreign.read_bytes())


@pytest.fixture
def built() -> Path:
    """What was built for this machine."""
    library_file.load()
    folder = library_file._own_folder()
    assert folder is not None
    return folder / f"{library_file._identity(library_file._compiler())}.so"


def test_a_library_that_is_not_ones_own_or_not_whole_is_not_loaded(
    built: Path, tmp_path: Path
) -> None:
    number = count()

    def opened(content: bytes, mode: int = 0o600) -> bool:
        path = tmp_path / f"{next(number)}.so"  # a loader takes the same path for the same library
        path.write_bytes(content)
        path.chmod(mode)
        return library_file._open(path) is not None

    content = built.read_bytes()
    assert opened(content)
    assert not opened(content, 0o620) and not opened(content, 0o602)
    assert not opened(b"")
    assert not opened(content[:-1]) and not opened(content[: len(content) // 2])
    assert not opened(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    assert not opened(seal(b"\x7fELF"))
    (tmp_path / "link.so").symlink_to(built)
    os.mkfifo(tmp_path / "pipe.so")
    for name in ("link.so", "pipe.so", "missing.so", "."):
        assert library_file._open(tmp_path / name) is None
    assert not opened(make_foreign(tmp_path))


def test_a_struct_of_another_size_is_not_handed_over(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Larger(library_file.Call):
        _fields_ = [("more", ctypes.c_int32)]  # noqa: RUF012

    assert library_file._open(built) is not None
    monkeypatch.setattr(library_file, "Call", Larger)
    assert library_file._open(built) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to another user")
def test_what_another_user_planted_is_not_loaded(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = tmp_path / "planted.so"
    shutil.copy(built, planted)
    os.chown(planted, 12345, 12345)
    assert library_file._open(planted) is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = library_file._own_folder()
    assert folder == tmp_path / "rher_pl" / "native"
    os.chown(folder, 12345, 12345)
    assert library_file._own_folder() is None
    assert "is not this user's own folder" in capsys.readouterr().err


def test_the_folder_is_for_the_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = library_file._own_folder()
    assert folder is not None
    folder.chmod(0o777)
    assert library_file._own_folder() == folder
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert library_file._own_folder() is None
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nothing")
    assert library_file._own_folder() is None
    assert capsys.readouterr().err.count("\n") == 2


@pytest.fixture
def copied(built: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """Commands of a stand-in for the slow compiler, which copies the library that was built."""
    content, run_ = built.read_bytes()[: -library_file.SEAL], library_file._run
    commands: list[list[str]] = []

    def compile_(command: list[str]) -> bytes:
        if "-o" not in command:
            return run_(command)
        commands.append(command)
        Path(command[-1]).write_bytes(content)
        return b""

    monkeypatch.setattr(library_file, "_run", compile_)
    yield commands


@pytest.mark.parametrize("damage", [None, "empty", "cut", "foreign"])
def test_what_is_missing_or_damaged_is_built_once(
    damage: str | None,
    built: Path,
    copied: list,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = library_file._own_folder()
    assert folder is not None
    kept, good = folder / built.name, built.read_bytes()
    if damage is not None:
        contents = {"empty": b"", "cut": good[:-7], "foreign": make_foreign(tmp_path)}
        kept.write_bytes(contents[damage])
        kept.chmod(0o600)
    # A process that has loaded a foreign library from a path gets it from there again.
    for _ in range(1 if damage == "foreign" else 2):
        assert not isinstance(library_file._find_or_build.__wrapped__(), str)
    assert len(copied) == 1
    assert list(folder.iterdir()) == [kept] and kept.read_bytes() == good
    assert kept.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("RHER_NATIVE_FLAGS", "-DOTHER")
    library_file._find_or_build.__wrapped__()
    assert len(copied) == 2, "other flags, another library"


def test_without_a_folder_of_ones_own_it_is_built_in_private(
    copied: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nothing")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = os.umask(0o002)  # new files are writable by the group
    try:
        assert not isinstance(library_file._find_or_build.__wrapped__(), str)
    finally:
        os.umask(before)
    assert len(copied) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [("/nowhere/g++", "there is no C++ compiler (/nowhere/g++)"), ("false", "false fails")],
)
def test_without_a_working_compiler_the_reason_is_told(
    compiler: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", compiler)
    found = library_file._find_or_build.__wrapped__()
    assert isinstance(found, str) and reason in found


# --- other builds ------------------------------------------------------------------------------

PARITY = """
import torch
from rher_pl.learner.batches import random_batches
from rher_pl.learner.engines import agrees, trial
from rher_pl.learner.native.learner import NativeTD3
from rher_pl.networks.actor_critic import NetworkSizes

for threads in (1, 3):
    torch.set_num_threads(threads)
    for dtype in NativeTD3.types():
        for critics, hidden, layers, batch in ((2, 32, 3, 64), (1, 17, 1, 7), (2, 100, 2, 1)):
            sizes = NetworkSizes(9, 4, hidden, layers, critics)
            found, expected = trial(NativeTD3, sizes, torch.device("cpu"))
            found.compute_type = expected.compute_type = dtype
            batches = random_batches(sizes, 5, batch, torch.Generator().manual_seed(0))
            tolerance = 1e-3 if dtype == torch.float32 else 0.5
            assert agrees(found, expected, batches, tolerance), (threads, dtype, hidden)
print("the same")
"""


def test_kernels_for_cpus_without_wide_vectors_compute_the_same() -> None:
    done = run(PARITY, RHER_NATIVE_FLAGS="-mno-avx512f")
    assert done.stdout == "the same\n", done.stderr[-2000:]


@pytest.mark.slow
def test_nothing_is_read_or_written_beyond_its_end(tmp_path: Path) -> None:
    """Under AddressSanitizer, which must be there before Python is."""
    command = [library_file._compiler()[0], "-print-file-name=libasan.so"]
    found = subprocess.run(command, capture_output=True, text=True)
    sanitizer = found.stdout.strip()
    if not Path(sanitizer).is_absolute():
        pytest.skip("there is no AddressSanitizer")
    done = run(
        PARITY,
        RHER_NATIVE_FLAGS="-fsanitize=address -fno-omit-frame-pointer -g1",
        LD_PRELOAD=sanitizer,
        XDG_CACHE_HOME=str(tmp_path),
        ASAN_OPTIONS="detect_leaks=0",
    )
    assert done.stdout == "the same\n", done.stderr[-3000:]
