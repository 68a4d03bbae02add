"""A user's own Gymnasium environment, unlike the shipped ones in all ways; workers import it."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

LOW, HIGH = -3.0, 7.0
EPSILON, STEP = 0.1, 0.12


class OddEnv(gymnasium.Env):
    """Two pucks in the plane, which a point can carry along; it ends early, well or badly.

    The observation is [clock, puck 1, point, clock, puck 0]. Actions in [-3, 7], with
    their middle at 2, are a velocity [2], and whether to carry what is near. It ends as soon as
    both pucks are home, or once the point leaves the table.

    Args:
        table: half the width of the table.
        dies_at: step at which the process ends itself, in the worker of the third seed.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"]}

    def __init__(
        self, table: float = 1.5, dies_at: int | None = None, render_mode: str | None = None
    ) -> None:
        self.render_mode, self.table, self.dies_at = render_mode, table, dies_at
        box = lambda size: spaces.Box(-np.inf, np.inf, (size,), np.float64)  # noqa: E731
        self.observation_space = spaces.Dict(
            observation=box(8), achieved_goal=box(4), desired_goal=box(4)
        )
        self.action_space = spaces.Box(LOW, HIGH, (3,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        super().reset(seed=seed)
        self.seed, self.clock = seed, 0
        self.point = self.np_random.uniform(-0.35, 0.35, 2)
        self.pucks = self.np_random.uniform(-0.35, 0.35, (2, 2))
        self.goals = self.np_random.uniform(-0.35, 0.35, (2, 2))
        if options and "goals" in options:
            self.goals = np.array(options["goals"], dtype=np.float64)
        if options and "near" in options:
            self.goals = self.pucks + self.np_random.uniform(-1, 1, (2, 2)) * options["near"]
        return self._observed(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        self.clock += 1
        third = self.seed is not None and self.seed % 3 == 2
        if self.dies_at == self.clock and third and multiprocessing.parent_process():
            os._exit(7)
        centred = (np.asarray(action) - 2.0) / 5.0  # in [-1, 1]
        moved = STEP * centred[:2]
        near = (np.linalg.norm(self.pucks - self.point, axis=1) < EPSILON) & (centred[2] > 0.0)
        self.point = self.point + moved
        self.pucks = self.pucks + near[:, None] * moved
        solved = bool(self._home().all())
        fell = bool(np.abs(self.point).max() > self.table)
        reward = float(self.compute_reward(self.pucks.ravel(), self.goals.ravel(), {}))
        return self._observed(), reward, solved or fell, False, {"is_success": solved}

    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> Any:
        """1 where both pucks are home, else 0, for one goal or a batch."""
        offsets = np.reshape(np.asarray(achieved) - desired, (*np.shape(achieved)[:-1], 2, 2))
        return (np.linalg.norm(offsets, axis=-1) <= EPSILON).all(-1).astype(np.float64)

    def _home(self) -> Any:
        return np.linalg.norm(self.pucks - self.goals, axis=1) <= EPSILON

    def _observed(self) -> dict[str, Any]:
        clock = [self.clock / 10.0]
        parts = [clock, self.pucks[1], self.point, clock, self.pucks[0]]
        return {
            "observation": np.concatenate(parts),
            "achieved_goal": self.pucks.ravel().copy(),
            "desired_goal": self.goals.ravel().copy(),
        }

    def render(self) -> Any:
        return np.full((30, 40, 3), self.clock, dtype=np.uint8)


class PoseEnv(OddEnv):
    """Its goal is a pose of seven numbers that follow the actions; its info is empty."""

    def __init__(self, informed: bool = False, dense: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.informed, self.dense = informed, dense
        box = lambda size: spaces.Box(-np.inf, np.inf, (size,), np.float64)  # noqa: E731
        self.observation_space = spaces.Dict(
            observation=box(7), achieved_goal=box(7), desired_goal=box(7)
        )
        self.action_space = spaces.Box(-1.0, 1.0, (7,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        gymnasium.Env.reset(self, seed=seed)
        self.clock = 0
        self.pose, self.goal = self.np_random.uniform(-0.5, 0.5, (2, 7))
        return self._observed(), {}

    def step(self, action: Any) -> Any:
        self.clock += 1
        self.pose = self.pose + 0.1 * np.asarray(action)
        reward = float(self.compute_reward(self.pose, self.goal, {"a": 1}))
        return self._observed(), reward, False, False, {}

    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> Any:
        if self.informed:
            assert info["a"] == 1
        distance = float(np.linalg.norm(np.subtract(achieved, desired)))  # one goal at a time
        return -distance if self.dense else -float(distance > 0.3)

    def _observed(self) -> dict[str, Any]:
        return {
            "observation": self.pose.copy(),
            "achieved_goal": self.pose.copy(),
            "desired_goal": self.goal.copy(),
        }


class FaultyEnv(OddEnv):
    """Broken in one way, which ``fault`` names."""

    def __init__(self, fault: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.fault = fault
        if fault == "no spaces":
            del self.observation_space
        elif fault == "leaves":
            raise SystemExit(3)
        elif fault == "extra":  # a key that no vector environment can share
            text = spaces.Sequence(spaces.Discrete(3))
            self.observation_space = spaces.Dict({**self.observation_space.spaces, "text": text})

    def reset(self, **options: Any) -> Any:
        if self.fault == "old reset":
            options = {k: v for k, v in options.items() if k == "seed"}
            return super().reset(**options)[0]
        return super().reset(**options)

    def step(self, action: Any) -> Any:
        observed, reward, terminated, truncated, info = super().step(action)
        late = self.clock == 20
        if self.fault == "leaves late" and late:
            raise SystemExit(3)
        if self.fault == "raises late" and late:
            raise RuntimeError("the gripper is stuck")
        if self.fault == "longer" and late:
            observed["observation"] = np.append(observed["observation"], 0.0)
        if self.fault == "says yes" and late:
            info["is_success"] = "yes"
        if self.fault == "silent":
            info.pop("is_success")
        if self.fault == "old step":
            return observed, reward, terminated, info
        return observed, reward, terminated, truncated, info

    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> Any:
        if self.fault == "constant":
            return -1.0
        return super().compute_reward(achieved, desired, info)


def raises(env: gymnasium.Env) -> gymnasium.Env:
    raise RuntimeError("wrapped badly")


def still(env: gymnasium.Env) -> gymnasium.Env:
    """A wrapper of the user's."""
    return gymnasium.wrappers.TransformAction(env, lambda action: action, env.action_space)


def no_wrapper(env: gymnasium.Env) -> int:
    return 3


gymnasium.register("Odd-v0", "odd_gymnasium:OddEnv", max_episode_steps=30)
gymnasium.register("Pose-v0", "odd_gymnasium:PoseEnv", max_episode_steps=20)
gymnasium.register("Faulty-v0", "odd_gymnasium:FaultyEnv", max_episode_steps=30)
gymnasium.register("Endless-v0", "odd_gymnasium:OddEnv")
