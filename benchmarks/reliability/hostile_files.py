"""Checkpoint files as an attacker would write them.

Each is a real small one in which something was changed: bytes, the pickle, or the content.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from random import Random

from benchmarks.reliability import broken
from benchmarks.reliability.contents import CONTENTS
from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.checkpoints.seal import COMMENT_LENGTH, SEAL_SIZE, seal

PICKLES = (
    b"\x80\x02]q\x00h\x00a.",  # a list that contains itself
    b"\x80\x02cos\nsystem\nX\x0e\x00\x00\x00touch executed\x85R.",
    b"cposix\nsystem\n(S'touch executed'\ntR.",
    b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0etouch executed\x85R.",
    b"(S'touch executed'\nios\nsystem\n.",
    b"\x80\x02\x82\x01.",
    b"\x80\x02Q.",
    b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    b"\x80\x02\x8b\x00\x00\x00\x10.",
    b"\x80\x02X\xff\xff\xff\x7f.",
    b"\x80\x02}\x940.",
    b"\x80\x02r\xff\xff\xff\xff.",
    b"\x80\x02}X\x05\x00\x00\x00__setq\x00}b.",
    b"",
    b".",
)


def other_pickle(random: Random, good: bytes) -> bytes:
    """The same records with another or a damaged pickle."""
    source = zipfile.ZipFile(io.BytesIO(good))
    target = io.BytesIO()
    own = random.choice(PICKLES) if random.random() < 0.5 else None
    with zipfile.ZipFile(target, "w") as archive:
        for record in source.infolist():
            data = source.read(record)
            if record.filename.endswith("data.pkl"):
                data = broken.cut(random, data) if own is None else own
            archive.writestr(record.filename, data)
    return target.getvalue()


def other_bytes(random: Random, good: bytes) -> bytes:
    return broken.cut(random, good[: -SEAL_SIZE - COMMENT_LENGTH]) + bytes(COMMENT_LENGTH)


def packed(random: Random, good: bytes) -> bytes:
    """An archive that unpacks to far more than its own size."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"rher_pl": {}}, protocol=2))
        archive.writestr("archive/data/0", bytes(random.randint(1, 20) << 20))
    return target.getvalue()


BYTES = (other_pickle, other_pickle, other_pickle, other_bytes, other_bytes, packed)


def make_hostile(random: Random, good: Path, path: Path, sealed: bool) -> None:
    """Write a hostile checkpoint, with a seal that fits it or with that of the real one."""
    if random.random() < 0.3:
        path.write_bytes(random.choice(BYTES)(random, good.read_bytes()))
        if sealed:
            with open(path, "rb+") as file:
                seal(file)
        return
    content = read_checkpoint_file(good)
    with suppress(AttributeError, IndexError, RuntimeError, TypeError):  # not possible there
        for _ in range(random.choice([1, 1, 1, 2, 4])):
            random.choice(CONTENTS)(random, content)
    with suppress(pickle.PicklingError, OSError, RecursionError, AttributeError):
        write_checkpoint(content, path)
    if not sealed and path.exists():
        whole = path.read_bytes()
        digest = good.read_bytes()[-SEAL_SIZE:]
        path.write_bytes(whole[:-SEAL_SIZE] + digest)
