"""Steps of weights in C++, each as one pass over all tensors; see ``steps.cpp``."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rher_pl.native.library import load, pointers


class _AdamRule(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("rate", "beta1", "beta2", "epsilon")]


PLAIN = {"weight_decay": 0, "amsgrad": False, "maximize": False, "capturable": False}
"""Options of Adam with which :func:`adam_step` does what PyTorch does."""


def can_step(optimizer: Any) -> bool:
    """Whether :func:`adam_step` knows this optimizer: plain Adam that has stepped before."""
    if type(optimizer) is not torch.optim.Adam or not optimizer.state:
        return False
    (group, *others) = optimizer.param_groups
    known = not others and all(group[name] == value for name, value in PLAIN.items())
    return known and not isinstance(group["lr"], Tensor)


def adam_step(optimizer: torch.optim.Adam, gradients: Sequence[Tensor]) -> None:
    """One step with contiguous float32 ``gradients`` of all parameters, in their order.

    Args:
        optimizer: one that :func:`can_step`; its state is as if it had stepped itself.
    """
    (group,) = optimizer.param_groups
    parameters: list[Tensor] = group["params"]
    states = [optimizer.state[parameter] for parameter in parameters]
    columns = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")]
    rule = _AdamRule(group["lr"], *group["betas"], group["eps"])
    _library().adam_step(
        ctypes.byref(rule), *_sizes(parameters), *map(pointers, (parameters, gradients, *columns))
    )


def polyak_update(targets: Sequence[Tensor], sources: Sequence[Tensor], tau: float) -> None:
    """See :func:`rher_pl.losses.polyak_update`; contiguous float32 tensors on the CPU."""
    _library().polyak_step(
        ctypes.c_float(tau), *_sizes(targets), pointers(targets), pointers(sources)
    )


def _library() -> ctypes.CDLL:
    library = load()
    assert library is not None, "NativeGradients.available() says whether there is one"
    return library


def _sizes(values: Sequence[Tensor]) -> tuple[ctypes.c_int32, ctypes.c_int32, ctypes.Array]:
    """How many tensors, how many threads, and how many elements each tensor has."""
    sizes = (ctypes.c_int64 * len(values))(*[value.numel() for value in values])
    return ctypes.c_int32(len(values)), ctypes.c_int32(torch.get_num_threads()), sizes
