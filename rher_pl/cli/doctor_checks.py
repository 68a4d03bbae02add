"""What can be wrong with a machine, and the fix for each."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rher_pl.errors import ConfigError


class Level(Enum):
    """How bad it is; the value is the colour it is shown in."""

    OK = "green"
    """Nothing to do."""
    SLOW = "yellow"
    """Training works; something is slower or missing."""
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


PACKAGES = ("torch", "torchrl", "tensordict", "lightning", "gymnasium", "gymnasium-robotics")
START_POSE = (1.34, 0.749, 0.535)
"""Where the gripper of FetchReach begins, metres; MuJoCo versions differ by a few millimetres."""
POSE_TOLERANCE = 0.03
STEPS, LEAST_MOVE = 10, 0.2
"""Ten steps of full speed along x move a gripper by about 0.3 m if its weld holds."""
LEAST_DISK = 0.5e9
"""Bytes; a run with its checkpoints takes about 0.1e9."""


def check_python() -> Finding:
    version = platform.python_version()
    if (3, 10) <= sys.version_info[:2] <= (3, 12):
        return Finding("python", Level.OK, version)
    return Finding(
        "python",
        Level.BROKEN,
        version,
        "build .venv with 3.10 to 3.12: make setup PYTHON=python3.12",
    )


def check_packages() -> Iterator[Finding]:
    """Installed versions against the ones that this package asks for."""
    from packaging.requirements import Requirement

    try:
        required = [Requirement(text) for text in importlib.metadata.requires("rher_pl") or []]
    except importlib.metadata.PackageNotFoundError:
        versions = ", ".join(f"{name} {_version(name) or 'missing'}" for name in PACKAGES)
        yield Finding(
            "packages", Level.SLOW, f"rher_pl runs from its folder; {versions}", "pip install -e ."
        )
        return
    bad = []
    for requirement in (r for r in required if r.marker is None or r.marker.evaluate()):
        found = _version(requirement.name)
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            bad.append(f"{requirement} (found {found or 'none'})")
    if bad:
        yield Finding(
            "packages", Level.BROKEN, ", ".join(bad), "pip install -c constraints.txt -e ."
        )
    else:
        versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
        yield Finding("packages", Level.OK, versions)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_simulator() -> Iterator[Finding]:
    """MuJoCo's version, then where the arm starts and whether it follows its weld."""
    version = _version("mujoco") or "missing"
    try:
        from farama_notifications import notifications

        notifications.setdefault("gymnasium_robotics", {}).clear()  # about hands, not used here
        from rher_pl.envs.fetch_sim import check_mujoco_version

        check_mujoco_version(version)
        yield Finding("mujoco", Level.OK, version)
        yield from check_arm(*_drive_arm())
    except ConfigError as error:
        message, _, fix = str(error).partition(": ")
        yield Finding("mujoco", Level.BROKEN, message, fix)
    except Exception as error:  # whatever the simulator raises is what the doctor looks for
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        yield Finding("simulator", Level.BROKEN, reason, "pip install -c constraints.txt -e .")


def _drive_arm() -> tuple[list[float], list[float]]:
    """Position of the gripper at the start, and after ``STEPS`` full steps along x (metres)."""
    import torch

    from rher_pl.envs.fetch import FetchEnv

    env = FetchEnv("FetchReach-v4")
    state = env.reset()
    start = state["achieved_goals"][0, 0].tolist()
    for _ in range(STEPS):
        state["action"] = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
        state = env.step(state)["next"]
    env.close()
    return start, state["achieved_goals"][0, 0].tolist()


def check_arm(start: list[float], end: list[float]) -> Iterator[Finding]:
    """Judge where the gripper began and where ten steps along x took it (metres)."""
    fix = 'a MuJoCo that simulates the arm wrongly: pip install "mujoco==3.10.0"'
    at = "({:.3f}, {:.3f}, {:.3f})".format(*start)
    off = max(abs(a - b) for a, b in zip(start, START_POSE, strict=True))
    sound = off <= POSE_TOLERANCE
    yield Finding(
        "start pose", Level.OK if sound else Level.BROKEN, f"gripper at {at}", "" if sound else fix
    )
    moved = end[0] - start[0]
    held = moved >= LEAST_MOVE
    yield Finding(
        "weld",
        Level.OK if held else Level.BROKEN,
        f"{STEPS} steps along x move the gripper by {moved:.2f} m",
        "" if held else fix,
    )


def check_rendering() -> Finding:
    from rher_pl.pictures.rendering import INSTALL, candidates, probe

    tried = {backend: probe(backend) for backend in candidates()}
    working = [backend for backend, reason in tried.items() if not reason]
    if working:
        return Finding("rendering", Level.OK, f"{working[0]} draws without a display")
    reasons = "; ".join(f"{backend}: {reason}" for backend, reason in tried.items())
    fix = f"{INSTALL}; unset MUJOCO_GL" if "MUJOCO_GL" in os.environ else INSTALL
    return Finding("rendering", Level.SLOW, f"videos are plans from above ({reasons})", fix)


def check_cpu() -> Iterator[Finding]:
    import torch

    from rher_pl.learner.native.gradients import NativeGradients
    from rher_pl.learner.precision import compute_type, cpu_has_bfloat16, default_precision

    features = torch.cpu.get_capabilities()
    wide = [n for n in ("amx_bf16", "avx512_bf16", "avx512_f", "avx2") if features.get(n)]
    bfloat16 = cpu_has_bfloat16()
    detail = ", ".join(wide) or "no wide vectors"
    note = "trains in bf16-mixed" if bfloat16 else "no bfloat16: trains in 32-true, more slowly"
    yield Finding("cpu", Level.OK if bfloat16 else Level.SLOW, f"{detail}; {note}")
    suits = compute_type(default_precision()) in NativeGradients.types()
    native = suits and NativeGradients.available()
    yield Finding(
        "compiler",
        Level.OK if native or not suits else Level.SLOW,
        f"updates are computed {'in C++' if native else 'by PyTorch'}",
        "" if native or not suits else "install g++: updates are then faster",
    )
    cores, threads = len(os.sched_getaffinity(0)), torch.get_num_threads()
    fits = threads <= cores
    yield Finding(
        "threads",
        Level.OK if fits else Level.SLOW,
        f"torch uses {threads} of {cores} cores",
        "" if fits else f"set OMP_NUM_THREADS to at most {cores}",
    )


def check_gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("gpu", Level.OK, "none; none is needed, the CPU trains")
    name = torch.cuda.get_device_name()
    return Finding("gpu", Level.OK, f"{name}; the CPU trains by default")


def check_folder(folder: str) -> Iterator[Finding]:
    """Whether the output folder can be made or written, without making it."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    writable = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    yield Finding(
        "output folder",
        Level.OK if writable else Level.BROKEN,
        f"{folder} can {'' if writable else 'not '}be written",
        "" if writable else "choose another with --recorder.folder",
    )
    free = shutil.disk_usage(place).free
    enough = free >= LEAST_DISK
    yield Finding(
        "disk",
        Level.OK if enough else Level.BROKEN,
        f"{free / 1e9:.1f} GB free",
        "" if enough else "make room, or choose another folder with --recorder.folder",
    )


def check_tracking(folder: str, tracking_uri: str | None) -> Finding:
    """Whether the MLflow store answers; a default store that is not there yet is fine."""
    from rher_pl.cli.preflight import check_tracking_uri

    default = Path(folder, "mlflow.db")
    if tracking_uri is None and not default.exists():
        return Finding("tracking", Level.OK, f"sqlite:///{default}, made by the first run")
    uri = tracking_uri or f"sqlite:///{default}"
    try:
        check_tracking_uri(uri)
    except ConfigError as error:
        message, _, fix = str(error).rpartition(": ")
        return Finding("tracking", Level.BROKEN, message, fix)
    shown = uri if "@" not in uri else uri.partition("://")[0]  # it may hold a password
    return Finding("tracking", Level.OK, f"{shown} answers")


def all_findings(folder: str, tracking_uri: str | None) -> Iterator[Finding]:
    """Every check in turn; one that itself fails is a finding, too."""
    checks: list[Callable[[], Finding | Iterator[Finding]]] = [
        check_python,
        check_packages,
        check_simulator,
        check_rendering,
        check_cpu,
        check_gpu,
        lambda: check_folder(folder),
        lambda: check_tracking(folder, tracking_uri),
    ]
    for check in checks:
        try:
            found = check()
            yield from [found] if isinstance(found, Finding) else found
        except ImportError as error:
            fix = "make setup"
            yield Finding(str(error.name), Level.BROKEN, f"cannot be imported: {error}", fix)
