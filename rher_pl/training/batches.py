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
"""By name, each [U, B, ...]; the arguments of ``TD3.update_critic``."""


@torch.no_grad()
def encode(encoder: InputEncoder, samples: TensorDict, subtask: int, gamma: float) -> Batches:
    """Network inputs of one subtask's samples [U, B] at once; the normaliser stands still.

    An end that terminates counts for ever: its last reward goes on with discount ``gamma``, or
    failing early would be worth more than going on unsolved.
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
    """What is learned from, one after the other.

    Joint: all subtasks in one mixed batch [U, B]. Sequential: one round [U, B_s] for each subtask.

    Args:
        encoded: of each subtask.
        mixing: see above.
        policy_noise: standard deviation of the target policy smoothing noise.
        sizes: of the networks; an ensemble of critics gets its random subsets.
    """
    joint = mixing == Mixing.joint
    for part in [_joined(encoded)] if joint else encoded:
        action = part["action"]
        # Drawn on the CPU, whose generator's state is what a checkpoint holds.
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
