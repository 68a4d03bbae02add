"""Which software and hardware a run was made with."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import torch

PACKAGES = (
    "rher_pl",
    "torch",
    "torchrl",
    "tensordict",
    "lightning",
    "jsonargparse",
    "mujoco",
    "gymnasium",
    "gymnasium-robotics",
    "mlflow",
    "numpy",
    "scipy",
    "matplotlib",
)


def versions() -> dict[str, str]:
    """Version of Python and of every package that can change a result, by name."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # rher_pl itself, when run from a folder without being installed
    return found


def hardware() -> dict[str, str]:
    """The CPU, how much of it torch uses, and a GPU that could be used."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.processor()
    return {
        "cpu": str(name or platform.machine()),
        "torch_threads": str(torch.get_num_threads()),
        "platform": platform.platform(),
        **gpu,
    }


def git_state() -> dict[str, str]:
    """``git_commit`` and ``git_dirty`` of the checkout this package is in; empty outside one."""
    ours = _git("ls-files", "--error-unmatch", Path(__file__).name)  # not in someone else's
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    if not (ours and commit):
        return {}
    dirty = {} if changes is None else {"git_dirty": str(bool(changes))}
    return {"git_commit": commit, **dirty}


def commit_label() -> str:
    """Short hash of HEAD, with ``-dirty`` if the package or its configs differ from it."""
    dirty = _git("status", "--porcelain", "--", ":/rher_pl", ":/configs")
    return (_git("rev-parse", "--short", "--verify", "HEAD") or "none") + (
        "-dirty" if dirty else ""
    )


def _git(*arguments: str) -> str | None:
    """What git prints; None if it fails."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
