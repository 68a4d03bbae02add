"""What the fuzz is made of: broken values, bytes and states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

CANARY = "executed"
"""File that exists if code in a pickle was run."""

NUMBERS = (0, 1, -1, 2, 3.5, -0.0, 1e308, -1e308, 10**12, -(10**12), 2**63, 10**400, 1e-300)
STRINGS = ("", " ", "nan", ".inf", "-.inf", "null", "true", "💥", "ε" * 200, "a\nb", "\x00", "../x")
OTHERS: tuple[Any, ...] = (None, True, [], [1, 2], [[]], {}, {"a": 1}, {"class_path": "os.system"})


class Trap:
    """Pickles to a call that leaves a file behind."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (Path(CANARY),)


def value(random: Random) -> Any:
    """A broken value for an option, mostly a number."""
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
"""Ways to spoil what stands under one key of a state."""
