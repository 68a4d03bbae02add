"""Steps of weights in C++, each as one pass over all tensors; see ``steps.cpp``."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from rher_pl.learner.native.library import load, pointers


class AdamRule(ctypes.Structure):
    """Options of Adam."""

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
    tensors = AdamTensors.of(optimizer)
    _library().adam_step(
        ctypes.byref(adam_rule(optimizer)),
        tensors.count,
        ctypes.c_int32(torch.get_num_threads()),
        tensors.sizes,
        tensors.parameters,
        pointers(gradients),
        *tensors.columns,
    )


def adam_rule(optimizer: torch.optim.Adam) -> AdamRule:
    """What its steps go by now."""
    (group,) = optimizer.param_groups
    return AdamRule(group["lr"], *group["betas"], group["eps"])


class AdamTensors:
    """Where an optimizer's parameters and state are, which is not looked up again every step."""

    def __init__(self, optimizer: torch.optim.Adam) -> None:
        self._parameters: list[Tensor] = list(optimizer.param_groups[0]["params"])
        self._states = [optimizer.state[parameter] for parameter in self._parameters]
        names = ("exp_avg", "exp_avg_sq", "step")
        # Kept, so that what is pointed to is there even where the optimizer has something else now.
        self._kept = [[state[name] for state in self._states] for name in names]
        self.count, self.sizes = _sizes(self._parameters)
        self.parameters = pointers(self._parameters)
        self.columns = [pointers(column) for column in self._kept]

    @staticmethod
    def of(optimizer: torch.optim.Adam) -> AdamTensors:
        """Those that it has now."""
        tensors = _adam_tensors.get(optimizer)
        if tensors is None or not tensors.are_those_of(optimizer):
            tensors = _adam_tensors[optimizer] = AdamTensors(optimizer)
        return tensors

    def are_those_of(self, optimizer: torch.optim.Adam) -> bool:
        """Whether parameters and state are still where they were; loading moves them."""
        state, places = optimizer.state, self.parameters
        return len(state) == len(self._states) and all(
            state.get(parameter) is mine and parameter.data_ptr() == place
            for parameter, mine, place in zip(self._parameters, self._states, places)
        )


_adam_tensors: WeakKeyDictionary[torch.optim.Adam, AdamTensors] = WeakKeyDictionary()


class PolyakStep:
    """:func:`rher_pl.learner.losses.polyak_update` of contiguous float32 tensors on the CPU.

    Args:
        targets, sources: tensors that stay where they are.
    """

    def __init__(self, targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
        self._kept = (targets, sources)
        self._count, self._sizes = _sizes(targets)
        self._pointers = (pointers(targets), pointers(sources))

    def __call__(self, tau: float) -> None:
        """Move the targets towards the sources by a share of ``tau``."""
        _library().polyak_step(
            ctypes.c_float(tau),
            self._count,
            ctypes.c_int32(torch.get_num_threads()),
            self._sizes,
            *self._pointers,
        )


def _library() -> ctypes.CDLL:
    library = load()
    assert library is not None, "NativeGradients.available() says whether there is one"
    return library


def _sizes(values: Sequence[Tensor]) -> tuple[ctypes.c_int32, ctypes.Array]:
    """How many tensors, and how many elements each of them has."""
    sizes = (ctypes.c_int64 * len(values))(*[value.numel() for value in values])
    return ctypes.c_int32(len(values)), sizes
