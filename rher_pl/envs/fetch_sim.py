"""A batch of Fetch simulations in lockstep, equal bit for bit to Gymnasium's.

gymnasium-robotics spends about half of an environment step in Python: name look-ups, and a matrix
allocated for each Jacobian. Here ids, addresses and views are resolved once, and raw quantities
are collected and turned into observations for all rows together. Threads share the rows; little is
left for each row but MuJoCo, which needs no interpreter lock. What depends on the task's definition
(the model, object starts, goals, the reward) is still gymnasium-robotics' own: one *template*
environment is lent the state and generator of a row.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import gymnasium
import gymnasium_robotics
import mujoco
import numpy as np
from gymnasium.utils import seeding
from gymnasium_robotics.utils import mujoco_utils, rotations
from numpy.typing import NDArray

from rher_pl.envs.mujoco_versions import check_mujoco_version, mend_joint_comparisons
from rher_pl.errors import TrainingError, fault

gymnasium.register_envs(gymnasium_robotics)
mend_joint_comparisons(mujoco_utils)

MAX_STEP = np.float32(0.05)  # metres the gripper target moves for an action of 1; float32 as there
GRIPPER_TURN = np.array([1.0, 0.0, 1.0, 0.0])  # quaternion that gymnasium-robotics adds each step
FINGERS = ("robot0:r_gripper_finger_joint", "robot0:l_gripper_finger_joint")

FloatArray = NDArray[np.float64]


def _consecutive(addresses: Sequence[int]) -> slice:
    """The slice that picks ``addresses``; unlike indexing by them, it gives a view."""
    first = int(addresses[0])
    if list(addresses) != list(range(first, first + len(addresses))):
        raise ValueError(f"joints of a Fetch model were moved apart: addresses {addresses}")
    return slice(first, first + len(addresses))


class _Row:
    """One simulation: its state, and views into it that stay valid for its lifetime."""

    def __init__(
        self, model: Any, body: int, sites: Sequence[int], fingers: slice, jacobians: FloatArray
    ) -> None:
        self.data = mujoco.MjData(model)
        self.qpos, self.qvel, self.ctrl = self.data.qpos, self.data.qvel, self.data.ctrl
        self.fingers = self.data.qpos[fingers]
        self.body_pos, self.body_quat = self.data.xpos[body], self.data.xquat[body]
        self.mocap_pos, self.mocap_quat = self.data.mocap_pos[0], self.data.mocap_quat[0]
        self.site_pos = [self.data.site_xpos[site] for site in sites]
        self.object_mat = self.data.site_xmat[sites[-1]]
        # (site, linear, angular): where the Jacobians of each site go; the gripper's turning is
        # not observed.
        self.jacobians = list(zip(sites, jacobians, [None, *jacobians[2:]]))


class FetchSimulator:
    """N simulations of one Fetch task on one shared model.

    Args:
        task: Gymnasium id, such as ``FetchPush-v4``.
        num_envs: N.
        num_threads: threads that share the rows of a step; results do not depend on it.

    Attributes:
        observation: ``[N, O]`` float64, Gymnasium's observation; rewritten by each step and reset.
        goal: ``[N, 3]`` float64, metres; a row changes when it is reset.
        num_positions: P, how many positions (3 numbers each) the observation begins with: the
            gripper's, then the object's if the task has one.
        distance_threshold: metres within which a goal counts as met.
    """

    def __init__(self, task: str, num_envs: int, num_threads: int = 1) -> None:
        check_mujoco_version(mujoco.__version__)
        env: Any = gymnasium.make(task, disable_env_checker=True)
        self._template = env.unwrapped
        self._model = model = self._template.model
        self.num_envs = num_envs
        self.distance_threshold = float(self._template.distance_threshold)
        self._resolve_addresses()
        self.num_positions = len(self._sites)
        jacobians = 2 * self.num_positions - 1  # gripper: linear; object: linear and angular
        self._jacobians: FloatArray = np.zeros((num_envs, jacobians, 3, model.nv))
        self._rows = [
            _Row(model, self._welded_body, self._sites, self._fingers, row)
            for row in self._jacobians
        ]
        self._rngs = [seeding.np_random(row)[0] for row in range(num_envs)]
        self.observation: FloatArray = np.zeros((num_envs, 10 if self.num_positions == 1 else 25))
        self.goal: FloatArray = np.zeros((num_envs, 3))
        self._make_gathered()
        self._helpers = min(num_threads, num_envs) - 1  # the calling thread steps as well
        self._pool = ThreadPoolExecutor(self._helpers) if self._helpers else None

    def _make_gathered(self) -> None:
        """Shared arrays of raw quantities, and the views of each row that they are copied from."""
        n, rows = self.num_envs, self._rows
        self._positions: FloatArray = np.zeros((n, self.num_positions, 3))
        self._object_mat: FloatArray = np.zeros((n, 3, 3))
        self._finger_qpos: FloatArray = np.zeros((n, 2))
        self._qvel: FloatArray = np.zeros((n, self._model.nv))
        self._gathered = [
            ([view for row in rows for view in row.site_pos], self._positions.reshape(-1)),
            ([row.object_mat for row in rows], self._object_mat.reshape(-1)),
            ([row.fingers for row in rows], self._finger_qpos.reshape(-1)),
            ([row.qvel for row in rows], self._qvel.reshape(-1)),
        ]

    def _resolve_addresses(self) -> None:
        model = self._model
        sites = ["robot0:grip", "object0"] if self._template.has_object else ["robot0:grip"]
        self._sites = [model.site(name).id for name in sites]
        joints = [model.joint(name).id for name in FINGERS]
        self._fingers = _consecutive(model.jnt_qposadr[joints])
        self._finger_dof = _consecutive(model.jnt_dofadr[joints])
        # One weld ties the wrist to the mocap body; which of the two comes first is the model's.
        first, second = int(model.eq_obj1id[0]), int(model.eq_obj2id[0])
        self._welded_body = second if model.body_mocapid[first] >= 0 else first
        # Finger actuators, where a model has them, hold a position relative to the joint's own.
        self._ctrl_adr = model.jnt_qposadr[model.actuator_trnid[:, 0]] if model.nu else None
        self._dt = self._template.n_substeps * model.opt.timestep

    def reset(self, seeds: Mapping[int, int | None]) -> None:
        """Start an episode in each row that is named; the others keep their state.

        Args:
            seeds: of the rows; what follows is what ``gymnasium``'s ``reset(seed=...)`` would
                draw. None goes on with the row's generator.
        """
        template = self._template
        for i, seed in seeds.items():
            if seed is not None:
                self._rngs[i] = seeding.np_random(seed)[0]
            template.data, template.np_random = self._rows[i].data, self._rngs[i]
            while not template._reset_sim():
                pass
            self.goal[i] = template._sample_goal()
            self._differentiate(self._rows[i])
        self._observe()

    def step(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply ``action [N, 4]``, clipped to [-1, 1], and return the reward ``[N]``, 0 or -1."""
        clipped = np.clip(action, -1.0, 1.0)
        # Scaled in float32, added in float64: the order in which gymnasium-robotics rounds.
        moves = (clipped[:, :3] * MAX_STEP).astype(np.float64)
        grips = clipped[:, 3].astype(np.float64)
        # Each thread takes the next row when it is done with one: rows with contacts take longer.
        todo = iter(list(zip(range(self.num_envs), self._rows, moves, grips)))
        helpers, pool = range(self._helpers), self._pool
        jobs = [pool.submit(self._advance, todo) for _ in helpers] if pool else []
        try:
            self._advance(todo)
        finally:
            wait(jobs)
        for job in jobs:
            job.result()
        self._observe()
        reward: NDArray[np.float32] = self._template.compute_reward(
            self._positions[:, -1], self.goal, {}
        )
        return reward

    def _advance(self, todo: Iterator[tuple[int, _Row, FloatArray, np.float64]]) -> None:
        """Step the rows that are left in ``todo``: number, row, move and grip of each."""
        for i, row, move, grip in todo:
            try:
                self._advance_row(row, move, grip)
            except Exception as error:
                raise TrainingError(f"environment {i}: {fault(error)}") from error

    def _advance_row(self, row: _Row, move: FloatArray, grip: np.float64) -> None:
        blocked = self._template.block_gripper
        if self._ctrl_adr is not None:
            np.add(row.qpos[self._ctrl_adr], 0.0 if blocked else grip, out=row.ctrl)
        np.add(row.body_pos, move, out=row.mocap_pos)
        np.add(row.body_quat, GRIPPER_TURN, out=row.mocap_quat)
        mujoco.mj_step(self._model, row.data, nstep=self._template.n_substeps)
        if blocked:
            row.fingers[:] = 0.0
            # gymnasium-robotics calls mj_forward here. Only its kinematics can be seen: the next
            # mj_step starts with a forward pass of its own, from the same warm start.
            mujoco.mj_kinematics(self._model, row.data)
            mujoco.mj_comPos(self._model, row.data)
        self._differentiate(row)

    def _differentiate(self, row: _Row) -> None:
        """Compute the Jacobians of a row's sites, which turn its velocities into theirs."""
        for site, linear, angular in row.jacobians:
            mujoco.mj_jacSite(self._model, row.data, linear, angular, site)

    def _observe(self) -> None:
        """Compute ``observation`` of all rows from their raw quantities."""
        for views, array in self._gathered:
            np.concatenate(views, out=array)  # one call for all rows
        # [N, J, 3]: one (3, nv) product each; a taller stack would round differently in BLAS.
        velocity = np.matmul(self._jacobians, self._qvel[:, None, :, None])[..., 0] * self._dt
        finger_velocity = self._qvel[:, self._finger_dof] * self._dt
        gripper = self._positions[:, 0]
        if self.num_positions == 1:
            parts = [gripper, self._finger_qpos, velocity[:, 0], finger_velocity]
        else:
            position = self._positions[:, 1]
            angles = rotations.mat2euler(self._object_mat)
            parts = [gripper, position, position - gripper, self._finger_qpos, angles]
            parts += [velocity[:, 1] - velocity[:, 0], velocity[:, 2]]
            parts += [velocity[:, 0], finger_velocity]
        np.concatenate(parts, axis=1, out=self.observation)

    def close(self) -> None:
        """Stop the threads and free the template's resources; a second time does nothing."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self._template.close()
