"""Perceptrons with stacked weights, so that all critics take one batched product per layer."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

Layer = tuple[Tensor, Tensor]
"""Weight [E, n, m] and bias [E, 1, m]."""


class StackedMLP(nn.Module):
    """``members`` independent ReLU perceptrons evaluated together.

    Under ``torch.autocast`` the hidden layers run in its dtype. The head always runs in float32,
    because a bfloat16 head quantises Q.

    Args:
        members: E, number of independent networks.
        inputs, outputs: sizes of a network's input and output.
        hidden_size, hidden_layers: width and number of hidden layers.
        layer_norm: normalise every hidden layer before its ReLU, without weights of its own: the
            bias before it and the weights after it do their work.
    """

    def __init__(
        self,
        members: int,
        inputs: int,
        outputs: int,
        hidden_size: int,
        hidden_layers: int,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.layer_norm = layer_norm
        sizes = [inputs, *[hidden_size] * hidden_layers, outputs]
        self.depth = len(sizes) - 1
        for layer, (n, m) in enumerate(pairwise(sizes)):
            self.register_parameter(
                f"weight_{layer}", nn.Parameter(_uniform(members, n, m, fan_in=n))
            )
            self.register_parameter(
                f"bias_{layer}", nn.Parameter(_uniform(members, 1, m, fan_in=n))
            )

    def layers(self) -> list[Layer]:
        """Each layer, first to last.

        They are read by name: iterating over a ``ParameterList`` costs as much as a small product.
        """
        return [
            (getattr(self, f"weight_{layer}"), getattr(self, f"bias_{layer}"))
            for layer in range(self.depth)
        ]

    def constant_layers(self, members: int) -> list[Layer]:
        """Layers of the first ``members`` alone, as constants: no gradient goes to them."""
        return [(w[:members].detach(), b[:members].detach()) for w, b in self.layers()]

    def forward(self, x: Tensor, constant_members: int | None = None) -> Tensor:
        """Map ``x`` [B, inputs], the same for all members, to [E, B, outputs] float32.

        With ``constant_members``, only that many members, the first ones, are evaluated, and their
        weights are constants.
        """
        layers = (
            self.layers() if constant_members is None else self.constant_layers(constant_members)
        )
        *hidden_layers, (head_weight, head_bias) = layers
        hidden = x.expand(head_weight.shape[0], *x.shape)  # [E, B, inputs]
        for weight, bias in hidden_layers:
            hidden = torch.baddbmm(bias, hidden, weight)
            if self.layer_norm:
                hidden = nn.functional.layer_norm(hidden, hidden.shape[-1:])
            hidden = hidden.relu_()
        if not torch.is_autocast_enabled(x.device.type):
            return _head(hidden, head_weight) + head_bias
        with torch.autocast(x.device.type, enabled=False):
            return _head(hidden.float(), head_weight) + head_bias


def _head(hidden: Tensor, weight: Tensor) -> Tensor:
    """[E, B, n] times [E, n, m]; ``torch.bmm`` is four times as slow at so few outputs."""
    if weight.shape[-1] == 1:
        return (hidden * weight.mT).sum(-1, keepdim=True)
    return torch.bmm(weight.mT, hidden.mT).mT


def _uniform(*shape: int, fan_in: int) -> Tensor:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)), the default of ``torch.nn.Linear``."""
    bound = 1.0 / math.sqrt(fan_in)
    return torch.empty(*shape).uniform_(-bound, bound)
