"""YAML from a user is checked to be small, finite and free of pipes before it is resolved.

A few lines can stand for more than any memory holds (``&a [*b, *b]``), or contain themselves.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

from rher_pl.cli.shipped_configs import OPTIONS
from rher_pl.errors import ConfigError, require
from rher_pl.paths import exists, is_special

MOST_BYTES = 2**20
MOST_NODES = 20_000
MOST_DEPTH = 20
NO_FILE = "write the path of a YAML file, or the name of a shipped config, such as push"
_BEGIN = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_END = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


def check_yaml(text: str) -> None:
    """Raise :class:`ConfigError` for YAML that is too large, or names a pipe or a device.

    Raises:
        yaml.YAMLError: if the text is not YAML.
    """
    require(len(text) <= MOST_BYTES, f"a config is larger than {MOST_BYTES:,} characters")
    whole: dict[str | None, int] = {}  # values below each anchor, aliases resolved
    open_anchors: list[str | None] = []
    counts = [0]  # values so far, in each list or mapping that is open
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, _BEGIN):
            open_anchors.append(event.anchor)
            counts.append(1)
        elif isinstance(event, yaml.ScalarEvent):
            _check_scalar(event.value)
            counts[-1] += 1
            whole[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            require(
                event.anchor not in open_anchors,
                f"a config contains itself (*{event.anchor:.40}): write out what is meant",
            )
            counts[-1] += whole.get(event.anchor, 1)
        elif isinstance(event, _END):
            closed = counts.pop()
            whole[open_anchors.pop()] = closed
            counts[-1] += closed
        require(
            len(counts) <= MOST_DEPTH and sum(counts) <= MOST_NODES,
            f"a config is nested in more than {MOST_DEPTH} levels, or stands for more than "
            f"{MOST_NODES:,} values: no option needs that",
        )


def _check_scalar(value: str) -> None:
    require(
        not is_special(value),
        f"{value[:80]!r} in a config is a pipe or a device: write the path of a file",
    )
    if "&" in value and "*" in value:  # jsonargparse resolves text in quotes once more
        with suppress(yaml.YAMLError):
            check_yaml(value)


def read_config(path: Path) -> str:
    """The text of a config file, which must be a regular file and not a large one."""
    shown = f"config {str(path)[:80]!r}"
    try:
        info = path.stat()
        require(stat.S_ISREG(info.st_mode), f"{shown} is not a file: {NO_FILE}")
        require(info.st_size <= MOST_BYTES, f"{shown} is larger than {MOST_BYTES:,} bytes")
        return path.read_text(encoding="utf-8")
    except ConfigError:
        raise
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown} is not text in UTF-8: {NO_FILE}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{shown} cannot be read ({reason}): {NO_FILE}") from error


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise :class:`ConfigError` if a value names a pipe or device, or a config is unreadable."""
    for before, argument in zip(["", *arguments], arguments):
        option, _, value = argument.partition("=")
        if not option.startswith("-"):
            option, value = before, argument
        require(
            not is_special(value),
            f"{option[:40]} {value[:80]!r} is a pipe or a device: write the path of a file",
        )
        with suppress(yaml.YAMLError):
            check_yaml(value)
        if option in OPTIONS and exists(value):
            read_config(Path(value))


def guard_loader() -> None:
    """Let jsonargparse resolve only YAML that :func:`check_yaml` passes."""
    original: Callable[[str], Any] = get_loader("yaml")
    if getattr(original, "is_guarded", False):
        return

    def load(text: str) -> Any:
        check_yaml(text)
        return original(text)

    load.is_guarded = True  # type: ignore[attr-defined]
    set_loader("yaml", load, (yaml.YAMLError,))
