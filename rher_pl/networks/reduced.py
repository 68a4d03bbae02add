"""Networks that compute in a reduced precision, beside those whose weights are trained."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch

from rher_pl.networks.actor_critic import Actor, Critic

Network = TypeVar("Network", Actor, Critic)


class ReducedCopy(Generic[Network]):
    """A copy that computes its hidden layers in ``dtype``, to be refreshed when weights change.

    Bfloat16 halves the cost of a product on CPUs that have it, but is too coarse to add small steps
    up. So the weights are trained in float32 and rounded for computing (Micikevicius et al.,
    arXiv 1710.03740, section 3.1), here once after each change rather than at each use.

    Args:
        trained: the network with the weights that count; it shares its head with the copy.
        dtype: of the hidden layers; float32 needs no copy, ``network`` is then ``trained`` itself.
    """

    def __init__(self, trained: Network, dtype: torch.dtype) -> None:
        self.network: Network = trained
        self._hidden: list[torch.Tensor] = []
        self._reduced: list[torch.Tensor] = []
        if dtype != torch.float32:
            self.network = copy.deepcopy(trained)
            self._hidden = trained.net.hidden_parameters()
            self._reduced = self.network.net.hidden_parameters()
            for parameter in self._reduced:
                parameter.data = parameter.data.to(dtype)
            self.network.net.share_head(trained.net)

    @torch.no_grad()
    def refresh(self) -> None:
        """Compute with the weights as they are now."""
        if self._hidden:
            torch._foreach_copy_(self._reduced, self._hidden)
