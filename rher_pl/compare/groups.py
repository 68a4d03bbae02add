"""Groups of runs that differ only in seed: average with its band, and the cost of a level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rher_pl.compare.curve import Curve
from rher_pl.compare.curves import NAME
from rher_pl.compare.statistics import (
    WINDOW,
    Array,
    Centre,
    bootstrap_band,
    first_reaching,
    last_five,
    worst_seed,
)
from rher_pl.errors import ConfigError


@dataclass(frozen=True)
class Cost:
    """What it took to reach a level.

    Args:
        env_steps: at the first evaluation that reaches it.
        trailing: env steps at which the trailing mean over five evaluations reaches it, or None.
        updates, seconds: medians over seeds at ``env_steps``, None if not recorded.
    """

    env_steps: int
    trailing: int | None
    updates: int | None
    seconds: float | None


@dataclass(frozen=True)
class Worst:
    """The seed that ended lowest.

    Args:
        seed: which one.
        last_five: mean of its last five evaluations.
    """

    seed: int
    last_five: float


@dataclass(frozen=True)
class Group:
    """The E evaluations that all S seeds of a config share.

    Args:
        label: names the group among those that are compared.
        task: registered task name.
        seeds: of the runs, S of them.
        env_steps: [E], increasing.
        success: [S, E], in [0, 1].
        updates, seconds: medians over seeds, [E]; NaN where not recorded.
        statistic: how seeds are averaged.
    """

    label: str
    task: str
    seeds: tuple[int, ...]
    env_steps: NDArray[np.int64]
    success: Array
    updates: Array
    seconds: Array
    statistic: Centre = Centre.interquartile_mean

    @property
    def centre(self) -> Array:
        """Average over seeds, [E]; see :class:`Centre`."""
        return self.statistic.of(self.success)

    @property
    def last_five(self) -> float:
        """Centre over seeds of the mean of the last five evaluations."""
        return float(self.statistic.of(last_five(self.success)))

    @property
    def worst(self) -> Worst:
        """The seed that ended lowest."""
        index = worst_seed(self.success)
        return Worst(self.seeds[index], float(last_five(self.success)[index]))

    def band(self) -> tuple[Array, Array] | None:
        """95% bootstrap interval of the centre, two [E]; None for a single seed."""
        return bootstrap_band(self.success, self.statistic)

    def cost(self, level: float) -> Cost | None:
        """What it took until the centre reached a level, in [0, 1]; None if it never did."""
        reached = first_reaching(self.env_steps, self.centre, level)
        if reached is None:
            return None
        column = int(np.searchsorted(self.env_steps, reached))
        updates, seconds = self.updates[column], self.seconds[column]
        return Cost(
            reached,
            first_reaching(self.env_steps, self.centre, level, WINDOW),
            None if np.isnan(updates) else round(updates),
            None if np.isnan(seconds) else float(seconds),
        )


def make_groups(
    curves: Sequence[Curve], statistic: Centre = Centre.interquartile_mean
) -> list[Group]:
    """Group curves by task and config; groups are in the order of their first curves.

    Of several runs of one seed, the first counts: a store lists the latest first.
    """
    members: dict[tuple[str, frozenset[tuple[str, str]]], dict[int, Curve]] = {}
    for curve in curves:
        key = curve.task, frozenset(curve.config.items())
        members.setdefault(key, {}).setdefault(curve.seed, curve)
    firsts = [next(iter(seeds.values())) for seeds in members.values()]
    labels = _labels(firsts)
    return [
        _align(label, [seeds[seed] for seed in sorted(seeds)], statistic)
        for label, seeds in zip(labels, members.values(), strict=True)
    ]


def _labels(firsts: Sequence[Curve]) -> list[str]:
    """The task, the name of the records, and the options that not all groups of the task share."""
    labels = []
    for curve in firsts:
        peers = [other.config for other in firsts if other.task == curve.task]
        differs = [
            key
            for key, value in curve.config.items()
            if key != NAME and any(peer.get(key) != value for peer in peers)
        ]
        named = [curve.config[NAME]] if NAME in curve.config else []
        options = [f"{key.rpartition('.')[2]} {curve.config[key]}" for key in differs]
        labels.append(", ".join([curve.task, *named, *options]))
    return labels


def _align(label: str, curves: Sequence[Curve], statistic: Centre) -> Group:
    """A group of the evaluations that all its seeds have, at the mean of their env steps."""
    by_seed = [_by_updates(curve) for curve in curves]
    if not all(by_seed):
        by_seed = [{step: step for step in curve.points} for curve in curves]
    common = sorted(set.intersection(*map(set, by_seed)))
    if not common:
        raise ConfigError(
            f"the seeds of {label} have no evaluation at the same env steps: "
            "compare runs with one eval_every_env_steps"
        )
    steps = [[evaluations[key] for key in common] for evaluations in by_seed]
    points = [[curve.points[s] for s in own] for curve, own in zip(curves, steps, strict=True)]
    return Group(
        label,
        curves[0].task,
        tuple(curve.seed for curve in curves),
        np.array(steps).mean(0).round().astype(int),
        np.array([[point.success for point in row] for row in points]),
        _median([[point.updates for point in row] for row in points]),
        _median([[point.seconds for point in row] for row in points]),
        statistic,
    )


def _by_updates(curve: Curve) -> dict[int, int]:
    """Env steps of each evaluation, by its number of updates.

    Updates are equal in all seeds, even where episodes end early and env steps differ. Empty if two
    evaluations have the same number.
    """
    found = {p.updates: step for step, p in curve.points.items() if p.updates is not None}
    return found if len(found) == len(curve.points) else {}


def _median(values: Sequence[Sequence[float | None]]) -> Array:
    """Over seeds, [S, E] to [E]; NaN where a seed has no value."""
    result: Array = np.median(np.array(values, dtype=float), axis=0)
    return result
