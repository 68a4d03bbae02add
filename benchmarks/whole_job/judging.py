"""When a job is done: the same for every contestant."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.learning.settings import resolve_all
from rher_pl.callbacks.until import reaches
from rher_pl.errors import require

Play = Callable[[int, int], float]
"""Success of so many episodes, from this first seed on."""


@dataclass(frozen=True)
class Rule:
    """When a run of a config is solved, as its ``until`` says.

    Args:
        level: success that ends a job.
        evaluations: how many in a row must have that mean.
        episodes: of an evaluation, on fixed seeds.
        fresh: episodes that confirm it, on seeds that no evaluation has used.
    """

    level: float
    evaluations: int
    episodes: int
    fresh: int

    @classmethod
    def of(cls, config: Path) -> Rule:
        """The rule of a config.

        Raises:
            ConfigError: the config's runs do not end when solved.
        """
        settings = resolve_all(config, {})
        until, episodes = settings["until"], settings["data"]["eval_episodes"]
        level, fresh = until["success"], until["episodes"]
        ends = level is not None and fresh > 0
        require(ends, f"{config} does not end when solved: set until.success and until.episodes")
        return cls(level, until["evaluations"], episodes, fresh)


class Judge:
    """Decides whether a job is done, as ``until`` does for ours.

    Args:
        rule: when it is.
        play: plays noise-free episodes and gives their success.
        first_seed: of the evaluation episodes; fresh ones follow a million later.
    """

    def __init__(self, rule: Rule, play: Play, first_seed: int = 1_000_000) -> None:
        self.rule, self.play, self.first_seed = rule, play, first_seed
        self.recent: deque[float] = deque(maxlen=rule.evaluations)
        self.fresh: list[float] = []
        """Of each attempt to confirm."""

    def evaluate(self) -> tuple[float, bool]:
        """Success of an evaluation, and whether the job is done."""
        rule, recent = self.rule, self.recent
        recent.append(self.play(rule.episodes, self.first_seed))
        mean = sum(recent) / len(recent)
        if len(recent) < rule.evaluations or not reaches(mean, rule.level):
            return recent[-1], False
        first = self.first_seed + 1_000_000 + rule.fresh * len(self.fresh)
        self.fresh.append(self.play(rule.fresh, first))
        return recent[-1], reaches(self.fresh[-1], rule.level)
