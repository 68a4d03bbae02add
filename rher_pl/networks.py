"""Actor and stacked critics.

Both are one class: a multi-layer perceptron with ``E`` members whose weights are stacked, so that
all critics are one batched product per layer instead of several small ones.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn


class StackedMLP(nn.Module):
    """``members`` independent ReLU perceptrons evaluated together.

    Hidden layers run in ``compute_dtype`` (bfloat16 halves the cost on CPUs that have it); the
    head is always float32, because a bfloat16 head quantises Q.

    Args:
        members: E, number of independent networks.
        inputs, outputs: sizes of a network's input and output.
        hidden_size, hidden_layers: width and number of hidden layers.
        layer_norm: normalise every hidden layer before its ReLU. It has no weights of its own:
            the bias before it and the weights behind it say the same.
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
        self.compute_dtype = torch.float32
        sizes = [inputs, *[hidden_size] * hidden_layers, outputs]
        self.depth = len(sizes) - 1
        for layer, (n, m) in enumerate(pairwise(sizes)):
            self.register_parameter(
                f"weight_{layer}", nn.Parameter(_uniform(members, n, m, fan_in=n))
            )
            self.register_parameter(
                f"bias_{layer}", nn.Parameter(_uniform(members, 1, m, fan_in=n))
            )

    def layers(self, members: int | None = None) -> list[tuple[Tensor, Tensor]]:
        """(weight [E, n, m], bias [E, 1, m]) of each layer, first to last.

        Read by name: going through a ``ParameterList`` costs as much as a small product.
        """
        return [
            (getattr(self, f"weight_{layer}")[:members], getattr(self, f"bias_{layer}")[:members])
            for layer in range(self.depth)
        ]

    def forward(self, x: Tensor, members: int | None = None) -> Tensor:
        """[B, inputs], the same for all members, to [E, B, outputs] float32.

        ``members`` evaluates only that many, the first ones.
        """
        dtype = self.compute_dtype
        *hidden_layers, (head_weight, head_bias) = self.layers(members)
        hidden = x.to(dtype).expand(head_weight.shape[0], *x.shape)  # [E, B, inputs]
        for weight, bias in hidden_layers:
            hidden = torch.baddbmm(bias.to(dtype), hidden, weight.to(dtype))
            if self.layer_norm:
                hidden = nn.functional.layer_norm(hidden, hidden.shape[-1:])
            hidden = hidden.relu_()
        return torch.baddbmm(head_bias, hidden.float(), head_weight)


class Actor(nn.Module):
    """Deterministic policy: tanh of a perceptron, actions in [-1, 1]."""

    def __init__(self, inputs: int, action_size: int, hidden_size: int, hidden_layers: int):
        super().__init__()
        self.net = StackedMLP(1, inputs, action_size, hidden_size, hidden_layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs [B, I] to actions [B, A]."""
        return self.net(inputs).squeeze(0).tanh()


class Critic(nn.Module):
    """Independent Q functions of (inputs, action), two of them in TD3 (arXiv 1802.09477)."""

    def __init__(
        self,
        inputs: int,
        action_size: int,
        hidden_size: int,
        hidden_layers: int,
        members: int = 2,
        layer_norm: bool = False,
    ):
        super().__init__()
        self.members = members
        sizes = (inputs + action_size, 1, hidden_size, hidden_layers)
        self.net = StackedMLP(members, *sizes, layer_norm=layer_norm)

    def forward(self, inputs: Tensor, action: Tensor) -> Tensor:
        """Inputs [B, I] and actions [B, A] to Q values [E, B]."""
        return self.net(torch.cat([inputs, action], dim=-1)).squeeze(-1)

    def first(self, inputs: Tensor, action: Tensor) -> Tensor:
        """Q values [B] of the first one alone, without the cost of the others."""
        return self.net(torch.cat([inputs, action], dim=-1), members=1).view(-1)


def _uniform(*shape: int, fan_in: int) -> Tensor:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)), the default of ``torch.nn.Linear``."""
    bound = 1.0 / math.sqrt(fan_in)
    return torch.empty(*shape).uniform_(-bound, bound)
