"""What code and libraries made a record."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "torch",
    "lightning",
    "torchrl",
    "tensordict",
    "numpy",
    "mujoco",
    "gymnasium",
    "gymnasium-robotics",
)


def versions() -> dict[str, str]:
    """Versions of what a curve depends on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Short hash of HEAD, with ``-dirty`` if the trainer or its configs differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    dirty = git("status", "--porcelain", "--", ":/rher_pl", ":/configs")
    return (git("rev-parse", "--short", "--verify", "HEAD") or "none") + ("-dirty" if dirty else "")
