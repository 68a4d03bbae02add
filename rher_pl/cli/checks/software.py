"""Whether Python, packages and simulator are versions that train correctly."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rher_pl.cli.checks.finding import Finding, Level
from rher_pl.errors import ConfigError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PACKAGES = ("torch", "torchrl", "tensordict", "lightning", "gymnasium", "gymnasium-robotics")
START_POSE = (1.34, 0.749, 0.535)
"""Where the gripper of FetchReach begins, metres; MuJoCo versions differ by a few millimetres."""
POSE_TOLERANCE = 0.03
STEPS, LEAST_MOVE = 10, 0.2
"""Ten steps of full speed along x move a gripper by about 0.3 m if its weld holds."""


def check_python() -> Finding:
    version = platform.python_version()
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        return Finding("python", Level.OK, version)
    return Finding(
        "python",
        Level.BROKEN,
        version,
        "use 3.10 to 3.13; in a checkout: make setup PYTHON=python3.12",
    )


def check_packages() -> Iterator[Finding]:
    """Installed versions against the ones that this package asks for."""
    required = _required()
    if required is None:
        versions = ", ".join(f"{name} {_version(name) or 'missing'}" for name in PACKAGES)
        yield Finding(
            "packages", Level.SLOW, f"rher_pl runs from its folder; {versions}", "pip install -e ."
        )
        return
    bad: dict[str, str] = {}
    for requirement in required:
        found = _version(requirement.name)
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            bad[requirement.name] = f"{requirement} (found {found or 'none'})"
    if bad:
        yield Finding("packages", Level.BROKEN, ", ".join(bad.values()), install_command(*bad))
    else:
        versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
        yield Finding("packages", Level.OK, versions)


def install_command(*names: str) -> str:
    """What installs packages again in the versions asked for, in a checkout and without one."""
    known = {required.name: str(required.specifier) for required in _required() or []}
    packages = (shlex.quote(name + known.get(name, "")) for name in names)
    return f"pip install --force-reinstall --no-deps {' '.join(packages)}"


def _required() -> list[Requirement] | None:
    """What this package asks for here; None where it runs from its folder."""
    from packaging.requirements import Requirement

    try:
        found = map(Requirement, importlib.metadata.requires("rher_pl") or [])
    except importlib.metadata.PackageNotFoundError:
        return None
    return [each for each in found if each.marker is None or each.marker.evaluate()]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_simulator() -> Iterator[Finding]:
    """MuJoCo's version, where the arm starts, and whether it follows its weld constraint."""
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
        fix = install_command("mujoco", "gymnasium-robotics")
        yield Finding("simulator", Level.BROKEN, _reason(error), fix)


def check_tasks() -> Iterator[Finding]:
    """Whether the files that the suite's models are built on are there, and each task starts."""
    from rher_pl.envs.suite.model import ARM, MATERIALS
    from rher_pl.envs.suite.registration import SUITE
    from rher_pl.tasks import get_task, make_env

    fix = install_command("gymnasium-robotics")
    missing = [str(path) for path in (ARM, MATERIALS) if not path.is_file()]
    if missing:
        yield Finding("tasks", Level.BROKEN, f"no file {', '.join(missing)}", fix)
        return
    broken = False
    for name in SUITE:
        try:
            env = make_env(get_task(name), 1, 0)
            env.reset()
            env.close()
        except Exception as error:  # see check_simulator
            broken = True
            yield Finding(name, Level.BROKEN, f"does not start: {_reason(error)}", fix)
    if not broken:
        yield Finding("tasks", Level.OK, f"all {len(SUITE)} tasks of this package start")


def _reason(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


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
    fix = 'this MuJoCo simulates the arm wrongly: pip install "mujoco==3.10.0"'
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
