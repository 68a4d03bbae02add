"""The trained object: normalisers, relay encoding and actor together."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn

from rher_pl.networks import Actor
from rher_pl.normalizer import RunningNormalizer
from rher_pl.relay import Relay

FINE_RESOLUTION = 0.25
"""Unit of the fine relative positions, in epsilons."""
FINE_CLIP = 5.0
"""Fine relative positions are clipped to this many units."""


class InputEncoder(nn.Module):
    """Normalised observation and goal, and which subtask it is, as one vector.

    Unused goal slots are padded with 0 *before* normalisation, where 0 is far from every real
    position and therefore unmistakable; padded after it, 0 would be the average goal and the
    subtasks could not be told apart. The one-hot subtask beside it leaves no doubt at all.

    Relative positions come at two resolutions: normalised like all else, and in units of a
    quarter of epsilon, where touching an object or not is a large step rather than a small one.

    Args:
        relay: the chain.
        observation_size: length of an observation.
    """

    def __init__(self, relay: Relay, observation_size: int) -> None:
        super().__init__()
        self.relay = relay
        self.observations = RunningNormalizer(observation_size)
        self.goals = RunningNormalizer(relay.goal_size)
        self.resolution = FINE_RESOLUTION * relay.subtasks[-1].epsilon
        fine = relay.goal_size - relay.num_absolute
        self.size = observation_size + relay.goal_size + fine + relay.num_subtasks

    def forward(self, observation: Tensor, goal: Tensor, subtask: Tensor) -> Tensor:
        """Observation [*, O], encoded goal [*, G] and subtask [*] to inputs [*, I]."""
        one_hot = nn.functional.one_hot(subtask, self.relay.num_subtasks).to(observation.dtype)
        fine = (goal[..., self.relay.num_absolute :] / self.resolution).clamp_(
            -FINE_CLIP, FINE_CLIP
        )
        return torch.cat([self.observations(observation), self.goals(goal), fine, one_hot], dim=-1)

    @torch.no_grad()
    def update(self, episodes: TensorDictBase) -> None:
        """Merge whole episodes [N] (rows of the storage) into the statistics.

        Goals count as every subtask would see them, original and achieved at the end, without
        the padding.
        """
        self.observations.update(episodes["observation"].flatten(0, 1))
        achieved = episodes["achieved_goals"]  # [N, T+1, P, 3]
        desired = episodes["desired_goals"].unsqueeze(1).expand(-1, achieved.shape[1], -1, -1)
        later = achieved[:, -1:].expand_as(achieved)
        for index in range(self.relay.num_subtasks):
            subtask = torch.full(achieved.shape[:2], index, device=achieved.device)
            active = self.relay.active_numbers[index].to(achieved.device)
            for goals in (
                self.relay.goals(achieved, desired, subtask),
                self.relay.hindsight_goals(achieved, later, subtask),
            ):
                encoded = self.relay.encode(goals, achieved, subtask).flatten(0, 1)
                self.goals.update(encoded, active.expand_as(encoded))


class RelayPolicy(nn.Module):
    """Deterministic actions for any subtask of a relay.

    Args:
        encoder: see :class:`InputEncoder`.
        actor: the network behind it.
        action_size: length of an action.
    """

    def __init__(self, encoder: InputEncoder, actor: Actor, action_size: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.actor = actor
        self.action_size = action_size

    @property
    def relay(self) -> Relay:
        return self.encoder.relay

    def inputs(self, states: TensorDictBase, subtask: Tensor) -> Tensor:
        """Network inputs [N, I] for states [N] with original goals, each with its subtask [N]."""
        achieved = states["achieved_goals"]
        goals = self.relay.goals(achieved, states["desired_goals"], subtask)
        encoded = self.relay.encode(goals, achieved, subtask)
        return self.encoder(states["observation"], encoded, subtask)

    def forward(self, states: TensorDictBase, subtask: Tensor) -> Tensor:
        """Actions [N, A] for states [N] under subtask [N]."""
        return self.actor(self.inputs(states, subtask))
