"""The library in C++: built for this machine, kept in a folder of the user's own, and loaded.

``$XDG_CACHE_HOME/rher_pl/native`` (``~/.cache`` if that is not set) holds one file for each version
of the source, compiler, set of flags and kind of CPU. A file that another user could have written
is never loaded.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from rher_pl.errors import warn
from rher_pl.system import has_owners

FLAGS = (
    *("-std=c++20", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    *("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
)
SEAL = hashlib.sha256().digest_size
"""Bytes of the digest that is appended to a library's file; loaders of libraries ignore it."""


class Unavailable(RuntimeError):
    """The library is not available on this machine; the message says why in a few words."""


class Call(ctypes.Structure):
    """Sizes and settings of a call, as in ``learning.cpp``."""

    _fields_ = [
        *[(name, ctypes.c_int32) for name in ("batch", "inputs", "actions", "hidden", "layers")],
        *[(name, ctypes.c_int32) for name in ("critics", "threads", "reduced")],
        *[(name, ctypes.c_int32) for name in ("updates", "bounded")],
        *[(name, ctypes.c_int64) for name in ("phase", "policy_delay")],
        *[(name, ctypes.c_double) for name in ("gamma", "noise_clip", "action_l2")],
        *[(name, ctypes.c_double) for name in ("tau", "average_rate")],
        *[(name, ctypes.c_double * 4) for name in ("critic_adam", "actor_adam")],
    ]


def load() -> ctypes.CDLL:
    """The library, found or built; building takes seconds, the first time only.

    Raises:
        Unavailable: if it cannot be built or loaded, for example without a compiler.
    """
    found = _find_or_build()
    if isinstance(found, str):
        raise Unavailable(found)
    return found


def is_available() -> bool:
    """Whether :func:`load` succeeds on this machine."""
    return not isinstance(_find_or_build(), str)


@cache
def _find_or_build() -> ctypes.CDLL | str:
    """The library, or why there is none."""
    try:
        compiler = _compiler()
        name = f"{_identity(compiler)}.so"
        folder = _own_folder()
        found = _open(folder / name) if folder else None
        if found is None:
            found = _build(compiler, folder, name)
    # ValueError: CXX cannot be parsed. RuntimeError: the user has no home folder.
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError, Unavailable) as error:
        return " ".join(str(error).split())[:200]
    return found


def _compiler() -> list[str]:
    """The compiler's command with all flags; ``RHER_NATIVE_FLAGS`` adds more."""
    if not has_owners():
        raise Unavailable("no C++ on this system, as its files do not show who owns them")
    chosen = os.environ.get("CXX")
    for words in [shlex.split(chosen)] if chosen else [["g++"], ["clang++"], ["c++"]]:
        if words and shutil.which(words[0]):
            return [*words, *FLAGS, *shlex.split(os.environ.get("RHER_NATIVE_FLAGS", ""))]
    raise Unavailable(f"there is no C++ compiler ({chosen or 'g++, clang++ or c++'})")


def _identity(compiler: list[str]) -> str:
    """Digest of sources, flags, and the macros by which the compiler names itself and this CPU."""
    macros = _run([*compiler, "-E", "-dM", "-x", "c++", os.devnull])
    sources = [path.read_bytes() for path in sorted(_sources())]
    parts = [*sources, " ".join(compiler).encode(), macros]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _sources() -> list[Path]:
    here = Path(__file__).parent
    return [*here.glob("*.h"), *here.glob("*.cpp")]


def _run(command: list[str]) -> bytes:
    done = subprocess.run(command, capture_output=True, timeout=600)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines() or ["no message"]
        error = next((line for line in lines if "error" in line), lines[0])
        raise Unavailable(f"{command[0]} fails: {error}")
    return done.stdout


def _own_folder() -> Path | None:
    """Folder in which libraries are kept; None if it cannot be made, or is not the user's own."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = base / "rher_pl" / "native"
    try:
        base.mkdir(parents=True, exist_ok=True)
        for part in (folder.parent, folder):
            part.mkdir(mode=0o700, exist_ok=True)
            info = part.lstat()
            if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
                raise PermissionError(f"{part} is not this user's own folder")
            part.chmod(0o700)
        return folder
    except OSError as error:
        warn(f"{error}: the C++ learner is built anew for this run")
        return None


def _build(compiler: list[str], folder: Path | None, name: str) -> ctypes.CDLL:
    """Compile and load the library, and keep it in ``folder`` if there is one."""
    with tempfile.TemporaryDirectory(prefix="rher_pl-", dir=folder) as private:
        built = Path(private) / name
        _run([*compiler, str(Path(__file__).with_name("learning.cpp")), "-o", str(built)])
        content = built.read_bytes()
        built.write_bytes(content + hashlib.sha256(content).digest())
        built.chmod(0o600)
        # Loaded from here, as a path from which a library was loaded before gives that one again.
        library = _open(built)
        if library is None:
            raise Unavailable(f"the library that {compiler[0]} built cannot be loaded")
        if folder is not None:
            os.replace(built, folder / name)
    return library


def _open(path: Path) -> ctypes.CDLL | None:
    """The library in a file, if that is the user's own, complete, and fits ``Call``; else None."""
    try:
        # Do not follow a link, and do not wait for a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            info = os.fstat(descriptor)
            own = stat.S_ISREG(info.st_mode) and info.st_uid == os.getuid()
            content = file.read() if own and not info.st_mode & 0o022 else b""
        if hashlib.sha256(content[:-SEAL]).digest() != content[-SEAL:]:
            return None
        library = ctypes.CDLL(str(path))
        library.scratch_size.restype = ctypes.c_int64
        library.learn.restype = None
        return library if library.sizeof_call() == ctypes.sizeof(Call) else None
    except (OSError, AttributeError):
        return None
