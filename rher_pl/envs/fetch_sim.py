"""A batch of Fetch simulations in lockstep, equal bit for bit to Gymnasium's.

gymnasium-robotics spends about half of an environment step in Python: name look-ups, and a matrix
allocated for each Jacobian. Here ids, addresses and views are resolved once, each simulation only
copies raw quantities into its row of a shared array, and the observations of all rows are computed
together. What depends on the task's definition (the model, object starts, goals, the reward) is
still gymnasium-robotics' own: one *template* environment is lent the state and generator of a row.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gymnasium
import gymnasium_robotics
import mujoco
import numpy as np
from gymnasium.utils import seeding
from gymnasium_robotics.utils import rotations
from numpy.typing import NDArray

from rher_pl.errors import ConfigError, TrainingError, fault

gymnasium.register_envs(gymnasium_robotics)

MAX_STEP = np.float32(0.05)  # metres the gripper target moves for an action of 1; float32 as there
GRIPPER_TURN = np.array([1.0, 0.0, 1.0, 0.0])  # quaternion that gymnasium-robotics adds each step
FINGERS = ("robot0:r_gripper_finger_joint", "robot0:l_gripper_finger_joint")
MUJOCO_BROKEN_FROM = (3, 12)  # mjtJoint no longer compares equal to np.int32: set_joint_qpos fails

FloatArray = NDArray[np.float64]


def check_mujoco_version(version: str) -> None:
    """Raise ``ConfigError`` when gymnasium-robotics cannot build Fetch with this MuJoCo."""
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) >= MUJOCO_BROKEN_FROM:
        raise ConfigError(
            f"mujoco {version} breaks the Fetch environments of gymnasium-robotics: "
            'pip install "mujoco>=3.7,<3.12"'
        )


def _state(rng: np.random.Generator) -> dict[str, Any]:
    return dict(rng.bit_generator.state)


class _Row:
    """One simulation: its state, and views into it that stay valid for its lifetime."""

    def __init__(self, model: Any, body: int, sites: Sequence[int]) -> None:
        self.data = mujoco.MjData(model)
        self.qpos, self.qvel, self.ctrl = self.data.qpos, self.data.qvel, self.data.ctrl
        self.body_pos, self.body_quat = self.data.xpos[body], self.data.xquat[body]
        self.mocap_pos, self.mocap_quat = self.data.mocap_pos[0], self.data.mocap_quat[0]
        self.site_pos = [self.data.site_xpos[site] for site in sites]
        self.object_mat = self.data.site_xmat[sites[-1]]


class FetchSimulator:
    """N simulations of one Fetch task on one shared model.

    Args:
        task: Gymnasium id, such as ``FetchPush-v4``.
        num_envs: N.
        num_threads: threads that step contiguous chunks of rows; results do not depend on it.

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
        self._rows = [_Row(model, self._welded_body, self._sites) for _ in range(num_envs)]
        self.seed(range(num_envs))

        self.num_positions = len(self._sites)
        jacobians = 2 * self.num_positions - 1  # gripper: linear; object: linear and angular
        self.observation: FloatArray = np.zeros((num_envs, 10 if self.num_positions == 1 else 25))
        self.goal: FloatArray = np.zeros((num_envs, 3))
        self._positions: FloatArray = np.zeros((num_envs, self.num_positions, 3))
        self._object_mat: FloatArray = np.zeros((num_envs, 9))
        self._finger_qpos: FloatArray = np.zeros((num_envs, 2))
        self._qvel: FloatArray = np.zeros((num_envs, model.nv))
        self._jacobians: FloatArray = np.zeros((num_envs, jacobians, 3, model.nv))

        threads = min(num_threads, num_envs)
        self._chunks = np.array_split(np.arange(num_envs), threads)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def _resolve_addresses(self) -> None:
        model = self._model
        sites = ["robot0:grip", "object0"] if self._template.has_object else ["robot0:grip"]
        self._sites = [model.site(name).id for name in sites]
        joints = [model.joint(name).id for name in FINGERS]
        self._finger_adr = model.jnt_qposadr[joints]
        self._finger_dof = model.jnt_dofadr[joints]
        # One weld ties the wrist to the mocap body; which of the two comes first is the model's.
        first, second = int(model.eq_obj1id[0]), int(model.eq_obj2id[0])
        self._welded_body = second if model.body_mocapid[first] >= 0 else first
        # Finger actuators, where a model has them, hold a position relative to the joint's own.
        self._ctrl_adr = model.jnt_qposadr[model.actuator_trnid[:, 0]] if model.nu else None
        self._dt = self._template.n_substeps * model.opt.timestep

    def seed(self, seeds: Sequence[int]) -> None:
        """Give row i the generator that ``gymnasium``'s ``reset(seed=seeds[i])`` would draw from.

        Raises:
            ValueError: if there is not one seed for each row.
        """
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} environments: give one each")
        self._rngs = [seeding.np_random(int(seed))[0] for seed in seeds]
        self._before_reset = [_state(rng) for rng in self._rngs]

    def rng_state(self, unplayed: Sequence[bool]) -> list[dict[str, Any]]:
        """The state of each row's generator, as nested dictionaries of ints and strings.

        Args:
            unplayed: for each row, whether to give the state before its latest reset instead, so
                that the episode which that reset started can be started again.
        """
        return [
            state if before else _state(rng)
            for rng, state, before in zip(self._rngs, self._before_reset, unplayed, strict=True)
        ]

    def set_rng_state(self, states: Sequence[dict[str, Any]]) -> None:
        """Restore what :meth:`rng_state` returned.

        Raises:
            ValueError: if there is not one state for each row.
        """
        if len(states) != self.num_envs:
            raise ValueError(
                f"{len(states)} states for {self.num_envs} environments: give one each"
            )
        for rng, state in zip(self._rngs, states, strict=True):
            rng.bit_generator.state = state
        self._before_reset = [_state(rng) for rng in self._rngs]

    def reset(self, rows: Iterable[int]) -> None:
        """Start a new episode in each of ``rows``; the others keep their state."""
        template = self._template
        for i in rows:
            self._before_reset[i] = _state(self._rngs[i])
            template.data, template.np_random = self._rows[i].data, self._rngs[i]
            while not template._reset_sim():
                pass
            self.goal[i] = template._sample_goal()
            self._gather(i)
        self._observe()

    def step(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply ``action [N, 4]``, clipped to [-1, 1], and return the reward ``[N]``, 0 or -1."""
        clipped = np.clip(action, -1.0, 1.0)
        # Scaled in float32, added in float64: the order in which gymnasium-robotics rounds.
        moves = (clipped[:, :3] * MAX_STEP).astype(np.float64)
        grips = clipped[:, 3].astype(np.float64)
        if self._pool is None:
            self._step_rows(self._chunks[0], moves, grips)
        else:
            jobs = [self._pool.submit(self._step_rows, c, moves, grips) for c in self._chunks]
            for thread, (chunk, job) in enumerate(zip(self._chunks, jobs, strict=True)):
                try:
                    job.result()
                except Exception as error:
                    rows = f"environments {chunk[0]} to {chunk[-1]}"
                    raise TrainingError(f"thread {thread} of {rows}: {fault(error)}") from error
        self._observe()
        reward: NDArray[np.float32] = self._template.compute_reward(
            self._positions[:, -1], self.goal, {}
        )
        return reward

    def _step_rows(self, rows: Iterable[int], moves: FloatArray, grips: FloatArray) -> None:
        model, substeps = self._model, self._template.n_substeps
        blocked = self._template.block_gripper
        for i in rows:
            row = self._rows[i]
            if self._ctrl_adr is not None:
                row.ctrl[:] = row.qpos[self._ctrl_adr] + (0.0 if blocked else grips[i])
            np.add(row.body_pos, moves[i], out=row.mocap_pos)
            np.add(row.body_quat, GRIPPER_TURN, out=row.mocap_quat)
            mujoco.mj_step(model, row.data, nstep=substeps)
            if blocked:
                row.qpos[self._finger_adr] = 0.0
                # gymnasium-robotics calls mj_forward here. Only its kinematics can be seen: the
                # next mj_step starts with a forward pass of its own, from the same warm start.
                mujoco.mj_kinematics(model, row.data)
                mujoco.mj_comPos(model, row.data)
            self._gather(i)

    def _gather(self, i: int) -> None:
        """Copy what row i's observation is made of into the shared arrays."""
        row, jacobians = self._rows[i], self._jacobians[i]
        for slot, position in enumerate(row.site_pos):
            self._positions[i, slot] = position
        self._finger_qpos[i] = row.qpos[self._finger_adr]
        self._qvel[i] = row.qvel
        mujoco.mj_jacSite(self._model, row.data, jacobians[0], None, self._sites[0])
        if self.num_positions > 1:
            self._object_mat[i] = row.object_mat
            mujoco.mj_jacSite(self._model, row.data, jacobians[1], jacobians[2], self._sites[1])

    def _observe(self) -> None:
        """Compute ``observation`` of all rows from what was gathered."""
        n, out = self.num_envs, self.observation
        # [N, J, 3]: one (3, nv) product each; a taller stack would round differently in BLAS.
        velocity = np.matmul(self._jacobians, self._qvel[:, None, :, None])[..., 0] * self._dt
        finger_velocity = self._qvel[:, self._finger_dof] * self._dt
        gripper = self._positions[:, 0]
        if self.num_positions == 1:
            parts = [gripper, self._finger_qpos, velocity[:, 0], finger_velocity]
        else:
            position = self._positions[:, 1]
            angles = rotations.mat2euler(self._object_mat.reshape(n, 3, 3))
            parts = [gripper, position, position - gripper, self._finger_qpos, angles]
            parts += [velocity[:, 1] - velocity[:, 0], velocity[:, 2]]
            parts += [velocity[:, 0], finger_velocity]
        np.concatenate(parts, axis=1, out=out)

    def close(self) -> None:
        """Stop the threads and free the template's resources."""
        if self._pool is not None:
            self._pool.shutdown()
        self._template.close()
