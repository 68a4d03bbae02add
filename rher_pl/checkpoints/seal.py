"""The seal of a checkpoint file: SHA-256 of all bytes before it, as the zip archive's comment.

Any zip tool can still open the archive. A file that was cut short or changed is recognized before
any of its content is interpreted.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from typing import IO

from rher_pl.checkpoints.safety import check_records
from rher_pl.errors import ConfigError

SEAL = b"rher_pl sha256 "
SEAL_SIZE = len(SEAL) + 64
ARCHIVE_END = b"PK\x05\x06"
COMMENT_LENGTH = 2  # bytes, the last field of a zip archive without a comment


def seal(file: IO[bytes]) -> None:
    """Write the digest of a zip archive as its comment; it must not have one yet."""
    end = file.seek(-COMMENT_LENGTH, os.SEEK_END)
    digest = _digest(file, end)
    file.seek(end)
    file.write(struct.pack("<H", SEAL_SIZE) + SEAL + digest)


def check_seal(file: IO[bytes]) -> None:
    """Raise :class:`ConfigError` unless the file carries the seal of its own content.

    An archive without a seal, as a plain ``trainer.save_checkpoint`` writes it, passes if the
    checksums of its records match.
    """
    size = file.seek(0, os.SEEK_END)
    if _ends_without_comment(file, size):
        check_records(file)
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:
                raise ConfigError("is damaged (a checksum does not match)")
        return
    end = size - SEAL_SIZE - COMMENT_LENGTH
    file.seek(max(end + COMMENT_LENGTH, 0))
    found = file.read()
    if end <= 0 or not found.startswith(SEAL):
        raise ConfigError("is damaged, or was not written by this version of rher_pl")
    if _digest(file, end) != found.removeprefix(SEAL):
        raise ConfigError("is damaged (its checksum does not match)")


def _ends_without_comment(file: IO[bytes], size: int) -> bool:
    """Whether the file ends as a zip archive without a comment does."""
    file.seek(max(size - len(ARCHIVE_END) - 18, 0))
    end = file.read()
    return end.startswith(ARCHIVE_END) and end.endswith(bytes(COMMENT_LENGTH))


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
