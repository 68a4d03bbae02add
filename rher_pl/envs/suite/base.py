"""What all tasks of the suite share: gymnasium-robotics' Fetch for any number of objects."""

from __future__ import annotations

from typing import Any, ClassVar

import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium_robotics.envs.fetch.fetch_env import MujocoFetchEnv
from gymnasium_robotics.utils import mujoco_utils, rotations
from numpy.typing import ArrayLike, NDArray

from rher_pl.envs.mujoco_versions import check_mujoco_version, mend_joint_comparisons
from rher_pl.envs.suite.model import ARM, GRIP, target_name
from rher_pl.envs.suite.options import check_keys, points

FloatArray = NDArray[np.float64]

mend_joint_comparisons(mujoco_utils)

BOUND = 100.0
"""Of the observation space: metres, radians, or either in a step; nothing comes near it."""


class SuiteEnv(MujocoFetchEnv):
    """A Fetch task with N objects, each of which has a goal.

    An observation is a dictionary of float64:

    - ``observation [O]``: gripper's position (3 numbers); positions of the objects (3N), the same
      relative to the gripper (3N); finger joints (2); objects' Euler angles (3N), velocities
      relative to the gripper (3N), angular velocities (3N); gripper's velocity (3), fingers'
      velocities (2); positions of the task's places, if any (3 each). Metres and radians;
      velocities are those in a step.
    - ``achieved_goal``, ``desired_goal [3N]``: positions of the objects, and where they shall be.

    The action [4] in [-1, 1] is the gripper's move in x, y, z, in units of ``max_action`` metres,
    and the opening of the fingers. Reward is 0 where every object is within
    ``distance_threshold`` of its goal, else -1. An episode is truncated, never terminated.
    ``info`` has ``is_success`` (whole task, 0.0 or 1.0) and ``success`` (bool [N], each object).

    ``reset(options={"goal": ..., "objects": ...})``, each [N, 3] or [3N] and each optional, starts
    from given goals and positions; one that cannot be is a ValueError that names the limit.

    All that differs between two episodes is in ``data``: one model may serve many.

    Args:
        kwargs: ``render_mode`` (``rgb_array`` or ``human``), ``width``, ``height`` of a picture,
            ``default_camera_config``.
    """

    object_names: ClassVar[tuple[str, ...]] = ()
    """Sites of the objects."""
    places: ClassVar[tuple[str, ...]] = ()
    """Sites whose positions end the observation: things that do not move in an episode."""
    locked: ClassVar[bool] = True
    """Whether the fingers are kept closed."""
    epsilon: ClassVar[float] = 0.05
    """Metres within which a goal counts as met; ``distance_threshold`` of an instance."""
    lift: ClassVar[float] = 0.0
    """How much higher than usual the robot stands, metres."""
    extra_height: ClassVar[float] = 0.0
    """How much higher than usual the gripper starts, metres."""
    max_action: ClassVar[float] = 0.05
    """Metres that the gripper's target moves for an action of 1."""
    lowest_gripper: ClassVar[float | None] = None
    """z, metres, below which the gripper's target is never put; it is 0.02 above the grip site."""
    render_view: ClassVar[dict[str, Any]] = {
        "distance": 1.15,
        "azimuth": 145.0,
        "elevation": -42.0,
        "lookat": np.array([1.33, 0.75, 0.44]),
    }
    """Where the camera stands."""

    def __init__(self, **kwargs: Any) -> None:
        check_mujoco_version(mujoco.__version__)
        joints = {"robot0:slide0": 0.405, "robot0:slide1": 0.48, "robot0:slide2": self.lift}
        kwargs.setdefault("default_camera_config", self.render_view)
        super().__init__(
            model_path=str(ARM),  # that it exists is checked; the model is built around it
            has_object=False,  # of the single one that gymnasium-robotics knows
            block_gripper=self.locked,
            n_substeps=20,
            gripper_extra_height=self.extra_height,
            target_in_the_air=False,
            target_offset=0.0,
            obj_range=0.0,
            target_range=0.0,
            distance_threshold=self.epsilon,
            initial_qpos=joints | self._initial_joints(),
            reward_type="sparse",
            **kwargs,
        )
        self.observation_space = spaces.Dict(
            {
                key: spaces.Box(-BOUND, BOUND, space.shape, np.float64)
                for key, space in self.observation_space.items()
            }
        )

    # What a task defines
    # -------------------

    def _xml(self) -> str:
        """Text of the model."""
        raise NotImplementedError

    def _initial_joints(self) -> dict[str, Any]:
        """Names and positions of the objects' joints, while the arm moves to its start."""
        return {}

    def _draw_start(self) -> None:
        """Put all objects where an episode starts, with numbers from ``np_random``."""

    def _draw_goal(self) -> FloatArray:
        """Goals [N, 3] for the state in ``data``, with numbers from ``np_random``."""
        raise NotImplementedError

    def _put_objects(self, positions: FloatArray) -> None:
        """Put the objects at ``positions [N, 3]``, or raise a ValueError that names the limit."""
        raise NotImplementedError

    def _put_goal(self, goals: FloatArray) -> None:
        """Get ready for ``goals [N, 3]``, or raise a ValueError that names the limit."""
        raise NotImplementedError

    def _achieved(self, gripper: FloatArray, objects: FloatArray) -> FloatArray:
        """What has been achieved [N, 3], of the gripper's position [3] and the objects' [N, 3]."""
        return objects

    # Gymnasium
    # ---------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, FloatArray], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of ``np_random``; None goes on with it.
            options: ``goal`` and ``objects``, see the class. What is not given is drawn.

        Raises:
            ValueError: for another key, or what cannot be; names the limit.
        """
        options = options or {}
        check_keys(options)
        observation, _ = super().reset(seed=seed)
        if options.get("objects") is not None:
            self.set_objects(options["objects"])
            self.goal = self._sample_goal()
        if options.get("goal") is not None:
            self.goal = self.set_goal(options["goal"])
        if any(value is not None for value in options.values()):
            observation = self._get_obs()
            if self.render_mode == "human":
                self.render()
        return observation, self._info(observation)

    def step(self, action: Any) -> tuple[dict[str, FloatArray], float, bool, bool, dict[str, Any]]:
        """Move for 0.04 s; see the class."""
        observation, reward, terminated, truncated, _ = super().step(action)
        return observation, reward, terminated, truncated, self._info(observation)

    def success(self, achieved_goal: FloatArray, desired_goal: FloatArray) -> NDArray[np.bool_]:
        """Whether each object is at its goal: bool [*, N] of goals [*, 3N]."""
        assert achieved_goal.shape == desired_goal.shape
        error = np.asarray(achieved_goal - desired_goal)
        error = error.reshape(*error.shape[:-1], -1, 3)
        distance: FloatArray = np.linalg.norm(error, axis=-1)
        return np.asarray(distance <= self.distance_threshold)

    def compute_reward(
        self, achieved_goal: FloatArray, desired_goal: FloatArray, info: Any
    ) -> np.float32 | NDArray[np.float32]:
        """0 where every object is at its goal, else -1: [*] of goals [*, 3N]."""
        solved = self.success(achieved_goal, desired_goal).all(-1)
        return -(~solved).astype(np.float32)

    def _info(self, observation: dict[str, FloatArray]) -> dict[str, Any]:
        each = self.success(observation["achieved_goal"], self.goal)
        return {"is_success": np.float32(each.all()), "success": each}

    # Given starts
    # ------------

    def set_objects(self, objects: ArrayLike) -> None:
        """Start ``data`` anew with the objects at given positions, [N, 3] or [3N].

        Raises:
            ValueError: if they cannot be there; names the limit.
        """
        positions = points("objects", objects, len(self.object_names))
        self._restore()
        self._put_objects(positions)
        mujoco.mj_forward(self.model, self.data)

    def set_goal(self, goal: ArrayLike) -> FloatArray:
        """Given goals, [N, 3] or [3N], as [3N]; what stands for them in ``data`` is put there.

        Raises:
            ValueError: if they cannot be met; names the limit.
        """
        goals = points("goal", goal, max(1, len(self.object_names)))
        self._put_goal(goals)
        mujoco.mj_forward(self.model, self.data)
        return goals.ravel()

    # gymnasium-robotics' steps, for any number of objects
    # ----------------------------------------------------

    def _initialize_simulation(self) -> None:
        self.model = mujoco.MjModel.from_xml_string(self._xml())
        self.data = mujoco.MjData(self.model)
        self._model_names = mujoco_utils.MujocoModelNames(self.model)
        self.model.vis.global_.offwidth = self.width
        self.model.vis.global_.offheight = self.height
        self._env_setup(self.initial_qpos)
        self.initial_time = self.data.time
        self.initial_qpos = self.data.qpos.copy()
        self.initial_qvel = self.data.qvel.copy()

    def _restore(self) -> None:
        """The state of ``data`` before anything is drawn."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.time = self.initial_time
        self.data.qpos[:] = self.initial_qpos
        self.data.qvel[:] = self.initial_qvel

    def _reset_sim(self) -> bool:
        self._restore()
        self._draw_start()
        mujoco.mj_forward(self.model, self.data)
        return True

    def _sample_goal(self) -> FloatArray:
        return self._draw_goal().ravel()

    def _set_action(self, action: NDArray[np.floating]) -> None:
        move = action[:3] * self.max_action  # in the action's own precision
        grip = 0.0 if self.block_gripper else action[3]
        mujoco_utils.reset_mocap2body_xpos(self.model, self.data)
        self.data.mocap_pos[0] += move
        self.data.mocap_quat[0] += [1.0, 0.0, 1.0, 0.0]
        if self.lowest_gripper is not None:
            self.data.mocap_pos[0, 2] = max(self.data.mocap_pos[0, 2], self.lowest_gripper)
        for i in range(self.model.nu):
            joint = self.model.actuator_trnid[i, 0]
            self.data.ctrl[i] = self.data.qpos[self.model.jnt_qposadr[joint]] + grip

    def _get_obs(self) -> dict[str, FloatArray]:
        model, data, names = self.model, self.data, self.object_names
        gripper = mujoco_utils.get_site_xpos(model, data, GRIP)
        qpos, qvel = mujoco_utils.robot_get_obs(model, data, self._model_names.joint_names)
        velocity = mujoco_utils.get_site_xvelp(model, data, GRIP) * self.dt
        objects = np.array([mujoco_utils.get_site_xpos(model, data, n) for n in names])
        objects = objects.reshape(-1, 3)  # of none as well
        turns = [rotations.mat2euler(mujoco_utils.get_site_xmat(model, data, n)) for n in names]
        linear = [mujoco_utils.get_site_xvelp(model, data, n) * self.dt for n in names]
        angular = [mujoco_utils.get_site_xvelr(model, data, n) * self.dt for n in names]
        places = [mujoco_utils.get_site_xpos(model, data, n) for n in self.places]
        parts = [gripper, *objects, *(objects - gripper), qpos[-2:], *turns]
        parts += [v - velocity for v in linear]
        parts += [*angular, velocity, qvel[-2:] * self.dt, *places]
        return {
            "observation": np.concatenate(parts),
            "achieved_goal": self._achieved(gripper, objects).flatten(),
            "desired_goal": self.goal.copy(),
        }

    def _render_callback(self) -> None:
        # Where a site is drawn; the simulation itself is left as it is.
        for i, goal in enumerate(self.goal.reshape(-1, 3)):
            self.data.site_xpos[self.model.site(target_name(i)).id] = goal
