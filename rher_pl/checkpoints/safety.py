"""What a checkpoint file may hold: tensors and plain types, none larger than the file itself."""

from __future__ import annotations

import os
import pickletools
import zipfile
from typing import IO, Any

from torch import Tensor

from rher_pl.errors import ConfigError

STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
CALLED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {name}Storage" for name in STORAGES),
}
"""The names that the pickle of tensors and plain types needs; no others are allowed."""
MOST_LEVELS = 50
"""Most levels of dicts and lists inside each other."""


def check_records(file: IO[bytes]) -> int:
    """Refuse compressed or overlapping records, and pickles that name code.

    Returns:
        Size of the file in bytes.

    Raises:
        ConfigError: says what it holds.
    """
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
    """Refuse a tensor larger than the file, and lists that stand for more items than it has bytes.

    Args:
        content: of a checkpoint.
        size: of the file, in bytes.

    Raises:
        ConfigError: says what it holds.
    """
    if _items(content, size, {}, MOST_LEVELS) > size:
        raise ConfigError("holds lists that contain each other, as no checkpoint does")


def _items(value: Any, size: int, known: dict[int, int], levels: int) -> int:
    """Number of values in nested containers, counted once for each way to reach them."""
    if isinstance(value, Tensor):
        if value.untyped_storage().nbytes() > size or value.nbytes > size:
            raise ConfigError("holds a tensor larger than the file itself")
        return 1
    if not isinstance(value, (dict, list, tuple)):
        return 1
    if levels == 0:
        raise ConfigError(f"is nested in more than {MOST_LEVELS} levels, as no checkpoint is")
    if id(value) not in known:
        known[id(value)] = size + 1  # counts as too many if it contains itself
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_items(item, size, known, levels - 1) for item in inner)
    return known[id(value)]
