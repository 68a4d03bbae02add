"""The library in C++: building it, finding it again, and handing tensors to it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

import torch
from torch import Tensor

FLAGS = ("-ftree-loop-vectorize", "-ffp-contract=fast", "-fno-math-errno")
"""PyTorch's builder leaves loops as they are, since its own are written in vectors."""

SOURCES = (
    *("work.h", "numbers.h", "kernels.h", "passes.h", "td3.h", "steps.h"),
    *("gradients.cpp", "steps.cpp", "learning.cpp", "acting.cpp"),
)
"""Read as one, in this order."""


class Sizes(ctypes.Structure):
    """Of a batch and of the networks that see it; see ``work.h``."""

    _fields_ = [
        (name, ctypes.c_int32)
        for name in ("batch", "inputs", "actions", "hidden", "layers", "members", "threads")
    ]


@cache
def load() -> ctypes.CDLL | None:
    """Build the library with PyTorch's own builder, or find it in its cache; None if it cannot."""
    # What is built for one kind of CPU is not to be found in the cache by another.
    source = f"// {torch.cpu.get_capabilities()}\n" + "".join(
        Path(__file__).with_name(name).read_text() for name in SOURCES
    )
    try:
        library: Any = _build(source)
    except (OSError, RuntimeError, SubprocessError):  # whatever it is, others do the same work
        return None
    library.scratch_size.restype = ctypes.c_int64
    library.acting_scratch_size.restype = ctypes.c_int64
    library.critic_gradients.restype = ctypes.c_double
    library.actor_gradients.restype = ctypes.c_double
    return library


def _build(source: str) -> Any:
    from torch._inductor.codecache import CppCodeCache

    try:  # trying out which vectors a compiler knows takes a second, and is for what PyTorch writes
        return CppCodeCache.load(source, extra_flags=FLAGS, needs_vec_isa=False)
    except TypeError:  # a PyTorch that does not ask
        return CppCodeCache.load(source, extra_flags=FLAGS)


def pointer(value: Tensor) -> ctypes.c_void_p:
    """Where a tensor's values are."""
    return ctypes.c_void_p(value.data_ptr())


def pointers(values: Sequence[Tensor]) -> ctypes.Array:
    """Where the values of each tensor are."""
    return (ctypes.c_void_p * len(values))(*[value.data_ptr() for value in values])
