"""Options of a command line as small frozen settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

Settings = TypeVar("Settings")


def settings_of(kind: type[Settings], options: Mapping[str, Any], **others: Any) -> Settings:
    """Make a dataclass from the options that have the names of its fields.

    Args:
        kind: the dataclass.
        options: by name; those without a field are ignored.
        others: values that replace those of ``options``.
    """
    named = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**({name: options[name] for name in named if name in options} | others))
