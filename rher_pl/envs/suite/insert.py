"""Insert: the closed fingers are put into a hole."""

from __future__ import annotations

import numpy as np

from rher_pl.envs.suite.arm import FloatArray
from rher_pl.envs.suite.base import SuiteEnv
from rher_pl.envs.suite.model import Table, model_xml
from rher_pl.envs.suite.options import within
from rher_pl.envs.suite.parts import BLOCK, BLOCK_HEIGHT, block

TABLE = Table(height=0.36)
TOP = TABLE.height + BLOCK_HEIGHT  # of the hole, metres
BOTTOM = 0.37  # z of the goal
TIP = 0.02  # metres from the grip site down to the fingers' tip
AXIS = 0.01  # metres, horizontally, from the hole's axis, within which the tip is over the hole
DEPTH = 0.09  # metres above and below the goal within which the tip counts as at the hole
HOLE_LOW = np.array([1.10, 0.50, BOTTOM])
HOLE_HIGH = np.array([1.45, 0.85, BOTTOM])


class InsertEnv(SuiteEnv):
    """Put the closed fingers into a square hole 0.04 m wide, down to its bottom.

    The block, 0.2 m wide and 0.08 m high, stands somewhere else in each episode; the goal is the
    bottom of its hole. There is no object: ``achieved_goal`` is :meth:`achieved_points`, so that
    the first subtask of a relay is to reach the point above the hole.

    ``observation`` [13] ends with the tip of the fingers, 0.02 m below the gripper's position.
    The option ``goal`` moves the block; there are no ``objects``.
    """

    epsilon = 0.02
    lift = 0.15
    extra_height = 0.15

    @staticmethod
    def achieved_points(gripper: FloatArray, goal: FloatArray) -> FloatArray:
        """The fingers' tip where it is over or in the hole, else the point above the hole.

        Args:
            gripper: positions of the grip site, [*, 3].
            goal: bottoms of the holes, [*, 3].
        """
        tip = gripper - [0.0, 0.0, TIP]
        beside = np.linalg.norm(tip[..., :2] - goal[..., :2], axis=-1)
        inside = (beside < AXIS) & (np.abs(tip[..., 2] - goal[..., 2]) < DEPTH)
        above = np.where([True, True, False], goal, TOP)
        points: FloatArray = np.where(inside[..., None], tip, above)
        return points

    def _xml(self) -> str:
        return model_xml([block()], 1, actuated=False, table=TABLE)

    def _block(self) -> FloatArray:
        """Position of the block in ``data``; a view [3]."""
        position: FloatArray = self.data.mocap_pos[self.model.body(BLOCK).mocapid[0]]
        return position

    def _bottom(self) -> FloatArray:
        """The goal, which is where the hole is in ``data`` [3]."""
        return np.append(self._block()[:2], BOTTOM)

    def _draw_start(self) -> None:
        self._block()[:2] = self.np_random.uniform(HOLE_LOW, HOLE_HIGH)[:2]

    def _draw_goal(self) -> FloatArray:
        return self._bottom()[None]

    def _put_goal(self, goals: FloatArray) -> None:
        within("goal, the bottom of the hole", goals[0], HOLE_LOW, HOLE_HIGH)
        self._block()[:2] = goals[0, :2]

    def _achieved(self, gripper: FloatArray, objects: FloatArray) -> FloatArray:
        return self.achieved_points(gripper, self._bottom())

    def _get_obs(self) -> dict[str, FloatArray]:
        state = super()._get_obs()
        tip = state["observation"][:3] - [0.0, 0.0, TIP]
        return state | {"observation": np.append(state["observation"], tip)}
