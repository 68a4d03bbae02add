"""What the fuzz is made of: broken values, bytes, checkpoints and states."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.checkpoints.seal import COMMENT_LENGTH, SEAL_SIZE, seal

CANARY = "executed"
"""File that a pickle's code would make."""

NUMBERS = (0, 1, -1, 2, 3.5, -0.0, 1e308, -1e308, 10**12, -(10**12), 2**63, 10**400, 1e-300)
STRINGS = ("", " ", "nan", ".inf", "-.inf", "null", "true", "💥", "ε" * 200, "a\nb", "\x00", "../x")
OTHERS: tuple[Any, ...] = (None, True, [], [1, 2], [[]], {}, {"a": 1}, {"class_path": "os.system"})


class Trap:
    """Pickles to a call that leaves a file behind."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (Path(CANARY),)


def value(random: Random) -> Any:
    """For an option, mostly a number."""
    kind = random.random()
    if kind < 0.6:
        return random.choice(NUMBERS)
    return random.choice(STRINGS if kind < 0.8 else OTHERS)


def cut(random: Random, data: bytes) -> bytes:
    """Cut off, flip, insert or repeat a few bytes."""
    changed, place = bytearray(data), random.randrange(len(data))
    action = random.randrange(4)
    if action == 0:
        return bytes(changed[:place])
    if action == 1:
        for _ in range(random.randint(1, 8)):
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    elif action == 2:
        changed[place:place] = random.randbytes(random.randint(1, 64))
    else:
        changed[place:place] = changed[place : place + 500]
    return bytes(changed)


# --- checkpoints: each writes a broken one to ``path`` -------------------------------------------


def damaged(random: Random, good: Path, path: Path) -> None:
    """Other bytes under the seal of the good ones."""
    path.write_bytes(cut(random, good.read_bytes()))


def resealed(random: Random, good: Path, path: Path) -> None:
    """Other bytes, with the seal of those."""
    unsealed = good.read_bytes()[: -SEAL_SIZE - COMMENT_LENGTH]
    path.write_bytes(cut(random, unsealed) + bytes(COMMENT_LENGTH))
    with open(path, "rb+") as file:
        seal(file)


def other_content(random: Random, good: Path, path: Path) -> None:
    """Another value, a missing key or code somewhere in the content."""
    content = read_checkpoint_file(good)
    place: Any = content
    while isinstance(place, dict) and place:
        key = random.choice([*place])
        if not isinstance(place[key], dict) or random.random() < 0.3:
            action = random.random()
            if action < 0.2:
                del place[key]
            else:
                place[key] = Trap() if action < 0.4 else value(random)
            break
        place = place[key]
    with suppress(pickle.PicklingError, OSError):
        write_checkpoint(content, path)


def bomb(random: Random, good: Path, path: Path) -> None:
    """An archive that unpacks to far more than it is."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"rher_pl": {}}, protocol=2))
        with archive.open("archive/data/0", "w") as record:
            for _ in range(random.randint(1, 20)):
                record.write(bytes(1 << 20))
    with open(path, "rb+") as file:
        seal(file)


CHECKPOINTS = (damaged, damaged, resealed, other_content, bomb)


# --- states ------------------------------------------------------------------------------------


def _raises(_: Tensor) -> Tensor:
    raise ZeroDivisionError("in the environment")


SPOILS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x * torch.nan,
    lambda x: x + torch.inf,
    lambda x: torch.cat([x, x], dim=-1),
    lambda x: x[..., :-1],
    lambda x: x.double(),
    lambda x: x.long(),
    _raises,
)
"""Of what stands under one key of a state."""
