"""Modules of the user's own that were asked for, and so may be run."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

OWN: list[str] = []
"""Names of those imported by :func:`import_own`, so that other processes can import them, too."""
TRUSTED = ("gymnasium.wrappers",)
"""May be named by a checkpoint although nobody asked for them."""


def import_own(name: str) -> None:
    """Import a module of the user's, from the working folder too.

    Raises:
        Exception: what importing it raises.
    """
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:  # as `python -m` has it, a script not
        sys.path.insert(0, here)
    importlib.import_module(name)
    OWN.append(name)


def is_own(name: str) -> bool:
    """Whether a module is of a package that was asked for, or trusted.

    That it is imported is not enough: much is, such as ``os``.
    """
    packages = {own.partition(".")[0] for own in OWN}
    return name.partition(".")[0] in packages or any(
        name == trusted or name.startswith(f"{trusted}.") for trusted in TRUSTED
    )


def import_path(of: type) -> str:
    """Of a class, such as ``my_package.MyTD3``."""
    return f"{of.__module__}.{of.__qualname__}"
