"""What all tasks of the suite share: goals, reward, and starts that are drawn or given."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium.utils import EzPickle
from numpy.typing import ArrayLike, NDArray

from rher_pl.envs.suite.arm import ArmEnv, FloatArray
from rher_pl.envs.suite.options import check_keys, points
from rher_pl.envs.suite.overlap import refuse_overlap

BOUND = 100.0
"""Bound of the observation space, in metres, radians, or either per step; no value is near it."""


class SuiteEnv(ArmEnv, EzPickle):
    """A Fetch task with N objects, each of which has a goal.

    An observation is a dictionary of float64:

    - ``observation [O]``: gripper's position (3 numbers); positions of the objects (3N), the same
      relative to the gripper (3N); finger joints (2); objects' Euler angles (3N), velocities
      relative to the gripper (3N), angular velocities (3N); gripper's velocity (3), fingers'
      velocities (2); positions of the task's places, if any (3 each). Metres and radians;
      velocities are per env step.
    - ``achieved_goal``, ``desired_goal [3N]``: positions of the objects, and where they shall be.

    The action [4] in [-1, 1] is the gripper's move in x, y, z, in units of ``max_action`` metres,
    and the opening of the fingers. Reward is 0 where every object is within
    ``distance_threshold`` of its goal, else -1. An episode is truncated, never terminated.
    ``info`` has ``is_success`` (whole task, 0.0 or 1.0) and ``success`` (bool [N], each object).

    ``reset(options={"goal": ..., "objects": ...})``, each [N, 3] or [3N] and each optional, starts
    from given goals and positions; an impossible one raises a ValueError that names the limit.

    Args:
        kwargs: ``render_mode`` (``rgb_array`` or ``human``), ``width``, ``height`` of a picture,
            ``default_camera_config``.
    """

    observation_space: spaces.Dict

    def __init__(self, **kwargs: Any) -> None:
        EzPickle.__init__(self, **kwargs)
        super().__init__(**kwargs)
        self.observation_space = spaces.Dict(
            {
                key: spaces.Box(-BOUND, BOUND, space.shape, np.float64)
                for key, space in self.observation_space.items()
            }
        )

    # What a task defines
    # -------------------

    def _draw_start(self) -> None:
        """Put all objects where an episode starts, with numbers from ``np_random``."""
        raise NotImplementedError

    def _draw_goal(self) -> FloatArray:
        """Goals [N, 3] for the state in ``data``, with numbers from ``np_random``."""
        raise NotImplementedError

    def _put_objects(self, positions: FloatArray) -> None:
        """Put the objects at ``positions [N, 3]``, or raise a ValueError that names the limit."""
        raise NotImplementedError

    def _put_goal(self, goals: FloatArray) -> None:
        """Prepare ``data`` for ``goals [N, 3]``, or raise a ValueError that names the limit."""
        raise NotImplementedError

    # Gymnasium
    # ---------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, FloatArray], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of ``np_random``; with None, that goes on.
            options: ``goal`` and ``objects``, see the class. What is not given is drawn.

        Raises:
            ValueError: for an unknown option, or an impossible scene; names the limit.
        """
        given = {key: value for key, value in (options or {}).items() if value is not None}
        check_keys(given)
        observation, _ = super().reset(seed=seed)
        if "objects" in given:
            self.set_objects(given["objects"])
            self.goal = self._sample_goal()
        if "goal" in given:
            self.goal = self.set_goal(given["goal"])
        if given:
            observation = self._get_obs()
            if self.render_mode == "human":
                self.render()
        return observation, self._info(observation)

    def step(self, action: Any) -> tuple[dict[str, FloatArray], float, bool, bool, dict[str, Any]]:
        """Take an env step of 0.04 s; see the class."""
        observation, reward, terminated, truncated, _ = super().step(action)
        return observation, reward, terminated, truncated, self._info(observation)

    def success(self, achieved_goal: FloatArray, desired_goal: FloatArray) -> NDArray[np.bool_]:
        """Whether each object is at its goal: bool [*, N] of goals [*, 3N].

        Raises:
            ValueError: if the goals are not of one shape.
        """
        achieved, desired = np.asarray(achieved_goal), np.asarray(desired_goal)
        if achieved.shape != desired.shape:
            raise ValueError(
                f"achieved_goal has shape {achieved.shape}, desired_goal {desired.shape}: "
                "give both the same"
            )
        error = (achieved - desired).reshape(*achieved.shape[:-1], -1, 3)
        return np.asarray(np.linalg.norm(error, axis=-1) <= self.distance_threshold)

    def compute_reward(
        self, achieved_goal: FloatArray, desired_goal: FloatArray, info: Any
    ) -> np.float32 | NDArray[np.float32]:
        """0 where every object is at its goal, else -1: [*] of goals [*, 3N]."""
        solved = self.success(achieved_goal, desired_goal).all(-1)
        return -(~solved).astype(np.float32)

    def _is_success(self, achieved_goal: FloatArray, desired_goal: FloatArray) -> np.float32:
        return np.float32(self.success(achieved_goal, desired_goal).all())

    def _info(self, observation: dict[str, FloatArray]) -> dict[str, Any]:
        each = self.success(observation["achieved_goal"], self.goal)
        return {"is_success": np.float32(each.all()), "success": each}

    # Starts
    # ------

    def _reset_sim(self) -> bool:
        self._restore()
        self._draw_start()
        mujoco.mj_forward(self.model, self.data)
        return True

    def _sample_goal(self) -> FloatArray:
        return self._draw_goal().ravel()

    def set_objects(self, objects: ArrayLike) -> None:
        """Reset ``data``, with the objects at given positions, [N, 3] or [3N].

        Raises:
            ValueError: if they cannot be there; names the limit.
        """
        positions = points("objects", objects, len(self.object_names))
        self._restore()
        self._put_objects(positions)
        mujoco.mj_forward(self.model, self.data)
        for name in self.object_names:
            refuse_overlap(self.model, self.data, name)

    def set_goal(self, goal: ArrayLike) -> FloatArray:
        """Given goals, [N, 3] or [3N], as [3N]; fixtures that they decide are moved in ``data``.

        Raises:
            ValueError: if they cannot be met; names the limit.
        """
        goals = points("goal", goal, max(1, len(self.object_names)))
        self._put_goal(goals)
        mujoco.mj_forward(self.model, self.data)
        return goals.ravel()
