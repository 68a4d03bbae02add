"""Trained policies that come with the package, by name, each with its card."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
SUFFIX = ".ckpt"


def known_policies() -> list[str]:
    """Names of the policies that are here, sorted."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def policy_file(name: str) -> Path:
    """The file of a policy; it has the layout of a checkpoint, cut down to the policy."""
    return FOLDER / f"{name}{SUFFIX}"


def card_file(name: str) -> Path:
    """The policy's card, in Markdown."""
    return FOLDER / f"{name}.md"
