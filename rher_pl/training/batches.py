"""From the samples of each subtask to the encoded, mixed batches that TD3 learns from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from tensordict import TensorDict
from torch import Tensor

from rher_pl.choices import Mixing
from rher_pl.learner.batches import SUBSET, draw_subsets
from rher_pl.networks.actor_critic import NetworkSizes
from rher_pl.networks.encoder import InputEncoder

Batches = dict[str, Tensor]
"""Tensors [U, B, ...] by name, for U updates on B samples each; see ``TD3.learn``."""


@torch.no_grad()
def encode(encoder: InputEncoder, samples: TensorDict, subtask: int, gamma: float) -> Batches:
    """Encode one subtask's samples [U, B] as network inputs; the normaliser is not updated.

    The reward of a transition that terminates becomes ``reward / (1 - gamma)``, as if it were
    repeated for ever. Otherwise failing early would be worth more than going on unsolved.

    Returns:
        ``inputs`` and ``next_inputs`` [U, B, I], ``action`` [U, B, A], ``reward`` [U, B] and
        ``terminated`` [U, B] bool.
    """
    following = samples["next"]
    reward, terminated = (following[key].squeeze(-1) for key in ("reward", "terminated"))

    def inputs(state: TensorDict) -> Tensor:
        return encoder(state["observation"], state["achieved"], state["goals"], subtask)

    return {
        "inputs": inputs(samples),
        "next_inputs": inputs(following),
        "action": samples["action"],
        "reward": torch.where(terminated, reward / (1.0 - gamma), reward),
        "terminated": terminated,
    }


def rounds(
    encoded: Sequence[Batches], mixing: Mixing, policy_noise: float, sizes: NetworkSizes
) -> Iterator[Batches]:
    """The batches to learn from, one after the other.

    Joint: all subtasks in one mixed batch [U, B]. Sequential: one batch [U, B_s] for each subtask.

    Args:
        encoded: encoded samples of each subtask; see :func:`encode`.
        mixing: joint or sequential.
        policy_noise: standard deviation of the target policy smoothing noise.
        sizes: of the networks. With more than ``SUBSET`` critics, the batches also say which
            random subset of them each update uses (REDQ, arXiv 2101.05982).
    """
    joint = mixing == Mixing.joint
    for part in [_joined(encoded)] if joint else encoded:
        action = part["action"]
        # Drawn on the CPU, because a checkpoint holds the state of the CPU's generator.
        noise = torch.randn(action.shape) * policy_noise
        batches = {**part, "noise": noise.to(action.device)}
        if sizes.critics > SUBSET:
            batches["subset"] = draw_subsets(sizes.critics, *action.shape[:2]).to(action.device)
        yield batches


def _joined(encoded: Sequence[Batches]) -> Batches:
    return {name: torch.cat([part[name] for part in encoded], dim=1) for name in encoded[0]}


def episode_length(episodes: Mapping[str, Tensor]) -> Tensor:
    """Env steps of each episode, [N]."""
    return episodes["length"].squeeze(-1)
