"""Files and folders that a user names; unusable ones are refused before anything is written.

Each check raises :class:`ConfigError` with one line that says what to write instead.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from rher_pl.errors import ConfigError, require

LONGEST_NAME, LONGEST_PATH = 255, 4_000
"""Bytes, within the limits of Linux."""
READ_AS_ADDRESS = "?#%"
"""Characters with a special meaning in a URI; MLflow makes a URI from a path."""


def require_name(path: str | Path, option: str) -> Path:
    """Refuse a path that no file can have; returns the path.

    Args:
        path: as the user wrote it.
        option: that the path was given to, for the message.
    """
    text = str(path) if path != "" else ""  # Path("") is the working folder
    require(bool(text.strip()), f"{option} is empty: write a name")
    encoded = os.fsencode(text) if "\x00" not in text else b""
    fits = bool(encoded) and len(encoded) <= LONGEST_PATH
    fits = fits and all(len(part) <= LONGEST_NAME for part in encoded.split(b"/"))
    require(
        fits and text.isprintable(),
        f"{option} {text[:80]!r} is no name that a file can have: write a shorter or plainer one",
    )
    return Path(text)


def require_plain(path: str | Path, option: str) -> None:
    """Refuse a path that would mean something else inside a URI."""
    odd = sorted(set(READ_AS_ADDRESS) & set(str(Path(path).absolute())))
    require(
        not odd,
        f"{option} {str(path)[:80]!r} lies in a path with {' '.join(odd)}, which MLflow reads as "
        "part of an address: choose a path without",
    )


def is_special(path: str | Path) -> bool:
    """Whether a path names a pipe, a device or a socket: using one may block or have effects."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # no such file, or a name that no file can have
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def exists(path: str | Path) -> bool:
    """Whether there is anything of that name; False for a name that no file can have."""
    try:
        return os.path.lexists(path)
    except (OSError, ValueError):
        return False


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; False for a name that no file can have."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def check_writable(folder: str | Path, option: str = "--recorder.folder") -> None:
    """Check that an output folder can be made or written to; leaves nothing behind.

    Args:
        folder: to check; it need not exist yet.
        option: that names the folder, for the message.
    """
    path = require_name(folder, option)
    reason = ""
    try:
        there = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
        if not there.is_dir():
            reason = f"{there} is no folder"
        elif there == path:
            with tempfile.TemporaryFile(dir=path):
                pass
        elif not os.access(there, os.W_OK | os.X_OK):
            reason = f"{there} cannot be written to"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise ConfigError(
            f"cannot write to the output folder {str(folder)[:80]!r} ({reason[:120]}): "
            f"choose another with {option}"
        )


def check_output_file(path: str | Path, option: str) -> Path:
    """Check that a file can be written, before its content is computed; returns its path."""
    file = require_name(path, option)
    require(not file.is_dir(), f"{option} {str(file)[:80]!r} is a folder: write a file's name")
    require(
        not file.is_fifo(), f"{option} {str(file)[:80]!r} is a pipe: write the name of a plain file"
    )
    require(
        file.parent.is_dir(),
        f"no folder {str(file.parent)[:80]!r}: make it, or write {option} {file.name[:40]}",
    )
    writable = os.access(file if file.exists() else file.parent, os.W_OK)
    require(writable, f"cannot write {option} {str(file)[:80]!r}: choose another place")
    return file
