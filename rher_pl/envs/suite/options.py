"""Checks what ``reset(options=...)`` says, and refuses mistakes in one line."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rher_pl.suggest import did_you_mean

FloatArray = NDArray[np.float64]
KEYS = ("goal", "objects")
AXES = "xyz"
ROUNDING = 1e-6
"""Metres by which a given position may exceed a limit."""


def check_keys(options: Iterable[str]) -> None:
    """Raise a ValueError for an option that does not exist."""
    for key in options:
        if key not in KEYS:
            hint = did_you_mean(str(key), KEYS, f"choose from {', '.join(KEYS)}")
            raise ValueError(f"unknown option {str(key)[:40]!r} of reset: {hint}")


def points(name: str, value: ArrayLike, number: int) -> FloatArray:
    """``value``, [number, 3] or [3 * number], as float64 [number, 3].

    Raises:
        ValueError: for another shape, or what is not a finite number.
    """
    if number == 0:
        raise ValueError(f"this task has no {name} to place: leave option {name!r} out")
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"option {name!r} must be numbers of shape ({number}, 3)") from None
    if array.shape not in ((number, 3), (3 * number,)):
        raise ValueError(
            f"option {name!r} has shape {array.shape}: give ({number}, 3), x, y and z in metres "
            "for each object"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"option {name!r} must be finite, got {array.tolist()}")
    return array.reshape(number, 3)


def within(name: str, point: FloatArray, low: ArrayLike, high: ArrayLike) -> None:
    """Raise a ValueError, which names the limit, unless ``low <= point <= high``, [3] each."""
    for axis, value, least, most in zip(AXES, point, np.asarray(low), np.asarray(high)):
        if not least - ROUNDING <= value <= most + ROUNDING:
            limit = f"{least:.4g}" if least == most else f"{least:.4g} to {most:.4g}"
            raise ValueError(f"{name}: {axis} is {value:.4g} m, must be {limit}")
