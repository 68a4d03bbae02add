"""Try controllers out from the present state, and play the one that works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import mujoco
import numpy as np

from controllers.hand import Moves


class Controller(Protocol):
    """Yields an action for each step, computed from the state that the environment is in then."""

    def moves(self) -> Moves: ...


class Rehearsed:
    """The first of several controllers that ends an episode well, or the last one.

    Args:
        env: one of the suite, unwrapped.
        makers: of controllers.
        steps: of an episode.
    """

    def __init__(self, env: Any, makers: Sequence[Callable[[], Controller]], steps: int) -> None:
        self._env, self._makers, self._steps = env, makers, steps

    def moves(self) -> Iterator[Any]:
        model, data = self._env.model, self._env.data
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        start = np.empty(mujoco.mj_stateSize(model, kind))
        mujoco.mj_getState(model, data, start, kind)
        for make in self._makers:
            actions = []
            for action in islice(make().moves(), self._steps):
                actions.append(action)
                *_, info = self._env.step(clipped(action))
            mujoco.mj_setState(model, data, start, kind)
            mujoco.mj_forward(model, data)
            if info["is_success"]:
                break
        yield from actions


def clipped(action: Any) -> Any:
    """An action as an environment takes it, float32 [4]."""
    return np.clip(action, -1.0, 1.0).astype(np.float32)
