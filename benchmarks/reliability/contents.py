"""Changes that an attacker could make to a checkpoint's content, each in place."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import Tensor

from benchmarks.reliability import broken

DEEP = 500
"""Levels of nested lists: deeper than any checkpoint is."""

TENSORS: tuple[Callable[[Tensor], Any], ...] = (
    lambda x: x * torch.nan,
    lambda x: x + torch.inf,
    lambda x: x.double() * 1e30,
    lambda x: x[..., :0],
    lambda x: x.flatten(),
    lambda x: x.unsqueeze(0),
    lambda x: x.reshape(-1)[:1].expand(x.shape) if x.numel() else x,
    lambda x: x.mT.contiguous().mT if x.dim() > 1 else x[None].expand(2, *x.shape),
    lambda x: torch.cat([x, x], -1) if x.dim() else x[None],
    lambda x: x.double(),
    lambda x: x.long(),
    lambda x: x.bool(),
    lambda x: x.to(torch.complex64),
    lambda x: x.half(),
    lambda x: -torch.ones_like(x),
    lambda x: torch.full_like(x, 2**30),
    lambda x: x.tolist(),
    lambda x: torch.tensor(float("nan")),
)
"""Ways to change a tensor."""


def dag(levels: int = 40) -> list[Any]:
    """A list of few objects that stands for more items than any memory holds."""
    inner: list[Any] = ["x"]
    for _ in range(levels):
        inner = [inner, inner]
    return inner


def deep() -> list[Any]:
    inner: list[Any] = []
    for _ in range(DEEP):
        inner = [inner]
    return inner


VALUES: tuple[Callable[[], Any], ...] = (
    dag,
    deep,
    lambda: "\x1b[2J\x1b]0;owned\x07",
    lambda: "x" * 2**20,
    lambda: "FetchPush-v4",
    lambda: "‮tpkc",
    lambda: 10**5_000,
    lambda: -1,
    lambda: 2**62,
    lambda: 1e308,
    lambda: float("nan"),
    lambda: [[1.0, 2.0], ["a"]],
    lambda: {"a": {"b": {}}},
    lambda: torch.zeros(3),
    lambda: {1: 2, None: 3},
    lambda: b"bytes",
)
"""What may replace a value, besides what :mod:`broken` has."""


def _places(content: Any, kind: type) -> list[tuple[Any, Any]]:
    """Containers and keys of all values of a type, dicts and lists alike."""
    found, left, seen = [], [content], set()
    while left:
        holder = left.pop()
        if id(holder) in seen:  # shared lists: there are more paths than can be walked
            continue
        seen.add(id(holder))
        items = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, value in items:
            if isinstance(value, kind):
                found.append((holder, key))
            if isinstance(value, (dict, list)):
                left.append(value)
    return found


def other_tensor(random: Random, content: dict[str, Any]) -> None:
    holder, key = random.choice(_places(content, Tensor))
    holder[key] = random.choice(TENSORS)(holder[key])


def other_value(random: Random, content: dict[str, Any]) -> None:
    holder, key = random.choice(_places(content, object))
    own = random.random() < 0.7
    holder[key] = random.choice(VALUES)() if own else broken.value(random)


def missing(random: Random, content: dict[str, Any]) -> None:
    holder, key = random.choice(_places(content, object))
    del holder[key]


def extra(random: Random, content: dict[str, Any]) -> None:
    holder = random.choice([p for p, _ in _places(content, object) if isinstance(p, dict)])
    name = random.choice(["zzz", "\x1b[31m", "_instantiator", "__class__", "x" * 10_000, 7])
    holder[name] = random.choice(VALUES)()


def swapped(random: Random, content: dict[str, Any]) -> None:
    states = content["optimizer_states"]
    if random.random() < 0.5:
        states.reverse()
        return
    holder, key = random.choice(_places(content, Tensor))
    other, name = random.choice(_places(content, Tensor))
    holder[key], other[name] = other[name], holder[key]


def optimizer(random: Random, content: dict[str, Any]) -> None:
    """Change a moment, a step or an option of an optimizer, which native code reads."""
    holder, key = random.choice(_places(content["optimizer_states"], object))
    value = holder[key]
    tensor = isinstance(value, Tensor)
    holder[key] = random.choice(TENSORS)(value) if tensor else random.choice(VALUES)()


def replay(random: Random, content: dict[str, Any]) -> None:
    holder, key = random.choice(_places(content["RelayDataModule"], object))
    value = holder[key]
    tensor = isinstance(value, Tensor)
    holder[key] = random.choice(TENSORS)(value) if tensor else random.choice(VALUES)()


def code(random: Random, content: dict[str, Any]) -> None:
    holder, key = random.choice(_places(content, object))
    holder[key] = broken.Trap()


CONTENTS = (
    other_tensor,
    other_value,
    other_value,
    missing,
    extra,
    swapped,
    optimizer,
    replay,
    code,
)
