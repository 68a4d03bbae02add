"""One stored episode as the learner sees it: positions, goals, relabelling, rewards."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDict
from torch import Tensor

from rher_pl.look import Look
from rher_pl.relay import Relay
from rher_pl.replay.relabel import relabel
from rher_pl.replay.sampling import HindsightSampler, SamplingRule
from rher_pl.replay.storage import KEEP_GOAL, EpisodeStorage

DRAWS = 40
"""Samples drawn for each transition; the first one of each is shown."""


@dataclass(frozen=True)
class Inspected:
    """One draw of every transition of an episode, for one subtask.

    Args:
        relay: the chain.
        subtask: 0-based.
        achieved: positions of the points at all states, [T+1, P, 3] (metres).
        desired: desired goals, [D, 3].
        later: time whose positions are the hindsight goal; ``KEEP_GOAL`` where the original goal
            is kept, [T].
        goals: goal of every slot, original or hindsight, [T, P, 3].
        original_reward, reward: under the original goal and under ``goals``, [T].
        inert: relabelled, with reward 0 whatever the action, [T].
        look: names of the objects, and what stands around them.
        places: positions of the layout's places, [K, 3].
    """

    relay: Relay
    subtask: int
    achieved: Tensor
    desired: Tensor
    later: Tensor
    goals: Tensor
    original_reward: Tensor
    reward: Tensor
    inert: Tensor
    look: Look
    places: Tensor

    @property
    def relabeled(self) -> Tensor:
        return self.later != KEEP_GOAL


def inspect_episode(
    relay: Relay,
    episode: TensorDict,
    subtask: int,
    rule: SamplingRule,
    seed: int,
    look: Look | None = None,
    places: Tensor | None = None,
) -> Inspected:
    """Draw every transition once, by the sampler that training uses.

    Args:
        relay: the chain, with the objects in the order of their numbers.
        episode: one row of the storage.
        rule: how transitions and hindsight goals are drawn.
        seed: of the draw.
        look: of the task.
        places: positions of the layout's places, [K, 3].
    """
    storage = EpisodeStorage(1, episode, relay)
    storage.extend(episode.unsqueeze(0))
    generator = torch.Generator().manual_seed(seed)
    sampler = HindsightSampler(relay, subtask, rule, generator)
    length = int(episode["length"])
    drawn, _ = sampler.sample(storage, DRAWS * length)
    index = _first_of_each(drawn, length)
    keep = index.clone()
    keep[:, 2] = KEEP_GOAL
    sample = relabel(relay, storage.get(index), subtask)
    original = relabel(relay, storage.get(keep), subtask)
    return Inspected(
        relay=relay,
        subtask=subtask,
        achieved=episode["achieved_goals"][: length + 1],
        desired=episode["desired_goals"],
        later=index[:, 2],
        goals=sample["goals"],
        original_reward=original["next", "reward"].squeeze(-1),
        reward=sample["next", "reward"].squeeze(-1),
        inert=sample["inert"].squeeze(-1),
        look=look or Look(),
        places=torch.zeros(0, 3) if places is None else places,
    )


def _first_of_each(drawn: Tensor, length: int) -> Tensor:
    """The first draw [B, 3] of each time, [T, 3]; a time that was never drawn keeps its goal."""
    index = torch.tensor([[0, time, KEEP_GOAL] for time in range(length)])
    for row in drawn.flip(0):
        index[row[1]] = row
    return index
