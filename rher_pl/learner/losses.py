"""TD3 as pure functions (Fujimoto et al., arXiv 1802.09477), with the bounded target of HER.

Rates and weights are floats, or tensors [] when the functions are compiled.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def smoothed_action(action: Tensor, noise: Tensor, noise_clip: float) -> Tensor:
    """Target policy smoothing, TD3 equation 14: action [B, A] plus clipped noise [B, A]."""
    return (action + noise.clamp(-noise_clip, noise_clip)).clamp(-1.0, 1.0)


def target_q(
    reward: Tensor, terminated: Tensor, next_q: Tensor, gamma: float, bounded: bool = True
) -> Tensor:
    """Clipped double-Q target, TD3 equation 10, [B]; with one critic, DDPG's.

    Args:
        reward, terminated: [B]; bootstrap stops at termination only, not at truncation.
        next_q: values of the target critics at the next state, [E, B]; the smallest counts.
        gamma: discount in [0, 1).
        bounded: clip to [-1/(1 - gamma), 0], in which all returns of rewards -1 and 0 lie
            (Andrychowicz et al., arXiv 1707.01495, appendix A).
    """
    bootstrap = gamma * (~terminated).to(next_q.dtype) * next_q.amin(0)
    target = reward + bootstrap
    return target.clamp(min=-1.0 / (1.0 - gamma)).clamp(max=0.0) if bounded else target


def critic_loss(q: Tensor, target: Tensor) -> Tensor:
    """Squared Bellman error, mean over B and summed over critics: q [E, B], target [B]."""
    error = torch.nn.functional.mse_loss(q, target.expand_as(q), reduction="sum")
    return error / target.numel()


def actor_loss(q: Tensor, action: Tensor, action_l2: float) -> Tensor:
    """Deterministic policy gradient through a critic's values q [B], TD3 equation 15.

    ``action_l2`` weighs the mean squared action (HER's penalty, which keeps tanh from saturating).
    """
    return -q.mean() + action_l2 * action.square().mean()


@torch.no_grad()
def polyak_update(targets: Sequence[Tensor], sources: Sequence[Tensor], tau: float) -> None:
    """Move each target towards its source: target += tau (source - target)."""
    for target, source in zip(targets, sources, strict=True):
        target.lerp_(source, tau)
