"""Checkpoint files: written whole or not at all, and checked before they are read.

A checkpoint is one file of ``torch.save`` (a zip archive whose records are not compressed) with a
seal, see ``seal.py``. ``safety.py`` says what it may hold, ``layout.py`` what its keys mean.
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
    """Versions of the packages on which the meaning of a checkpoint depends, by name."""
    found = {name: importlib.metadata.version(name) for name in VERSIONED}
    return {"rher_pl": rher_pl.__version__} | found


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint; ``path`` is replaced in one step, and until then its old file stays.

    Raises:
        OSError: if it cannot be written, for example because the disk is full. The old file stays.
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
        if isinstance(error, RuntimeError):  # torch's writer hides the OSError behind it
            raise _reason(error) from error
        raise
    sync_folder(path.parent)


def without_marks(content: Any, done: dict[int, Any] | None = None) -> Any:
    """A copy of dicts, lists and tuples in which tensors have no Python attributes.

    ``torch.compile`` sets attributes on tensors whose memory stays where it is. ``torch.save``
    writes a tensor with attributes as another type, which no checkpoint may hold. An object that
    occurs in several places stays one object.

    Args:
        content: of a checkpoint.
        done: copies made so far, by the id of the original container.
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
    """The OSError that made torch's writer fail."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause or OSError(str(error).partition("\n")[0])


def remove_drafts(folder: Path) -> None:
    """Remove what a process left that was killed while it wrote a checkpoint."""
    for draft in folder.glob("*.ckpt.draft"):
        draft.unlink(missing_ok=True)


def link_checkpoint(path: Path, name: str) -> None:
    """Give a checkpoint a second name in its folder, in one step; copied if links fail."""
    draft = path.with_name(name + ".draft")
    draft.unlink(missing_ok=True)
    try:
        os.link(path, draft)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, draft)
    os.replace(draft, path.with_name(name))
    draft.unlink(missing_ok=True)  # os.replace leaves it if both names are of one file
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
    """Read and check a file without running code from it; tensors are on the CPU.

    Contents of earlier formats are converted to the present one.

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
