"""When a job is done: the same for every contestant."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

LEVEL = 0.95
"""Success that ends a job."""
EVALUATIONS = 3
"""How many evaluations in a row must have that mean."""
EPISODES = 25
"""Of an evaluation, on fixed seeds."""
FRESH = 100
"""Episodes that confirm it, on seeds that no evaluation has used."""

Play = Callable[[int, int], float]
"""Success of so many episodes, from this first seed on."""


class Judge:
    """Decides whether a job is done, as the shipped configs of ``rher_pl`` do (``until``).

    Args:
        play: plays noise-free episodes and gives their success.
        first_seed: of the evaluation episodes; fresh ones follow a million later.
    """

    def __init__(self, play: Play, first_seed: int = 1_000_000) -> None:
        self.play, self.first_seed = play, first_seed
        self.recent: deque[float] = deque(maxlen=EVALUATIONS)
        self.fresh: list[float] = []
        """Of each attempt to confirm."""

    def evaluate(self) -> tuple[float, bool]:
        """Success of an evaluation, and whether the job is done."""
        self.recent.append(self.play(EPISODES, self.first_seed))
        if len(self.recent) < EVALUATIONS or sum(self.recent) / EVALUATIONS < LEVEL:
            return self.recent[-1], False
        first = self.first_seed + 1_000_000 + FRESH * len(self.fresh)
        self.fresh.append(self.play(FRESH, first))
        return self.recent[-1], self.fresh[-1] >= LEVEL
