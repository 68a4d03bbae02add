"""Files and folders that a user names: refused before anything is written, if they cannot be used.

Each check raises :class:`ConfigError` with one line that says what to write instead.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from rher_pl.errors import ConfigError, require

LONGEST_NAME, LONGEST_PATH = 255, 4_000
"""Bytes; Linux takes no more."""
READ_AS_ADDRESS = "?#%"
"""Characters that mean something else in a URI, of which MLflow makes one from a path."""


def require_name(path: str | Path, option: str) -> Path:
    """A path that a file can have.

    Args:
        path: as the user wrote it.
        option: that it was written for, for the message.
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
    """A path that means the same inside a URI."""
    odd = sorted(set(READ_AS_ADDRESS) & set(str(Path(path).absolute())))
    require(
        not odd,
        f"{option} {str(path)[:80]!r} lies in a path with {' '.join(odd)}, which MLflow reads as "
        "part of an address: choose a path without",
    )


def is_special(path: str | Path) -> bool:
    """Whether a path names a pipe, a device or a socket, which would be waited for or obeyed."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # there is none, or no file can have that name
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def exists(path: str | Path) -> bool:
    """Whether there is anything of that name; not, for a name that no file can have."""
    try:
        return os.path.lexists(path)
    except (OSError, ValueError):
        return False


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; not, for a name that no file can have."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def check_writable(folder: str | Path, option: str = "--recorder.folder") -> None:
    """Whether files can be made in an output folder, or the folder itself; nothing is left there.

    Args:
        folder: that need not exist yet.
        option: that names it, for the message.
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
    """Whether a file can be written, before what it will hold is worked out."""
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
