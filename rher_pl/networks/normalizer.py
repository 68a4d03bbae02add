"""Running mean and standard deviation as module buffers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningNormalizer(nn.Module):
    """Shift and scale each number by mean and standard deviation of all data seen so far.

    Statistics are kept per number in float64 and merged batch by batch (Chan et al. 1979), so
    that the result does not depend on how the data was split. Numbers can be left out by a mask:
    padding must not enter the statistics, or the subtasks could no longer be told apart.

    Args:
        size: length D of the vectors.
        min_std: lower bound of the standard deviation (RHER: 0.01).
    """

    count: Tensor
    mean: Tensor
    squares: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, size: int, min_std: float = 0.01) -> None:
        super().__init__()
        self.min_std = min_std
        for name in ("count", "mean", "squares"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised ``x``, [*, D]; not clipped."""
        return (x - self.shift) * self.scale

    @torch.no_grad()
    def update(self, x: Tensor, mask: Tensor | None = None) -> None:
        """Merge a batch into the statistics.

        Args:
            x: [B, D].
            mask: [B, D] bool, which numbers count; None counts all.
        """
        x = x.double()
        weight = torch.ones_like(x) if mask is None else mask.double()
        count = weight.sum(0)
        mean = (x * weight).sum(0) / count.clamp(min=1)
        squares = ((x - mean).square() * weight).sum(0)
        total = (self.count + count).clamp(min=1)
        delta = mean - self.mean
        self.squares += squares + delta.square() * self.count * count / total
        self.mean += delta * count / total
        self.count += count
        std = (self.squares / self.count.clamp(min=1)).sqrt().clamp(min=self.min_std)
        seen = self.count > 0
        self.shift.copy_(torch.where(seen, self.mean, 0.0))
        self.scale.copy_(torch.where(seen, 1.0 / std, 1.0))
