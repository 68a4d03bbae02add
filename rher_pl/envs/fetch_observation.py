"""Raw quantities of all simulations, collected and turned into observations together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from gymnasium_robotics.utils import rotations

from rher_pl.envs.fetch_row import Addresses, FloatArray, Row
from rher_pl.envs.suite.insert import AXIS, DEPTH, TIP, TOP


class Observations:
    """What is observed of N simulations, in arrays that :meth:`collect` rewrites.

    Args:
        model: of MuJoCo, shared by all.
        at: its addresses.
        num_envs: N.
        dt: seconds of an env step; velocities are per step.
        tip: whether the fingers' tip acts, as in FetchInsert: its position ends an observation, and
            the second achieved goal is the tip once it is over the hole, else the point above it.

    Attributes:
        rows: the N simulations.
        values: ``[N, O]`` float64, Gymnasium's observation.
        achieved: ``[N, P, 3]`` float64, metres; see ``FetchSimulator``.
    """

    def __init__(self, model: Any, at: Addresses, num_envs: int, dt: float, tip: bool) -> None:
        n, count = num_envs, at.num_objects
        self._model, self._at, self._dt, self._tip = model, at, dt, tip
        self._jacobians: FloatArray = np.zeros((n, 1 + 2 * count, 3, model.nv))
        self.rows = [Row(model, at, each) for each in self._jacobians]
        points = 1 + count + len(at.places)
        self._positions: FloatArray = np.zeros((n, points, 3))
        self._object_mats: FloatArray = np.zeros((n, count, 3, 3))
        self._finger_qpos: FloatArray = np.zeros((n, 2))
        self._qvel: FloatArray = np.zeros((n, model.nv))
        self.achieved = np.zeros((n, 2, 3)) if tip else self._positions[:, : 1 + count]
        self.values: FloatArray = np.zeros((n, 10 + 15 * count + 3 * len(at.places) + 3 * tip))
        self._gathered = [
            _gather([row.positions for row in self.rows], self._positions),
            _gather([[row.fingers] for row in self.rows], self._finger_qpos),
            _gather([[row.qvel] for row in self.rows], self._qvel),
        ]
        if count:
            mats = [row.object_mats for row in self.rows]
            self._gathered.append(_gather(mats, self._object_mats))

    def differentiate(self, row: Row) -> None:
        """Compute the Jacobians of a row's sites, by which joint velocities become theirs."""
        for site, linear, angular in row.jacobians:
            mujoco.mj_jacSite(self._model, row.data, linear, angular, site)

    def collect(self, goal: FloatArray) -> None:
        """Compute :attr:`values` and :attr:`achieved` of all rows, whose goals are [N, D, 3]."""
        for views, array in self._gathered:
            np.concatenate(views, out=array)  # one call for all rows
        # [N, J, 3]: one (3, nv) product each; a taller stack would round differently in BLAS.
        velocity = np.matmul(self._jacobians, self._qvel[:, None, :, None])[..., 0] * self._dt
        finger_velocity = self._qvel[:, self._at.finger_dof] * self._dt
        gripper, last = self._positions[:, :1], 1 + self._at.num_objects
        objects, places = self._positions[:, 1:last], self._positions[:, last:]
        if self._tip:
            places = self.achieved[:, :1]
            _find_tip(gripper[:, 0], goal[:, 0], self.achieved)
        parts = [gripper, objects, objects - gripper, self._finger_qpos]
        parts += [rotations.mat2euler(self._object_mats)]
        parts += [velocity[:, 1:last] - velocity[:, :1], velocity[:, last:]]
        parts += [velocity[:, :1], finger_velocity, places]
        flat = [part.reshape(len(self.rows), -1) for part in parts if part.size]
        np.concatenate(flat, axis=1, out=self.values)


def _gather(
    views: Sequence[Sequence[FloatArray]], array: FloatArray
) -> tuple[list[FloatArray], FloatArray]:
    """The views of all rows as one list, and the flat ``array`` that they are copied to."""
    return [view for row in views for view in row], array.reshape(-1)


def _find_tip(gripper: FloatArray, hole: FloatArray, points: FloatArray) -> None:
    """Write each row's tip and what it achieves, see ``InsertEnv.achieved_points``, to ``points``.

    Args:
        gripper: positions of the grip site [N, 3].
        hole: bottoms of the holes [N, 3].
        points: written to, [N, 2, 3].
    """
    tip, brought = points[:, 0], points[:, 1]
    tip[:] = gripper
    tip[:, 2] -= TIP
    x, y, z = (tip - hole).T
    inside = (np.sqrt(x * x + y * y) < AXIS) & (np.abs(z) < DEPTH)
    brought[:] = hole
    brought[:, 2] = TOP
    brought[inside] = tip[inside]
