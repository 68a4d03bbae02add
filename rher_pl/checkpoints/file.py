"""Checkpoint files: written whole or not at all, and proved whole before they are read.

A checkpoint is one file of ``torch.save`` (a zip archive whose records are not compressed) with a
seal, see ``seal.py``. What may be in it, ``safety.py`` says; what its keys mean, ``layout.py``.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import rher_pl
from rher_pl.checkpoints.layout import make_header
from rher_pl.checkpoints.safety import check_records, check_sizes
from rher_pl.checkpoints.seal import check_seal, seal
from rher_pl.checkpoints.upgrade import upgraded
from rher_pl.errors import ConfigError, require
from rher_pl.paths import is_file

VERSIONED = ("torch", "lightning", "torchrl", "tensordict", "mujoco")


def versions() -> dict[str, str]:
    """Versions that decide whether a checkpoint means the same here, by package."""
    found = {name: importlib.metadata.version(name) for name in VERSIONED}
    return {"rher_pl": rher_pl.__version__} | found


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Replace ``path`` in one step; until then the file that was there stays.

    Raises:
        OSError: if it cannot be written, for example because the disk is full. Nothing changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    try:
        with open(draft, "wb+") as file:
            torch.save(make_header(versions()) | without_marks(content), file)
            seal(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, RuntimeError):  # torch's writer hides the reason behind one of these
            raise _reason(error) from error
        raise
    sync_folder(path.parent)


def without_marks(content: Any, done: dict[int, Any] | None = None) -> Any:
    """The same dicts, lists and tuples, tensors free of what was hung on them.

    ``torch.compile`` marks tensors whose memory stays where it is. A tensor with a mark is written
    as a type of its own, which no file may hold. What is in several places stays one thing.

    Args:
        content: of a checkpoint.
        done: what came of each container by its id, while they are gone through.
    """
    done = {} if done is None else done
    if isinstance(content, Tensor):
        return content.detach() if vars(content) else content
    if type(content) not in (dict, list, tuple) or id(content) in done:
        return done.get(id(content), content)
    if type(content) is tuple:
        done[id(content)] = tuple(without_marks(value, done) for value in content)
    elif type(content) is list:
        copied: list[Any] = []
        done[id(content)] = copied
        copied.extend(without_marks(value, done) for value in content)
    else:
        filled: dict[Any, Any] = {}
        done[id(content)] = filled
        filled.update((key, without_marks(value, done)) for key, value in content.items())
    return done[id(content)]


def _reason(error: BaseException) -> OSError:
    """What the system said while torch's writer failed."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause or OSError(str(error).partition("\n")[0])


def remove_drafts(folder: Path) -> None:
    """Of a process that was killed while it wrote a checkpoint."""
    for draft in folder.glob("*.ckpt.draft"):
        draft.unlink(missing_ok=True)


def link_checkpoint(path: Path, name: str) -> None:
    """Give a whole checkpoint a second name beside it in one step; copied only if it must be."""
    draft = path.with_name(name + ".draft")
    draft.unlink(missing_ok=True)
    try:
        os.link(path, draft)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, draft)
    os.replace(draft, path.with_name(name))
    draft.unlink(missing_ok=True)  # of a name that was one of this file already
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a change of names in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_file(path: Path) -> None:
    """Raise :class:`ConfigError` unless there is a file of that name."""
    require(is_file(path), f"no checkpoint {str(path)!r:.200}: give the path of a .ckpt file")


def read_checkpoint_file(path: Path) -> dict[str, Any]:
    """The content on the CPU, in this version's layout, after every check that needs no trust.

    Raises:
        ConfigError: in one line, why the file cannot be used.
    """
    require_file(path)
    try:
        with open(path, "rb") as file:
            check_seal(file)
            size = check_records(file)
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
        check_sizes(content, size)
    except ConfigError as error:
        raise ConfigError(f"checkpoint {path} {error}: give another .ckpt file") from error
    except Exception as error:  # torch raises many types for a file that it cannot read
        raise ConfigError(
            f"checkpoint {path} is damaged or cannot be read ({type(error).__name__}): "
            "give another .ckpt file"
        ) from error
    return upgraded(content, f"checkpoint {path}")
