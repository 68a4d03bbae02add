"""What can compute an update's gradients, and whether two of them compute the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

import torch
from torch import Tensor

from rher_pl.errors import ConfigError
from rher_pl.networks.actor_critic import Actor

Gradients = tuple[Tensor, ...]


class Engine(str, Enum):
    """What computes gradients; all of them compute the same, but for rounding."""

    plain = "plain"
    """PyTorch, one operation after the other."""
    native = "native"
    """C++ on a CPU, see :mod:`rher_pl.learner.native`: one or two critics without layer norm."""
    compiled = "compiled"
    """``torch.compile``."""


def agree(
    expected: Sequence[Tensor | Gradients], found: Sequence[Tensor | Gradients], tolerance: float
) -> bool:
    """Whether gradients, losses and values are the same but for rounding; NaN agrees with NaN.

    Each part may differ by ``tolerance`` of its norm; the gradients of a network are one part.
    """

    def flat(part: Tensor | Gradients) -> Tensor:
        values = [part] if isinstance(part, Tensor) else part
        return torch.cat([value.detach().float().flatten() for value in values])

    def same(a: Tensor, b: Tensor) -> bool:
        difference = (a - b).nan_to_num().norm()
        return a.isnan().equal(b.isnan()) and bool(difference <= tolerance * a.nan_to_num().norm())

    return all(same(flat(a), flat(b)) for a, b in zip(expected, found, strict=True))


def random_sample(actor: Actor, batch_size: int) -> dict[str, Tensor]:
    """An encoded sample [B] of no meaning; PyTorch's own generator stands still."""
    generator = torch.Generator().manual_seed(0)
    layers = actor.net.layers()
    width, actions = layers[0][0].shape[1], layers[-1][0].shape[2]

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch_size, *shape, generator=generator)

    return {
        "inputs": normal(width),
        "action": normal(actions).clamp(-1.0, 1.0),
        "next_inputs": normal(width),
        "noise": normal(actions),
        "reward": (normal() > 0.0).float() - 1.0,
        "terminated": normal() > 1.0,
    }


def make_compiler() -> Callable[[Callable], Callable]:
    """``torch.compile`` that makes one graph of a function, its gradients included."""
    from torch._dynamo import config
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    if not hasattr(config, "trace_autograd_ops"):
        raise ConfigError(
            f"torch {torch.__version__} cannot compile the update: "
            'use --model.compiled false, or pip install "torch>=2.13"'
        )
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise ConfigError(
            "compiling the update needs a C++ compiler: install g++, or use --model.compiled false"
        ) from None
    config.trace_autograd_ops = True
    return lambda function: torch.compile(function, fullgraph=True, dynamic=False)
