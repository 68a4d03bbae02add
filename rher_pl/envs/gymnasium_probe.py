"""What one copy of an environment shows in a few episodes: spaces, columns, limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rher_pl.envs.foreign import foreign
from rher_pl.envs.gymnasium_make import KEYS, Recipe
from rher_pl.errors import require

EPISODES, STEPS, SEED = 4, 10, 6_000_000
"""Episodes of a probe, their longest length in steps, and the first seed."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Probe:
    """States of a few short random episodes, by row.

    Args:
        env: the environment, still open.
        observation: [M, O].
        achieved, desired: [M, G].
        first: rows [EPISODES] of the states after a reset.
    """

    env: gymnasium.Env
    observation: Array
    achieved: Array
    desired: Array
    first: list[int]

    @property
    def goal_size(self) -> int:
        """G."""
        return int(self.achieved.shape[1])

    @property
    def action_size(self) -> int:
        """A."""
        space: Any = self.env.action_space
        return int(space.shape[0])

    @property
    def can_be_drawn(self) -> bool:
        """Whether it can give pictures."""
        return "rgb_array" in self.env.metadata.get("render_modes", [])

    def position_columns(self, numbers: Array, among: Sequence[int]) -> list[int]:
        """Columns in which the observation holds ``numbers [M, d]`` side by side; empty if none.

        Numbers that never change are not found: they may be equal by chance.

        Args:
            numbers: to be found.
            among: columns to search.
        """
        size = numbers.shape[1]
        if not (numbers != numbers[0]).any():
            return []
        for start in range(len(among) - size + 1):
            columns = list(among[start : start + size])
            if np.array_equal(self.observation[:, columns], numbers):
                return columns
        return []

    def moves(self, columns: tuple[int, ...]) -> bool:
        """Whether columns of the observation change from step to step in every episode."""
        starts = [*self.first, len(self.observation)]
        rows = [self.observation[a:b, list(columns)] for a, b in pairwise(starts)]
        return all(bool((row != row[0]).any()) for row in rows if len(row) > 1)


def probe(recipe: Recipe) -> Probe:
    """Make an environment and play a few random episodes.

    Raises:
        ConfigError: for spaces that cannot be learned from, and if the environment fails.
    """
    env = recipe.make()
    with foreign(f"{recipe.spec.id} does not declare its spaces", ": set them in its constructor"):
        check_spaces(env)
    advice = "; look at reset_options" if recipe.reset_options else ""
    rng = np.random.default_rng(SEED)
    states: list[dict[str, Array]] = []
    first = []
    for episode in range(EPISODES):
        with foreign(f"{recipe.spec.id} fails in its first steps", advice):
            observed, _ = env.reset(seed=SEED + episode, options=dict(recipe.reset_options) or None)
            first.append(len(states))
            states.append({key: np.array(observed[key]) for key in KEYS})
            for _ in range(STEPS):
                low, high = env.action_space.low, env.action_space.high  # type: ignore[attr-defined]
                action = rng.uniform(low, high).astype(env.action_space.dtype)
                observed, _, terminated, truncated, _ = env.step(action)
                states.append({key: np.array(observed[key]) for key in KEYS})
                if terminated or truncated:
                    break
    require(
        any(after - before > 2 for before, after in pairwise([*first, len(states)])),
        f"every episode of {recipe.spec.id} ends after one step: there is nothing to relay",
    )
    observation, achieved, desired = (np.stack([s[key] for s in states]) for key in KEYS)
    return Probe(env, observation, achieved, desired, first)


def check_spaces(env: gymnasium.Env) -> None:
    """Check for Dict observations of flat vectors, goals of one size, and bounded actions.

    Raises:
        ConfigError: if not; says what is wrong, and what to do.
    """
    name, space, action = env.spec.id if env.spec else "it", env.observation_space, env.action_space
    require(
        isinstance(space, spaces.Dict) and all(key in space.spaces for key in KEYS),
        f"{name} is no goal environment: its observation must be a Dict with {', '.join(KEYS)}, "
        f"not {_kind(space)}; choose another environment, or a wrapper that makes one (wrappers)",
    )
    assert isinstance(space, spaces.Dict)
    for key in KEYS:
        part = space[key]
        flat = isinstance(part, spaces.Box) and len(part.shape) == 1
        require(
            flat,
            f"{key} of {name} is {_kind(part)}, and must be a Box of shape (n,): pictures and "
            "nested observations need a wrapper that turns them into numbers (wrappers)",
        )
    sizes = [space[key].shape for key in KEYS[1:]]
    require(
        sizes[0] == sizes[1],
        f"{name} has achieved_goal of shape {sizes[0]} and desired_goal of {sizes[1]}: "
        "they must be equal: add a wrapper that makes them so (wrappers)",
    )
    bounded = isinstance(action, spaces.Box) and len(action.shape) == 1 and action.is_bounded()
    require(
        bounded,
        f"actions of {name} are {_kind(action)}: they must be a Box of shape (n,) with finite "
        "bounds: name a function of yours in wrappers that wraps it",
    )
    for what, box in (("observation", space["observation"]), ("action", action)):
        require(box.shape != (0,), f"{what} of {name} has no numbers: nothing can be learned")


def _kind(space: Any) -> str:
    """A space in words, such as ``Box (84, 84, 3)``, ``Discrete``, or ``Dict of a, b``."""
    if isinstance(space, spaces.Dict):
        return f"Dict of {', '.join(map(str, space.spaces))}"[:60]
    return " ".join(filter(None, [type(space).__name__, str(getattr(space, "shape", "") or "")]))
