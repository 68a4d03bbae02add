"""The trained object: normalisers, relay encoding and actor together."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn

from rher_pl.networks.actor_critic import Actor
from rher_pl.networks.normalizer import RunningNormalizer
from rher_pl.relay.chain import Relay

FINE_RESOLUTION = 0.25
"""Unit of the fine relative positions, in epsilons."""
CLIP = 5.0
"""All inputs are clipped to [-CLIP, CLIP] (RHER: 5)."""


class InputEncoder(nn.Module):
    """Normalised observation and goal, and which subtask it is, as one vector.

    Unused goal slots are padded with 0 *before* normalisation, where 0 is far from every real
    position and therefore unmistakable; padded after it, 0 would be the average goal and the
    subtasks could not be told apart. The one-hot subtask beside it leaves no doubt at all.

    Relative positions come at two resolutions: normalised like all else, and in units of a
    quarter of epsilon, where touching an object or not is a large step rather than a small one.

    Where on the table something happens does not matter, only what is where seen from what: without
    ``absolute_positions`` horizontal ones are left out, heights stay. The policy is then the same
    at every place by construction, instead of having to learn each place anew.

    Args:
        relay: the chain.
        observation_size: length of an observation, which begins with the positions of the relay's
            points (x, y, z each).
        absolute_positions: see ``RHERModule``.
    """

    _observed: Tensor
    _goal: Tensor
    _one_hot: Tensor
    _fine_scale: Tensor
    _no_scale: Tensor

    def __init__(self, relay: Relay, observation_size: int, absolute_positions: bool) -> None:
        super().__init__()
        self.relay = relay
        self.observation_size = observation_size
        self._slices = []
        for name, size in (("_observed", observation_size), ("_goal", relay.goal_size)):
            columns = _kept(size, relay.num_points, absolute_positions)
            self._slices.append(_runs(columns))
            self.register_buffer(name, torch.tensor(columns), persistent=False)
        self.register_buffer("_one_hot", torch.eye(relay.num_subtasks), persistent=False)
        self.observations = RunningNormalizer(len(self._observed))
        self.goals = RunningNormalizer(len(self._goal))
        self.resolution = FINE_RESOLUTION * relay.subtasks[-1].epsilon
        fine = relay.goal_size - relay.num_absolute
        self.register_buffer("_fine_scale", torch.full((fine,), 1 / self.resolution), False)
        self.register_buffer("_no_scale", torch.ones(relay.num_subtasks), persistent=False)
        self.size = len(self._observed) + len(self._goal) + fine + relay.num_subtasks

    def forward(self, observation: Tensor, goal: Tensor, subtask: Tensor) -> Tensor:
        """Observation [*, O], encoded goal [*, G] and subtask [*] to inputs [*, I]."""
        # Put together first, then normalised in place: each pass over a batch costs its memory.
        observed, goals = self._slices
        parts = [observation[..., columns] for columns in observed]
        parts += [goal[..., columns] for columns in goals]
        parts += [goal[..., self.relay.num_absolute :], self._one_hot[subtask]]
        inputs = torch.cat(parts, dim=-1)
        shift, scale = self.normalization()
        inputs[..., : len(shift)] -= shift
        return inputs.mul_(scale).clamp_(-CLIP, CLIP)

    def normalization(self) -> tuple[Tensor, Tensor]:
        """What is taken from the first numbers of an input, and what all [I] are multiplied by."""
        shift = torch.cat([self.observations.shift, self.goals.shift])
        scale = [self.observations.scale, self.goals.scale, self._fine_scale, self._no_scale]
        return shift, torch.cat(scale)

    @property
    def columns(self) -> tuple[Tensor, Tensor]:
        """Which numbers of an observation, and of an encoded goal, are seen and normalised."""
        return self._observed, self._goal

    @torch.no_grad()
    def update(self, episodes: TensorDictBase) -> None:
        """Merge whole episodes [N] (rows of the storage) into the statistics.

        Goals count as every subtask would see them, original and achieved at the end, without
        the padding.
        """
        observed = episodes["observation"].flatten(0, 1).index_select(-1, self._observed)
        self.observations.update(observed)
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
                encoded, counts = encoded[:, self._goal], active[self._goal]
                self.goals.update(encoded, counts.expand_as(encoded))


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


def _kept(size: int, num_points: int, absolute_positions: bool) -> list[int]:
    """Columns of a vector of ``size`` that begins with ``num_points`` positions."""
    positions = range(3 * num_points)
    dropped = [] if absolute_positions else [i for i in positions if i % 3 < 2]
    return [i for i in range(size) if i not in dropped]


def _runs(columns: list[int]) -> list[slice]:
    """The same columns as slices, which are views; picking them by index would copy."""
    ends = [i for i in columns if i + 1 not in columns]
    starts = [i for i in columns if i - 1 not in columns]
    return [slice(start, end + 1) for start, end in zip(starts, ends, strict=True)]
