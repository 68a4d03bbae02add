"""Keeping PyTorch to one thread where more would slow the simulations down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Run PyTorch on the calling thread alone.

    PyTorch's other threads spin for milliseconds after each operation, waiting for the next one.
    With operations as small as a policy's on a batch of states, that only takes cores away from
    the threads that step the simulations.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
