"""Claims about RHER, tested against the rows of a suite.

A claim says that one row has more of something than another. It is *supported* if every seed of the
one has more than every seed of the other (by chance 1 in 20 for three seeds against three, 1 in 252
for five against five), *contradicted* if it is the other way round, else *undecided*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.ablation.rows import RowCurves
from benchmarks.ablation.suite import Claim
from rher_pl.compare.statistics import WINDOW, Array, first_reaching, last_five, trailing_mean

EARLY = 20_000
"""Env steps that count as the beginning of a run."""
LEVEL = 0.90
"""Success that counts as learned, as a trailing mean over five evaluations."""


def early_innr(data: RowCurves) -> Array:
    """Mean share of INNR (identical non-negative rewards) at the beginning of a run, [S]."""
    values = data.innr[:, data.group.env_steps <= EARLY]
    return values.mean(axis=1) if values.size else np.full(len(values), np.nan)


def steps_to_level(data: RowCurves) -> Array:
    """Env steps to ``LEVEL``, infinite where it is never reached."""
    group = data.group
    found = [first_reaching(group.env_steps, s, LEVEL, WINDOW) for s in group.success]
    return np.array([np.inf if steps is None else steps for steps in found])


def fall(data: RowCurves) -> Array:
    """Highest trailing mean of success minus the last one; NaN with fewer than five."""
    trailing = trailing_mean(data.group.success)
    if not trailing.size:
        return np.full(len(trailing), np.nan)
    result: Array = trailing.max(axis=1) - trailing[:, -1]
    return result


MEASURES: dict[str, tuple[str, Callable[[RowCurves], Array]]] = {
    "early_innr": (f"INNR share, first {EARLY:,} env steps", early_innr),
    "steps": (f"env steps to {LEVEL:.0%}", steps_to_level),
    "fall": ("best minus last trailing mean of success", fall),
    "success": ("success, last five evaluations", lambda data: last_five(data.group.success)),
    "last_policy": (
        "success of the last policy alone, last five evaluations",
        lambda data: last_five(data.last_policy),
    ),
    "reach": ("success of reach, last five evaluations", lambda data: last_five(data.reach)),
    "q_gap": ("Q minus return, last five evaluations", lambda data: last_five(data.q_gap)),
}
"""What a claim may be about: its label, and a function from a row to a number per seed, [S]."""


def judge(claim: Claim, rows: Mapping[str, RowCurves]) -> tuple[str, str, str, str]:
    """(claim, source, measured, verdict); measured as ``INNR: plain HER 0.91; RHER 0.31``."""
    unit, measure = MEASURES[claim.measure]
    more, less = (measure(rows[name]) for name in (claim.more, claim.less))
    if np.isnan(more).any() or np.isnan(less).any():
        verdict = "not recorded"
    elif more.min() > less.max():
        verdict = "supported"
    else:
        verdict = "contradicted" if more.max() < less.min() else "undecided"
    numbers = "; ".join(
        f"{rows[name].row.label} {', '.join(map(_number, values))}"
        for name, values in ((claim.more, more), (claim.less, less))
    )
    return claim.text, claim.source, f"{unit}: {numbers}", verdict


def judged(claims: Sequence[Claim], rows: Sequence[RowCurves]) -> list[tuple[str, str, str, str]]:
    """The claims whose rows both have records, each with its verdict; see :func:`judge`."""
    by_name = {data.row.name: data for data in rows}
    return [judge(each, by_name) for each in claims if {each.more, each.less} <= by_name.keys()]


def _number(value: float) -> str:
    if np.isinf(value):
        return "never"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
