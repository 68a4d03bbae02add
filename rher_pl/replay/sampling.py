"""Which transitions and hindsight goals are learned from: one replay buffer per subtask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_, le
from typing import Any

import torch
from torch import Tensor
from torchrl.data import TensorDictReplayBuffer
from torchrl.data.replay_buffers import Sampler, Storage
from torchrl.envs.transforms import Compose

from rher_pl.choices import Hindsight
from rher_pl.envs.mirrors import Mirror
from rher_pl.relay import Layout, Relay
from rher_pl.relay.numbering import renumbered
from rher_pl.replay.mirroring import MirrorImages
from rher_pl.replay.relabel import RelayRelabel
from rher_pl.replay.storage import KEEP_GOAL, EpisodeStorage
from rher_pl.replay.working_order import WorkingOrder


@dataclass(frozen=True)
class SamplingRule:
    """What a sampler draws; see :class:`HindsightSampler`.

    Args:
        relabel_ratio: share of samples with a hindsight goal, in [0, 1]; HER's k / (k + 1).
        hindsight: the state that gives a hindsight goal.
        inert_ratio: probability of keeping a hindsight goal that is met already, in [0, 1]; 1 is
            plain HER.
        unmet_ratio: with several objects, probability of keeping a hindsight goal under which the
            slot of another object is not met, in [0, 1]; 1 is plain HER.
        turn_share: with several objects, share of samples from states in which it is the turn of
            the subtask's object, in [0, 1]: those in which ``Relay.serving`` brings it. 0 draws all
            states alike.
        prioritize_motion: share, in [0, 1], of samples from episodes drawn in proportion to how far
            objects moved in them, of those that ``turn_share`` leaves; 0 is plain HER.
        reward_radius: the active goal counts as met within this share, in (0, 1], of the distance
            at which an object counts as home; 1 is plain HER.
        mirrors: reflections that are learned from as well.
    """

    relabel_ratio: float = 0.8
    hindsight: Hindsight = Hindsight.future
    inert_ratio: float = 1.0
    unmet_ratio: float = 1.0
    turn_share: float = 0.0
    prioritize_motion: float = 0.0
    reward_radius: float = 1.0
    mirrors: tuple[Mirror, ...] = ()


class HindsightSampler(Sampler):
    """Draws (episode, t, f): all stored transitions alike, f as :class:`Hindsight` says.

    Each element keeps its original goal with probability ``1 - relabel_ratio``, independent of
    its position in the batch.

    Some hindsight goals are drawn again, at most ``max_redraws`` times. If the active slot is met
    already at t, the sample teaches little, as its reward is 0 unless the goal is lost in this very
    step: such a draw is kept with probability ``inert_ratio``. If another object is away from its
    goal at t, that object would be served, not this one: such a draw is kept with probability
    ``unmet_ratio``. The decision depends on t and f only, never on the outcome of the action, so
    that Q stays unbiased.

    With several objects, most states are the turn of another object, and the change from one object
    to the next takes only a few steps of an episode. So ``turn_share`` of the transitions are drawn
    uniformly from the states in which it is the turn of the subtask's own object: these are the
    states in which the policy will act under this subtask.

    ``prioritize_motion`` of the episodes are drawn in proportion to the objects' motion, as in
    energy-based prioritisation (arXiv 1810.01363) but by path length in place of energy. Within an
    episode drawn in this way, all transitions are alike.

    Args:
        relay: the chain.
        subtask: index of the subtask whose goals are drawn.
        rule: what is drawn.
        generator: the only source of randomness, on the storage's device.
    """

    def __init__(
        self,
        relay: Relay,
        subtask: int,
        rule: SamplingRule,
        generator: torch.Generator,
    ) -> None:
        self.relay = relay
        self.subtask = subtask
        self.rule = rule
        self.generator = generator
        self.max_redraws = 4 * relay.num_objects
        self._limits: list[float] = relay.limit[subtask].tolist()
        self._own = int(relay.slots.active[subtask].long().argmax())
        self._has_turns = relay.num_objects > 1 and not relay.last_only
        self._filters = rule.inert_ratio < 1.0 or (self._has_turns and rule.unmet_ratio < 1.0)

    def sample(self, storage: Storage, batch_size: int) -> tuple[Tensor, dict]:
        assert isinstance(storage, EpisodeStorage)
        index = self._draw(storage, batch_size)
        relabeled = self._uniform(batch_size) < self.rule.relabel_ratio
        if self._filters:
            redraw = relabeled.nonzero().squeeze(-1)
            for _ in range(self.max_redraws):
                redraw = redraw[self._rejected(storage, index[redraw])]
                index[redraw] = self._draw(storage, len(redraw))
        index[:, 2].masked_fill_(~relabeled, KEEP_GOAL)
        return index, {}

    def _draw(self, storage: EpisodeStorage, size: int) -> Tensor:
        """(episode, t, f), [size, 3] int64."""
        row = self._rows(storage, size)
        if self.rule.prioritize_motion > 0.0:
            by_motion = self._uniform(size) < self.rule.prioritize_motion
            row = torch.where(by_motion, self._rows_by_motion(storage, size), row)
        length = storage.lengths.index_select(0, row)
        time = (self._uniform(size) * length).long()
        if self.rule.turn_share > 0.0 and self._has_turns:
            row, time = self._own_turn(storage, row, time)
            length = storage.lengths.index_select(0, row)
        return torch.stack([row, time, self._goal_time(time, length)], dim=-1)

    def _own_turn(
        self, storage: EpisodeStorage, row: Tensor, time: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Episodes and times [B], a share of them redrawn from turns of the subtask's object."""
        states = storage.states_of_turn(self.relay.subtasks[self.subtask].object)
        if not len(states):
            return row, time
        own = self._uniform(len(row)) < self.rule.turn_share
        drawn = states[(self._uniform(len(row)) * len(states)).long()]
        return torch.where(own, drawn[:, 0], row), torch.where(own, drawn[:, 1], time)

    def _rows(self, storage: EpisodeStorage, size: int) -> Tensor:
        """Episodes [size], drawn in proportion to their lengths."""
        uniform = self._uniform(size)
        if storage.equal_lengths:
            return (uniform * len(storage)).long()
        # Worked example, lengths 2 and 3: ends = [2, 5]; transitions 0 and 1 are in row 0.
        ends = storage.lengths.cumsum(0)
        return torch.searchsorted(ends, (uniform * ends[-1]).long(), right=True)

    def _rows_by_motion(self, storage: EpisodeStorage, size: int) -> Tensor:
        """Episodes [size], drawn in proportion to their motion; all alike if nothing moved."""
        weights = storage.motion[: len(storage)].double() + 1e-6  # metres
        cumulative = weights.cumsum(0)
        drawn = torch.searchsorted(cumulative, self._uniform(size) * cumulative[-1], right=True)
        return drawn.clamp(max=len(storage) - 1)

    def _goal_time(self, time: Tensor, length: Tensor) -> Tensor:
        """Times f [B] of the states that give the goals of transitions at ``time`` [B].

        Args:
            length: env steps of their episodes [B].
        """
        if self.rule.hindsight == Hindsight.final:
            return length
        if self.rule.hindsight == Hindsight.episode:
            return (self._uniform(len(time)) * (length + 1)).long()
        # Worked example, length 50: t = 49 leaves only f = 50; t = 0 gives f in 1..50.
        return time + 1 + (self._uniform(len(time)) * (length - time)).long()

    def _rejected(self, storage: EpisodeStorage, index: Tensor) -> Tensor:
        """Which draws [B] are to be drawn again; see :class:`HindsightSampler`."""
        row, time, later = index.unbind(-1)
        achieved, later_on = storage.achieved_goals(row, time), storage.achieved_goals(row, later)
        if storage.sequence is not None:
            order = storage.sequence_at(row, time)
            achieved, later_on = renumbered(achieved, order), renumbered(later_on, order)
        goals = self.relay.hindsight_goals(achieved, later_on, self.subtask)
        if self.relay.last_only:  # no other object is ever served
            met_already = self.relay.met(goals, achieved, self.subtask)
            return met_already & (self._uniform(len(row)) >= self.rule.inert_ratio)
        away = torch.linalg.vector_norm(goals - achieved, dim=-1).unbind(-1)  # P tensors [B]
        met = list(map(le, away, self._limits))
        own = met.pop(self._own)
        rejected = own & (self._uniform(len(row)) >= self.rule.inert_ratio)
        if self.relay.num_objects > 1:
            unmet = ~reduce(and_, met)
            rejected |= unmet & (self._uniform(len(row)) >= self.rule.unmet_ratio)
        return rejected

    def _uniform(self, size: int) -> Tensor:
        device = self.generator.device
        return torch.rand(size, generator=self.generator, dtype=torch.float64, device=device)

    def _empty(self) -> None:
        """Nothing is kept between draws."""

    def dumps(self, path: Any) -> None:
        """Nothing to write: the generator belongs to the data module."""

    loads = dumps

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore: the generator belongs to the data module."""


def make_replay_buffers(
    storage: EpisodeStorage,
    relay: Relay,
    rule: SamplingRule,
    generator: torch.Generator,
    layout: Layout | None = None,
) -> list[TensorDictReplayBuffer]:
    """One buffer per subtask, all views on the same storage.

    Args:
        storage: of episodes.
        relay: the chain.
        rule: what is drawn.
        generator: the only source of randomness, on the storage's device.
        layout: of the observations, which a relay of any order needs.
    """
    relay = relay.rewarded(rule.reward_radius)
    before = []
    if relay.any_order:  # without it, samples would mix up the objects in silence
        assert layout is not None, "a relay of any order needs the layout"
        before = [WorkingOrder(layout, relay.num_objects)]
    return [
        TensorDictReplayBuffer(
            storage=storage,
            sampler=HindsightSampler(relay, subtask, rule, generator),
            transform=Compose(*before, RelayRelabel(relay, subtask), MirrorImages(rule.mirrors)).to(
                generator.device
            ),
            collate_fn=lambda batch: batch,
        )
        for subtask in range(relay.num_subtasks)
    ]
