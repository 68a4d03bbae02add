"""Checkpoint files: written whole or not at all, and proved whole before they are read.

A checkpoint is one file of ``torch.save`` (a zip archive whose records are not compressed). Its zip
comment is a seal, the SHA-256 of all bytes before it, so any tool can still open it and a file that
was cut short or changed is told from a whole one before a byte of it is interpreted.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import pickletools
import shutil
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins import CheckpointIO
from torch import Tensor

import rher_pl
from rher_pl.errors import ConfigError

FORMAT = 1
"""Raised when a checkpoint of an earlier version could not be continued or evaluated."""
SEAL = b"rher_pl sha256 "
SEAL_SIZE = len(SEAL) + 64
COMMENT_LENGTH = 2  # bytes, the last field of a zip archive without a comment
VERSIONED = ("torch", "lightning", "torchrl", "tensordict", "mujoco")
STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
CALLED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {name}Storage" for name in STORAGES),
}
"""All that a checkpoint of tensors and plain types needs to name in its pickle."""


class SealedCheckpointIO(CheckpointIO):
    """How the trainer writes and reads checkpoints."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        return read_checkpoint_file(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


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
    header = {"format": FORMAT, "versions": versions()}
    try:
        with open(draft, "wb+") as file:
            torch.save({"header": header, **content}, file)
            seal(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, RuntimeError):  # torch's writer hides the reason in its message
            raise OSError(str(error).partition("\n")[0]) from error
        raise
    sync_folder(path.parent)


def seal(file: IO[bytes]) -> None:
    """Make the digest of a zip archive without a comment its comment."""
    end = file.seek(-COMMENT_LENGTH, os.SEEK_END)
    digest = _digest(file, end)
    file.seek(end)
    file.write(struct.pack("<H", SEAL_SIZE) + SEAL + digest)


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


def is_whole(path: Path) -> bool:
    """Whether the file carries the seal of its own content."""
    try:
        with open(path, "rb") as file:
            _check_seal(file)
    except (OSError, ConfigError):
        return False
    return True


def read_checkpoint_file(path: Path) -> dict[str, Any]:
    """The content on the CPU, after every check that needs no trust in the file.

    Raises:
        ConfigError: in one line, why the file cannot be used.
    """
    try:
        with open(path, "rb") as file:
            _check_seal(file)
            size = _check_records(file)
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
        _check_sizes(content, size)
    except ConfigError as error:
        raise ConfigError(f"checkpoint {path} {error}: give --ckpt_path another file") from error
    except Exception as error:  # torch raises many types for a file that it cannot read
        raise ConfigError(
            f"checkpoint {path} is damaged or cannot be read ({type(error).__name__}): "
            "give --ckpt_path another file"
        ) from error
    _check_header(path, content)
    return content


def _check_seal(file: IO[bytes]) -> None:
    size = file.seek(0, os.SEEK_END)
    end = size - SEAL_SIZE - COMMENT_LENGTH
    file.seek(max(end + COMMENT_LENGTH, 0))
    found = file.read()
    if end <= 0 or not found.startswith(SEAL):
        raise ConfigError("is damaged, or was not written by this version of rher_pl")
    if _digest(file, end) != found.removeprefix(SEAL):
        raise ConfigError("is damaged (its checksum does not match)")


def _digest(file: IO[bytes], size: int) -> bytes:
    """SHA-256 in hexadecimal of the first ``size`` bytes."""
    digest, left = hashlib.sha256(), size
    file.seek(0)
    while left:
        chunk = file.read(min(left, 1 << 20))
        if not chunk:
            raise OSError("the file became shorter while it was read")
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest().encode()


def _check_records(file: IO[bytes]) -> int:
    """Nothing may be larger inside than outside, or be called; returns the file's size."""
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
        packed = any(record.compress_type != zipfile.ZIP_STORED for record in records)
        if packed or sum(record.file_size for record in records) > size:
            raise ConfigError("holds compressed or overlapping records, as no checkpoint does")
        for record in records:
            if record.filename.endswith("data.pkl"):
                called = {
                    argument
                    for opcode, argument, _ in pickletools.genops(archive.read(record))
                    if opcode.name in ("GLOBAL", "STACK_GLOBAL", "INST")
                }
                if unwanted := sorted(map(str, called - CALLED)):
                    raise ConfigError(f"holds code or foreign types ({unwanted[0]:.80})")
    return size


def _check_sizes(content: Any, size: int) -> None:
    """No tensor may claim more memory than the file has bytes."""
    for tensor in _tensors(content, set()):
        if tensor.untyped_storage().nbytes() > size or tensor.nbytes > size:
            raise ConfigError("holds a tensor larger than the file itself")


def _tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """All tensors in nested containers; each container is entered once."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)) and id(value) not in seen:
        seen.add(id(value))
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item, seen)


def _check_header(path: Path, content: Any) -> None:
    header = content.get("header") if isinstance(content, dict) else None
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        raise ConfigError(
            f"checkpoint {path} has format {found!r:.20}, this version reads {FORMAT}: "
            "use the version of rher_pl that wrote it"
        )
