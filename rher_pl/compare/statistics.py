"""Statistics of learning curves over seeds; benchmarks use them as well.

S seeds, E evaluations. Success is a share of evaluation episodes, in [0, 1].
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, trim_mean

Array = NDArray[np.float64]

LEVELS = (0.50, 0.90, 0.95)
WINDOW = 5
"""Evaluations in a trailing mean."""
RESAMPLES = 2000


class Centre(str, Enum):
    """How seeds are averaged."""

    interquartile_mean = "interquartile mean"
    """Mean without the lowest and the highest quarter of the seeds (arXiv 2108.13264)."""
    mean = "mean"
    """Mean of all seeds, as published figures are."""

    def of(self, values: Array, axis: int = 0) -> Array:
        """The average along an axis."""
        return (
            interquartile_mean(values, axis)
            if self is self.interquartile_mean
            else mean(values, axis)
        )


def mean(values: Array, axis: int = 0) -> Array:
    """Mean over seeds."""
    result: Array = values.mean(axis=axis)
    return result


def interquartile_mean(values: Array, axis: int = 0) -> Array:
    """Mean without the lowest and the highest quarter of the seeds.

    With fewer than four seeds nothing is cut: it is the mean.
    """
    result: Array = trim_mean(values, 0.25, axis=axis)
    return result


def bootstrap_band(success: Array, centre: Centre) -> tuple[Array, Array] | None:
    """95% percentile bootstrap interval of the centre over seeds.

    Args:
        success: [S, E]; whole seeds are resampled.
        centre: how the seeds of a resample are averaged.

    Returns:
        Lower and upper ends, [E] each; None for a single seed. Every call gives the same.
    """
    if len(success) == 1:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seeds that agree exactly have no spread
        interval = bootstrap(
            (success,),
            centre.of,
            axis=0,
            n_resamples=RESAMPLES,
            method="percentile",
            random_state=0,
        ).confidence_interval
    return interval.low, interval.high


def last_five(success: Array) -> Array:
    """Mean of each seed's last five evaluations, [S, E] to [S]; of fewer where there are fewer."""
    result: Array = success[:, -WINDOW:].mean(axis=1)
    return result


def worst_seed(success: Array) -> int:
    """Index of the seed whose last five evaluations are the lowest."""
    return int(last_five(success).argmin())


def trailing_mean(values: Array, window: int = WINDOW) -> Array:
    """Means over ``window`` evaluations, [..., E] to [..., E - window + 1]; empty if E is less."""
    if values.shape[-1] < window:
        return values[..., :0]
    result: Array = np.lib.stride_tricks.sliding_window_view(values, window, axis=-1).mean(axis=-1)
    return result


def first_reaching(
    env_steps: Sequence[int] | NDArray[np.int64], success: Array, level: float, window: int = 1
) -> int | None:
    """Env steps at which the trailing mean over ``window`` evaluations first reaches ``level``.

    A trailing mean needs a full window: with window 5 the fifth evaluation is the first that can
    count. None if the level is never reached.

    Args:
        env_steps: [E], increasing.
        success: of one seed, or a centre over seeds, [E].
        level: share of episodes.
        window: evaluations in the mean.
    """
    # Means of rounded shares: 0.95 may come out as 0.9499999.
    reached = trailing_mean(success, window) >= level - 1e-9
    return int(env_steps[int(reached.argmax()) + window - 1]) if reached.any() else None
