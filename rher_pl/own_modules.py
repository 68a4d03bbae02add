"""The user's own modules: only those that the user asked for may be run."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

OWN: list[str] = []
"""Names of those imported by :func:`import_own`, so that other processes can import them, too."""
TRUSTED = ("gymnasium.wrappers",)
"""Packages that a checkpoint may name although the user did not ask for them."""


def import_own(name: str) -> None:
    """Import a module of the user, also from the working folder.

    Raises:
        Exception: whatever importing it raises.
    """
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:  # `python -m` adds it, a script does not
        sys.path.insert(0, here)
    importlib.import_module(name)
    OWN.append(name)


def is_own(name: str) -> bool:
    """Whether a module belongs to a package that the user asked for, or to a trusted one.

    Being imported is not enough: ``os``, for example, always is.
    """
    packages = {own.partition(".")[0] for own in OWN}
    return name.partition(".")[0] in packages or any(
        name == trusted or name.startswith(f"{trusted}.") for trusted in TRUSTED
    )


def import_path(of: type) -> str:
    """Import path of a class, such as ``my_package.MyTD3``."""
    return f"{of.__module__}.{of.__qualname__}"
