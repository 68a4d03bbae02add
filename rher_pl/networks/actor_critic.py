"""Actor and critics."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .perceptron import StackedMLP


class Actor(nn.Module):
    """Deterministic policy: tanh of a perceptron, actions in [-1, 1]."""

    def __init__(self, inputs: int, action_size: int, hidden_size: int, hidden_layers: int):
        super().__init__()
        self.net = StackedMLP(1, inputs, action_size, hidden_size, hidden_layers)

    @property
    def action_size(self) -> int:
        """A, length of an action."""
        return self.net.layers()[-1][0].shape[-1]

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

    def judge(self, inputs: Tensor, action: Tensor, members: int) -> Tensor:
        """Q values [members, B] of the first ``members``, with a gradient to the action alone."""
        return self.net(torch.cat([inputs, action], dim=-1), members).squeeze(-1)
