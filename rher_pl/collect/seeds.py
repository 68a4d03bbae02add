"""The seed of each training episode: a function of the run's seed and the episode's number."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a seed of an episode is for; each has a seed of its own."""

    ENVIRONMENT = 0
    EXPLORATION = 1


def episode_seed(run_seed: int, episode: int, stream: Stream = Stream.ENVIRONMENT) -> int:
    """A seed in [2^31, 2^32), above all seeds that evaluation uses.

    Args:
        run_seed: at least 0.
        episode: number of the episode in its run, at least 0.
        stream: what the seed is for.
    """
    words = np.random.SeedSequence((run_seed, episode)).generate_state(len(Stream))
    return int(words[stream]) | 2**31


def episode_seeds(run_seed: int, episodes: Iterable[int], stream: Stream) -> list[int]:
    """:func:`episode_seed` of each of some episodes."""
    return [episode_seed(run_seed, episode, stream) for episode in episodes]
