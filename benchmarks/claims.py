"""What others report of RHER, held against the rows of an ablation.

A claim says that one row has more of something than another. It is *supported* if every seed of the
one has more than every seed of the other (by chance 1 in 20 for three seeds against three, 1 in 252
for five against five), *contradicted* if it is the other way round, else *undecided*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.ablation_summary import RowCurves
from benchmarks.summary import WINDOW, Array, first_reaching

EARLY = 20_000
"""Env steps that count as the beginning of a run."""
LEVEL = 0.90
"""Success that counts as learned, as a trailing mean over five evaluations."""

Measure = Callable[[RowCurves], Array]
"""One number for each seed, [S]."""


@dataclass(frozen=True)
class Claim:
    """``more`` has more of ``measure`` than ``less`` has.

    Args:
        text: the claim.
        source: who makes it.
        more, less: names of rows.
        unit: what the measure is, as shown.
        measure: of one row.
    """

    text: str
    source: str
    more: str
    less: str
    unit: str
    measure: Measure

    def verdict(self, rows: Mapping[str, RowCurves]) -> str:
        more, less = (self.measure(rows[name]) for name in (self.more, self.less))
        if np.isnan(more).any() or np.isnan(less).any():
            return "not recorded"
        if more.min() > less.max():
            return "supported"
        return "contradicted" if more.max() < less.min() else "undecided"

    def measured(self, rows: Mapping[str, RowCurves]) -> str:
        """Such as ``INNR: plain HER 0.91, 0.93; RHER 0.31, 0.33``, one number for each seed."""
        parts = (
            f"{rows[name].row.label} {', '.join(_number(v) for v in self.measure(rows[name]))}"
            for name in (self.more, self.less)
        )
        return f"{self.unit}: {'; '.join(parts)}"


def early(name: str) -> Measure:
    """Mean of a curve of :class:`RowCurves` up to ``EARLY`` env steps."""

    def measure(data: RowCurves) -> Array:
        values: Array = getattr(data, name)[:, data.curves.env_steps <= EARLY]
        return values.mean(axis=1) if values.size else np.full(len(data.curves.seeds), np.nan)

    return measure


def last(name: str) -> Measure:
    """Mean of the last five evaluations."""
    return lambda data: data.curves.last_five(getattr(data, name))


def steps_to_level(data: RowCurves) -> Array:
    """Env steps to ``LEVEL``, infinite where it is never reached."""
    found = [first_reaching(data.curves.env_steps, s, LEVEL, WINDOW) for s in data.success]
    return np.array([np.inf if steps is None else steps for steps in found])


def fall(data: RowCurves) -> Array:
    """Highest trailing mean of success minus the last one; NaN with fewer than five."""
    if data.success.shape[1] < WINDOW:
        return np.full(len(data.success), np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(data.success, WINDOW, axis=1)
    trailing = windows.mean(axis=-1)
    result: Array = trailing.max(axis=1) - trailing[:, -1]
    return result


PAPER, BLOG, OURS = "RHER paper", "reproduction", "rher_pl"
STEPS = f"env steps to {LEVEL:.0%}"

CLAIMS = (
    Claim(
        "Without the relay, hindsight goals are inert until the object is touched",
        PAPER,
        "her_td3",
        "rher_td3",
        f"INNR share, first {EARLY:,} env steps",
        early("innr"),
    ),
    Claim(
        "RHER needs fewer env steps than HER", PAPER, "her_td3", "rher_td3", STEPS, steps_to_level
    ),
    Claim("The guide saves env steps", PAPER, "no_guide", "rher_td3", STEPS, steps_to_level),
    Claim(
        "A guide that fades, and goals met within 0.6 of epsilon, save env steps",
        OURS,
        "rher_td3",
        "shipped",
        STEPS,
        steps_to_level,
    ),
    Claim(
        "RHER with both needs fewer env steps than HER",
        OURS,
        "her_td3",
        "shipped",
        STEPS,
        steps_to_level,
    ),
    Claim(
        "Updating one subtask after the other forgets the first",
        BLOG,
        "rher_td3",
        "sequential",
        "success of reach, last five evaluations",
        last("reach"),
    ),
    Claim(
        "Mixed batches end with more success",
        BLOG,
        "rher_td3",
        "sequential",
        "success, last five evaluations",
        last("success"),
    ),
    Claim(
        "With DDPG success rises and falls back, with TD3 it stays",
        BLOG,
        "rher_ddpg",
        "rher_td3",
        "best minus last trailing mean of success",
        fall,
    ),
    Claim(
        "DDPG over-estimates more than TD3",
        BLOG,
        "rher_ddpg",
        "rher_td3",
        "Q minus return, last five evaluations",
        last("q_gap"),
    ),
)


def judged(rows: Sequence[RowCurves]) -> list[tuple[str, str, str, str]]:
    """(claim, source, measured, verdict) of the claims whose rows are both there."""
    by_name = {data.row.name: data for data in rows}
    return [
        (claim.text, claim.source, claim.measured(by_name), claim.verdict(by_name))
        for claim in CLAIMS
        if {claim.more, claim.less} <= by_name.keys()
    ]


def _number(value: float) -> str:
    if np.isinf(value):
        return "never"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
