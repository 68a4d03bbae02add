"""What a checkpoint file may hold: tensors and plain types, none larger than the file itself."""

from __future__ import annotations

import os
import pickletools
import zipfile
from collections.abc import Iterator
from typing import IO, Any

from torch import Tensor

from rher_pl.errors import ConfigError

STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
CALLED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {name}Storage" for name in STORAGES),
}
"""All that a checkpoint of tensors and plain types needs to name in its pickle."""


def check_records(file: IO[bytes]) -> int:
    """Nothing may be larger inside than outside, or be called; returns the file's size in bytes."""
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
        packed = any(record.compress_type != zipfile.ZIP_STORED for record in records)
        if packed or sum(record.file_size for record in records) > size:
            raise ConfigError("holds compressed or overlapping records, as no checkpoint does")
        for record in records:
            if record.filename.endswith("data.pkl"):
                _check_pickle(archive.read(record))
    return size


def _check_pickle(data: bytes) -> None:
    called = {
        argument
        for opcode, argument, _ in pickletools.genops(data)
        if opcode.name in ("GLOBAL", "STACK_GLOBAL", "INST")
    }
    if unwanted := sorted(map(str, called - CALLED)):
        raise ConfigError(f"holds code or foreign types ({unwanted[0]:.80})")


def check_sizes(content: Any, size: int) -> None:
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
