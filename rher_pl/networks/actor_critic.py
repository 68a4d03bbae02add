"""Actor and critics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .perceptron import StackedMLP


@dataclass(frozen=True)
class NetworkSizes:
    """Sizes of an actor and of the critics beside it.

    Args:
        inputs: length I of the encoded input.
        actions: length A of an action.
        hidden_size, hidden_layers: width and number of hidden layers.
        critics: number E of Q functions.
        critic_layer_norm: layer normalisation in the critics.
    """

    inputs: int
    actions: int
    hidden_size: int = 256
    hidden_layers: int = 3
    critics: int = 2
    critic_layer_norm: bool = False


class Actor(nn.Module):
    """Deterministic policy: tanh of a multilayer perceptron, actions in [-1, 1]."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        hidden = (sizes.hidden_size, sizes.hidden_layers)
        self.net = StackedMLP(1, sizes.inputs, sizes.actions, *hidden)

    @property
    def action_size(self) -> int:
        """A, length of an action."""
        return self.net.layers()[-1][0].shape[-1]

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs [B, I] to actions [B, A]."""
        return self.net(inputs).squeeze(0).tanh()


class Critic(nn.Module):
    """Independent Q functions of (inputs, action), two of them in TD3 (arXiv 1802.09477)."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        self.members = sizes.critics
        inputs = sizes.inputs + sizes.actions
        hidden = (sizes.hidden_size, sizes.hidden_layers, sizes.critic_layer_norm)
        self.net = StackedMLP(sizes.critics, inputs, 1, *hidden)

    def forward(self, inputs: Tensor, action: Tensor) -> Tensor:
        """Inputs [B, I] and actions [B, A] to Q values [E, B]."""
        return self.net(torch.cat([inputs, action], dim=-1)).squeeze(-1)

    def judge(self, inputs: Tensor, action: Tensor, members: int) -> Tensor:
        """Q values [members, B] of the first ``members``; no gradient goes to their weights."""
        return self.net(torch.cat([inputs, action], dim=-1), members).squeeze(-1)
