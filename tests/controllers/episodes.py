"""Episodes of scripted controllers in the Gymnasium environments of the suite."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium

import rher_pl  # noqa: F401 registers the environments
from controllers.drawers import Pulling, Unpacking
from controllers.inserting import Inserting
from controllers.pushing import orders
from controllers.rehearsal import Controller, Rehearsed, clipped
from controllers.stacking import Stacking

MAKERS: dict[str, Callable[[Any], list[Callable[[], Controller]]]] = {
    "FetchObstaclePush-v0": orders,
    "FetchInsert-v0": lambda env: [partial(Inserting, env)],
    "FetchDrawer-v0": lambda env: [partial(Pulling, env)],
    "FetchDoublePush-v0": orders,
    "FetchStack-v0": lambda env: [partial(Stacking, env)],
    "FetchDrawerBox-v0": lambda env: [partial(Unpacking, env)],
    "FetchThreePush-v0": orders,
    "FetchThreeStack-v0": lambda env: [partial(Stacking, env)],
}
"""By task: controllers for an environment, tried in this order."""


def make(task: str) -> gymnasium.Env:
    """The Gymnasium environment of a task."""
    return gymnasium.make(f"rher_pl/{task}")


def solve(env: gymnasium.Env, task: str, seed: int) -> int | None:
    """Play the episode of a seed to its end.

    Returns:
        The env steps after which the task is solved and stays so, None if it is not at the end.
    """
    env.reset(seed=seed)
    made: Any = env.unwrapped
    assert env.spec is not None and env.spec.max_episode_steps
    makers = MAKERS[task](made)
    if len(makers) > 1:
        moves = Rehearsed(made, makers, env.spec.max_episode_steps).moves()
    else:
        moves = makers[0]().moves()
    solved_at, truncated, step = None, False, 0
    while not truncated:
        step += 1
        *_, truncated, info = env.step(clipped(next(moves)))
        solved_at = (solved_at or step) if info["is_success"] else None
    return solved_at
