"""From observation, positions and goals to the inputs of the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..relay import Layout, Relay, input_columns, make_tables
from ..relay.numbering import ObjectNumbers, renumbered
from .normalizer import RunningNormalizer

FINE_RESOLUTION = 0.25
"""Unit of the fine relative positions, as a share of epsilon."""
CLIP = 5.0
"""All inputs are clipped to [-CLIP, CLIP] (RHER: 5)."""


class InputEncoder(nn.Module):
    """Encodes observation, goals and subtask as one vector of normalised numbers.

    The inputs are, in this order:

    - numbers of the observation;
    - goals of the slots (their heights alone without ``absolute_positions``);
    - with ``relative_goals``, the goal of every slot relative to its point, then objects and places
      relative to the gripper (without a gripper, to the first object that is seen);
    - these relative positions once more, in units of a quarter of epsilon, where touching an object
      or not is a large difference;
    - flags that tell the subtasks apart.

    Slots that hold nothing are padded with 0 *before* normalisation, where 0 is far from every real
    position and therefore unmistakable. Padded after it, 0 would be the average goal.

    With *stay*, the slot of a finished object that is home shows the object's own position instead
    of its goal, as the policy would otherwise go back to improve what is good enough. Rewards still
    go by the real goal.

    Args:
        relay: the chain; it defines *finished* and *home*.
        layout: what each number of an observation belongs to.
        relative_goals, absolute_positions, roles, stay: see ``RHERModule``.
    """

    _tables: Tensor
    _flags: Tensor
    _used: Tensor
    _finished: Tensor
    _reference: Tensor
    _fine_scale: Tensor
    _flag_scale: Tensor

    def __init__(
        self,
        relay: Relay,
        layout: Layout,
        relative_goals: bool = True,
        absolute_positions: bool = False,
        roles: bool = True,
        stay: bool = True,
    ) -> None:
        super().__init__()
        self.relay, self.layout = relay, layout
        self.options = {
            "relative_goals": relative_goals,
            "absolute_positions": absolute_positions,
            "roles": roles,
            "stay": stay,
        }
        self.stays = stay and relay.num_objects > 1 and not relay.last_only
        self.columns = columns = input_columns(relay, layout, roles, absolute_positions)
        self._places = [column for place in columns.places for column in place]
        tables = make_tables(relay, layout, columns, relative_goals, absolute_positions)
        self.sizes, self.alike = tables.sizes, tables.alike
        self._runs = [tables.runs(subtask) for subtask in relay.indices]
        self._unused = [(~used).nonzero().flatten().tolist() for used in relay.slots.used]
        first = [order[0] for order in columns.points]
        scale = torch.full((tables.sizes[2],), 1 / (FINE_RESOLUTION * relay.epsilon))
        for name, values in (
            ("_tables", torch.tensor(tables.columns)),
            ("_flags", torch.tensor(columns.flags)),
            ("_used", relay.slots.used),
            ("_finished", relay.slots.finished),
            ("_reference", torch.tensor(first)),
            ("_fine_scale", scale),
            ("_flag_scale", torch.ones(len(columns.flags[0]))),
        ):
            self.register_buffer(name, values, persistent=False)
        self.numbers = ObjectNumbers(layout, relay.num_objects) if relay.any_order else None
        self.observations = RunningNormalizer(self.sizes[0])
        self.goals = RunningNormalizer(self.sizes[1])
        self.size = sum(self.sizes) + len(columns.flags[0])

    def numbered(
        self, observation: Tensor, achieved: Tensor, desired: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """States with their objects numbered as they are worked on; see ``Relay.sequence``.

        Args:
            observation: [*, O].
            achieved: positions of the points, [*, P, 3] (metres).
            desired: desired goals of the task, [*, N, 3] (metres).
        """
        if self.numbers is None:
            return observation, achieved, desired
        order = self.relay.sequence(achieved, desired)
        points, goals = renumbered(achieved, order), renumbered(desired, order)
        return self.numbers(observation, order), points, goals

    def forward(
        self, observation: Tensor, achieved: Tensor, goals: Tensor, subtask: Tensor | int
    ) -> Tensor:
        """Inputs [*, I] of the networks.

        Args:
            observation: [*, O].
            achieved: positions of the points, [*, P, 3] (metres).
            goals: of the slots, [*, P, 3] (metres); see ``Relay``.
            subtask: int64 [*], or one for all, which is faster.
        """
        # Put together first, then normalised in place: a new tensor takes the memory of a batch.
        inputs = torch.cat([*self._seen(observation, achieved, goals, subtask)], dim=-1)
        shift, scale = self.normalization()
        inputs[..., : len(shift)] -= shift
        return inputs.mul_(scale).clamp_(-CLIP, CLIP)

    def _seen(
        self, observation: Tensor, achieved: Tensor, goals: Tensor, subtask: Tensor | int
    ) -> list[Tensor]:
        """The inputs before normalisation, and the flags: parts of [*, I]."""
        sources = self._sources(observation, achieved, goals, subtask)
        flags = self._flags[subtask]
        if isinstance(subtask, int) or self.alike:
            number = subtask if isinstance(subtask, int) else 0
            parts = [sources[source][..., columns] for source, columns in self._runs[number]]
            return [*parts, flags.expand(*observation.shape[:-1], -1)]
        every = torch.cat(sources, dim=-1)
        return [every.gather(-1, self._tables[subtask]), flags]

    def _sources(
        self, observation: Tensor, achieved: Tensor, goals: Tensor, subtask: Tensor | int
    ) -> list[Tensor]:
        """All possible inputs, in the order in which tables number them: observation, goals, goals
        relative to their points, and points and places relative to the first point.
        """
        if self.stays:
            home = self.relay.handover * self.relay.epsilon
            near = torch.linalg.vector_norm(goals - achieved, dim=-1) <= home
            stay = (near & self._finished[subtask]).unsqueeze(-1)
            goals = torch.where(stay, achieved, goals)
        offsets = goals - achieved
        if isinstance(subtask, int):
            for slot in self._unused[subtask]:
                offsets[..., slot, :] = 0.0
            first = achieved[..., self._reference_of(subtask), :].unsqueeze(-2)
        else:
            offsets = offsets * self._used[subtask].unsqueeze(-1)
            first = self._first(achieved, subtask)
        seen = (achieved - first).flatten(-2)
        if self._places:
            places = observation[..., self._places].unflatten(-1, (-1, 3)) - first
            seen = torch.cat([seen, places.flatten(-2)], dim=-1)
        return [observation, goals.flatten(-2), offsets.flatten(-2), seen]

    def _reference_of(self, subtask: int) -> int:
        return self.columns.points[subtask][0]

    def _first(self, achieved: Tensor, subtask: Tensor) -> Tensor:
        """Origin of relative positions: the gripper, else the first object seen, [*, 1, 3]."""
        if self.relay.reach or self.relay.num_points == 1:
            return achieved[..., :1, :]
        index = self._reference[subtask][..., None, None]
        return achieved.gather(-2, index.expand(*index.shape[:-1], 3))

    def normalization(self) -> tuple[Tensor, Tensor]:
        """Shift, which is subtracted from the first inputs, and scale [I], which multiplies all."""
        shift = torch.cat([self.observations.shift, self.goals.shift])
        scale = [self.observations.scale, self.goals.scale, self._fine_scale, self._flag_scale]
        return shift, torch.cat(scale)

    @torch.no_grad()
    def update(self, episodes: Mapping[str, Tensor]) -> None:
        """Merge whole episodes [N], rows as in ``envs/episodes.py``, into the statistics.

        Goals count as every subtask would see them, both the original ones and those achieved at
        the end, without padding. States after an episode's end do not count.
        """
        achieved = episodes["achieved_goals"]  # [N, T+1, P, 3]
        states, counted = achieved.shape[:2], _counted(episodes, achieved)
        observation = episodes["observation"][counted].float()
        desired = episodes["desired_goals"].unsqueeze(1).expand(*states, -1, -1)[counted]
        later = achieved[:, -1:].expand_as(achieved)[counted]
        achieved = achieved[counted]
        if self.numbers is not None:
            order = self.relay.sequence(achieved, desired)
            observation = self.numbers(observation, order)
            achieved, desired, later = (renumbered(p, order) for p in (achieved, desired, later))
        known: list[Sequence[int]] = []
        for index, observed in enumerate(self.columns.observed):
            if observed not in known:
                known.append(observed)
                columns = torch.tensor(observed, dtype=torch.int64, device=observation.device)
                self.observations.update(observation.index_select(-1, columns))
            for goals in (
                self.relay.goals(achieved, desired, index),
                self.relay.hindsight_goals(achieved, later, index),
            ):
                seen = torch.cat(self._seen(observation, achieved, goals, index), dim=-1)
                seen = seen[:, self.sizes[0] : self.sizes[0] + self.sizes[1]]
                self.goals.update(seen, self._filled(index).expand_as(seen))

    def _filled(self, subtask: int) -> Tensor:
        """Which goal inputs a subtask fills, [goal inputs] bool; the others are padding."""
        table = self._tables[subtask, self.sizes[0] : self.sizes[0] + self.sizes[1]]
        slots = self._used[subtask].repeat_interleave(3).repeat(2)
        start = len(self.layout)
        seen = torch.ones(3 * self.relay.num_points + len(self._places), device=table.device)
        return torch.cat([slots, seen.bool()])[table - start]


def _counted(episodes: Mapping[str, Tensor], achieved: Tensor) -> Tensor:
    """States up to the end of each episode, [N, T+1] bool."""
    count, states = achieved.shape[:2]
    length = episodes.get("length")
    if length is None:
        return torch.ones(count, states, dtype=torch.bool, device=achieved.device)
    return torch.arange(states, device=achieved.device) <= length
