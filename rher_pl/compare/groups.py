"""Seeds of one config put together: interquartile mean, bootstrap band, levels reached."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, trim_mean

from rher_pl.compare.curves import Curve
from rher_pl.errors import ConfigError

Array = NDArray[np.float64]

LEVELS = (0.50, 0.90, 0.95)
WINDOW = 5
"""Evaluations in a trailing mean."""


@dataclass(frozen=True)
class Cost:
    """What it took to reach a level.

    Args:
        env_steps: at the first evaluation there.
        trailing: env steps at which the trailing mean over five evaluations is there, or None.
        updates, seconds: medians over seeds at ``env_steps``, None if not recorded.
    """

    env_steps: int
    trailing: int | None
    updates: int | None
    seconds: float | None


@dataclass(frozen=True)
class Group:
    """Evaluations that all seeds of a config have: E of them, of S seeds.

    Args:
        label: names the group among those that are compared.
        task: registered task name.
        seeds: S of them.
        env_steps: [E], increasing.
        success: [S, E].
        updates, seconds: medians over seeds, [E]; NaN where not recorded.
    """

    label: str
    task: str
    seeds: tuple[int, ...]
    env_steps: NDArray[np.int64]
    success: Array
    updates: Array
    seconds: Array

    @property
    def centre(self) -> Array:
        """Interquartile mean over seeds, [E]."""
        return interquartile_mean(self.success)

    @property
    def last_five(self) -> float:
        """Interquartile mean over seeds of the mean of the last five evaluations."""
        return float(interquartile_mean(self.success[:, -WINDOW:].mean(axis=1)))

    def band(self) -> tuple[Array, Array] | None:
        """95% bootstrap interval of the centre, two [E]; None for a single seed."""
        if len(self.seeds) == 1:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # seeds that agree exactly have no spread
            interval = bootstrap(
                (self.success,),
                interquartile_mean,
                axis=0,
                n_resamples=2000,
                method="percentile",
                random_state=0,
            ).confidence_interval
        return interval.low, interval.high

    def cost(self, level: float) -> Cost | None:
        """What it took until the centre reached a level, or None."""
        centre = self.centre
        reached = first_reaching(self.env_steps, centre, level)
        if reached is None:
            return None
        column = int(np.searchsorted(self.env_steps, reached))
        updates, seconds = self.updates[column], self.seconds[column]
        return Cost(
            reached,
            first_reaching(self.env_steps, centre, level, WINDOW),
            None if np.isnan(updates) else round(updates),
            None if np.isnan(seconds) else float(seconds),
        )


def interquartile_mean(values: Array, axis: int = 0) -> Array:
    """Mean without the lowest and the highest quarter of the seeds (Agarwal et al., 2021).

    Fewer than four seeds leave nothing to cut: it is the mean then.
    """
    result: Array = trim_mean(values, 0.25, axis=axis)
    return result


def first_reaching(
    env_steps: Sequence[int] | NDArray[np.int64], mean: Array, level: float, window: int = 1
) -> int | None:
    """Env steps at which the trailing mean over ``window`` evaluations first is ``level``.

    A trailing mean needs a full window: with window 5 the fifth evaluation is the first that can
    count. None if the level is never reached.
    """
    for end in range(window, len(mean) + 1):
        # Means of rounded shares: 0.95 may come out as 0.9499999.
        if mean[end - window : end].mean() >= level - 1e-9:
            return int(env_steps[end - 1])
    return None


def make_groups(curves: Sequence[Curve]) -> list[Group]:
    """Curves of the same task and config together, in the order of their first ones.

    Of several runs of one seed, the first counts: a store lists the latest first.
    """
    members: dict[tuple[str, frozenset[tuple[str, str]]], dict[int, Curve]] = {}
    for curve in curves:
        key = curve.task, frozenset(curve.config.items())
        members.setdefault(key, {}).setdefault(curve.seed, curve)
    firsts = [next(iter(seeds.values())) for seeds in members.values()]
    labels = _labels(firsts)
    return [
        _align(label, [seeds[seed] for seed in sorted(seeds)])
        for label, seeds in zip(labels, members.values(), strict=True)
    ]


def _labels(firsts: Sequence[Curve]) -> list[str]:
    """The task, and what tells a group from the others of its task."""
    labels = []
    for curve in firsts:
        peers = [other.config for other in firsts if other.task == curve.task]
        differs = [
            key for key in curve.config if any(p.get(key) != curve.config[key] for p in peers)
        ]
        options = [f"{key.rpartition('.')[2]} {curve.config[key]}" for key in differs]
        labels.append(", ".join([curve.task, *options]))
    return labels


def _align(label: str, curves: Sequence[Curve]) -> Group:
    steps = sorted(set.intersection(*(set(curve.points) for curve in curves)))
    if not steps:
        raise ConfigError(
            f"the seeds of {label} have no evaluation at the same env steps: "
            "compare runs with one eval_every_env_steps"
        )
    points = [[curve.points[step] for step in steps] for curve in curves]
    counters = [
        np.median([[_number(getattr(p, name)) for p in row] for row in points], axis=0)
        for name in ("updates", "seconds")
    ]
    return Group(
        label,
        curves[0].task,
        tuple(curve.seed for curve in curves),
        np.array(steps),
        np.array([[p.success for p in row] for row in points]),
        *counters,
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
