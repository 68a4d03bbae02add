"""A batch of Fetch simulations in lockstep, equal bit for bit to Gymnasium's.

gymnasium-robotics spends about half of an environment step in Python: name look-ups, and a matrix
allocated for each Jacobian. Here ids, addresses and views are resolved once, and raw quantities
are collected and turned into observations for all rows together. Threads share the rows; what is
left for each row is mostly MuJoCo, which needs no interpreter lock. What depends on the task's
definition (the model, object starts, goals, the reward) is still the Gymnasium environment's own:
one such environment, the *template*, is given the state and generator of the row to work on.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import gymnasium
import gymnasium_robotics
import mujoco
import numpy as np
from gymnasium.utils import seeding
from gymnasium_robotics.utils import mujoco_utils
from numpy.typing import ArrayLike, NDArray

from rher_pl.envs.fetch_observation import Observations
from rher_pl.envs.fetch_row import FloatArray, Row, find_addresses
from rher_pl.envs.given_start import GivenStart
from rher_pl.envs.mujoco_versions import check_mujoco_version, mend_joint_comparisons
from rher_pl.errors import TrainingError, fault

gymnasium.register_envs(gymnasium_robotics)
mend_joint_comparisons(mujoco_utils)

MAX_ACTION = 0.05
"""Metres that gymnasium-robotics moves the gripper's target for an action of 1."""
GRIPPER_TURN = np.array([1.0, 0.0, 1.0, 0.0])  # quaternion that gymnasium-robotics adds each step


class FetchSimulator:
    """N simulations of one Fetch task on one shared model.

    Args:
        task: Gymnasium id, such as ``FetchPush-v4``.
        num_envs: N.
        num_threads: threads that share the rows of a step; results do not depend on it.

    Attributes:
        observation: ``[N, O]`` float64, Gymnasium's observation; rewritten by each step and reset.
        achieved: ``[N, P, 3]`` float64, metres: positions of the gripper and of each object, or of
            the gripper alone where a task has none; rewritten by each step and reset. In Insert:
            the fingers' tip, then what it achieves, see ``InsertEnv.achieved_points``.
        goal: ``[N, D, 3]`` float64, metres; a row changes when it is reset.
        distance_threshold: metres within which a goal counts as met.
    """

    def __init__(self, task: str, num_envs: int, num_threads: int = 1) -> None:
        check_mujoco_version(mujoco.__version__)
        env: Any = gymnasium.make(task, disable_env_checker=True)
        self._template = template = env.unwrapped
        self._model = model = template.model
        self._given = template if hasattr(template, "set_objects") else GivenStart(template)
        self.num_envs = num_envs
        self.distance_threshold = float(template.distance_threshold)
        # gymnasium-robotics' own tasks have none of these attributes.
        objects = getattr(template, "object_names", ("object0",) if template.has_object else ())
        self._at = find_addresses(model, objects, getattr(template, "places", ()))
        self._max_action = np.float32(getattr(template, "max_action", MAX_ACTION))
        self._lowest: float | None = getattr(template, "lowest_gripper", None)
        tip = hasattr(template, "achieved_points")
        self._seen = Observations(model, self._at, num_envs, template.dt, tip)
        self.observation, self.achieved = self._seen.values, self._seen.achieved
        self._rows = self._seen.rows
        goals = template.observation_space["desired_goal"].shape[0] // 3
        self.goal: FloatArray = np.zeros((num_envs, goals, 3))
        self._rngs = [seeding.np_random(row)[0] for row in range(num_envs)]
        self._helpers = min(num_threads, num_envs) - 1  # the calling thread steps as well
        self._pool = ThreadPoolExecutor(self._helpers) if self._helpers else None

    def reset(
        self,
        seeds: Mapping[int, int | None],
        goal: Sequence[ArrayLike] | None = None,
        objects: Sequence[ArrayLike] | None = None,
    ) -> None:
        """Start an episode in each row that is named; the others keep their state.

        Args:
            seeds: of the rows, which draw what Gymnasium's ``reset(seed=...)`` would draw. With
                None, the row's generator goes on.
            goal: ``[D, 3]`` of each of N rows, metres; else it is drawn.
            objects: their positions, ``[objects, 3]`` in each of N rows, metres; else drawn.

        Raises:
            ValueError: for an impossible goal or position; names the limit.
        """
        template, given = self._template, self._given
        for i, seed in seeds.items():
            if seed is not None:
                self._rngs[i] = seeding.np_random(seed)[0]
            template.data, template.np_random = self._rows[i].data, self._rngs[i]
            while not template._reset_sim():
                pass
            drawn = template._sample_goal()
            if objects is not None:
                given.set_objects(objects[i])
                drawn = template._sample_goal()
            self.goal[i] = (drawn if goal is None else given.set_goal(goal[i])).reshape(-1, 3)
            self._seen.differentiate(self._rows[i])
        self._seen.collect(self.goal)

    def step(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply ``action [N, 4]``, clipped to [-1, 1], and return the reward ``[N]``, 0 or -1."""
        clipped = np.clip(action, -1.0, 1.0)
        # Scaled in float32, added in float64: the order in which gymnasium-robotics rounds.
        moves = (clipped[:, :3] * self._max_action).astype(np.float64)
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
        self._seen.collect(self.goal)
        return self._reward()

    def _reward(self) -> NDArray[np.float32]:
        brought = self.achieved[:, -self.goal.shape[1] :]
        flat = (self.num_envs, -1)
        reward: NDArray[np.float32] = self._template.compute_reward(
            brought.reshape(flat), self.goal.reshape(flat), {}
        )
        return reward

    def _advance(self, todo: Iterator[tuple[int, Row, FloatArray, np.float64]]) -> None:
        """Step the rows that are left in ``todo``: number, row, move and grip of each."""
        for i, row, move, grip in todo:
            try:
                self._advance_row(row, move, grip)
            except Exception as error:
                raise TrainingError(f"environment {i}: {fault(error)}") from error

    def _advance_row(self, row: Row, move: FloatArray, grip: np.float64) -> None:
        blocked = self._template.block_gripper
        if self._at.ctrl is not None:
            np.add(row.qpos[self._at.ctrl], 0.0 if blocked else grip, out=row.ctrl)
        np.add(row.body_pos, move, out=row.mocap_pos)
        if self._lowest is not None and row.mocap_pos[2] < self._lowest:
            row.mocap_pos[2] = self._lowest
        np.add(row.body_quat, GRIPPER_TURN, out=row.mocap_quat)
        mujoco.mj_step(self._model, row.data, nstep=self._template.n_substeps)
        if blocked:
            row.fingers[:] = 0.0
            # gymnasium-robotics calls mj_forward here. Only its kinematics are observed: the next
            # mj_step starts with a forward pass of its own, from the same warm start.
            mujoco.mj_kinematics(self._model, row.data)
            mujoco.mj_comPos(self._model, row.data)
        self._seen.differentiate(row)

    def close(self) -> None:
        """Stop the threads and free the template's resources; closing twice is allowed."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self._template.close()
