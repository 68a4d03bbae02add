"""Fetch's arm with any number of objects: what gymnasium-robotics does for one."""

from __future__ import annotations

from typing import Any, ClassVar

import mujoco
import numpy as np
from gymnasium_robotics.envs.fetch.fetch_env import MujocoFetchEnv
from gymnasium_robotics.utils import mujoco_utils, rotations
from numpy.typing import NDArray

from rher_pl.envs.mujoco_versions import check_mujoco_version, mend_joint_comparisons
from rher_pl.envs.suite.model import ARM, GRIP, target_name

FloatArray = NDArray[np.float64]

mend_joint_comparisons(mujoco_utils)


class ArmEnv(MujocoFetchEnv):
    """Simulation, actions and observations; goals and reward are in :class:`~.base.SuiteEnv`.

    All that differs between two episodes is in ``data``, so many simulations may share one model.
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
    camera: ClassVar[dict[str, Any]] = {
        "distance": 0.92,
        "azimuth": 140.0,
        "elevation": -42.0,
        "lookat": np.array([1.34, 0.75, 0.45]),
    }
    """The camera, in metres and degrees."""

    initial_qpos: Any  # positions by joint name, later of all joints [nq]

    def __init__(self, **kwargs: Any) -> None:
        check_mujoco_version(mujoco.__version__)
        joints = {"robot0:slide0": 0.405, "robot0:slide1": 0.48, "robot0:slide2": self.lift}
        kwargs.setdefault("default_camera_config", self.camera)
        super().__init__(
            model_path=str(ARM),  # only checked to exist: _xml makes the model
            has_object=False,  # gymnasium-robotics knows only one object: not used
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

    def _xml(self) -> str:
        """Text of the model."""
        raise NotImplementedError

    def _initial_joints(self) -> dict[str, Any]:
        """Names and positions of the objects' joints, while the arm moves to its start."""
        return {}

    def _achieved(self, gripper: FloatArray, objects: FloatArray) -> FloatArray:
        """Achieved goals [N, 3], from positions of the gripper [3] and of the objects [N, 3]."""
        return objects

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
        """Set ``data`` to the initial state, from which starts are drawn."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.time = self.initial_time
        self.data.qpos[:] = self.initial_qpos
        self.data.qvel[:] = self.initial_qvel

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
        objects = objects.reshape(-1, 3)  # [0, 3] without objects
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
        # Only the drawn site moves: the simulation itself is left as it is.
        for i, goal in enumerate(self.goal.reshape(-1, 3)):
            self.data.site_xpos[self.model.site(target_name(i)).id] = goal
