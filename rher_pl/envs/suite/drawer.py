"""Drawer: a drawer is pulled open by its handle."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rher_pl.envs.suite.arm import FloatArray
from rher_pl.envs.suite.base import SuiteEnv
from rher_pl.envs.suite.model import Table, model_xml
from rher_pl.envs.suite.options import within
from rher_pl.envs.suite.parts import (
    CASE,
    DRAWER_JOINT,
    FOOT,
    HANDLE,
    HANDLE_FROM_CASE,
    OPENS,
    drawer,
)

TOWARD_ROBOT = np.array([-1.0, 0.0, 0.0])
BESIDE = np.array([0.0, 0.01, 0.01])
"""Metres, along each axis, that a given goal may be off the line on which the handle moves."""
TABLE = Table(height=FOOT, x=1.42)


class DrawerEnv(SuiteEnv):
    """Pull a drawer open until its handle is at the goal.

    The drawer starts closed; the goal is 0.04 to 0.2 m from there toward the robot. There are no
    finger actuators, so that ``action[3]`` does nothing. The gripper is kept at the handle's height
    or above: the original moves its target there and runs an extra step; here the target is
    limited within the step.

    The option ``objects`` is the handle's start position, which says how far the drawer is open.
    """

    object_names: ClassVar[tuple[str, ...]] = (HANDLE,)
    locked = False
    epsilon = 0.02
    extra_height = 0.2
    max_action = 0.04
    lowest_gripper: ClassVar[float | None] = 0.47
    camera: ClassVar[dict[str, Any]] = {
        "distance": 1.05,
        "azimuth": 140.0,
        "elevation": -42.0,
        "lookat": np.array([1.38, 0.70, 0.45]),
    }
    opening: ClassVar[tuple[float, float]] = (0.04, OPENS)
    """Least and greatest opening that a goal asks for, metres."""

    def _xml(self) -> str:
        case = drawer(1.5, 0.63, slides=True, damping=1000)
        return model_xml([case], 1, actuated=False, table=TABLE)

    def _closed(self) -> FloatArray:
        """Where the handle of the closed drawer is in ``data`` [3]."""
        position: FloatArray = self.model.body(CASE).pos + HANDLE_FROM_CASE
        return position

    def _open(self, distance: float) -> None:
        address = self.model.joint(DRAWER_JOINT).qposadr[0]
        self.data.qpos[address] = -distance

    def _draw_start(self) -> None:
        """Leave the drawer closed."""

    def _draw_opening(self) -> FloatArray:
        """A goal of the handle [3]."""
        return self._closed() + self.np_random.uniform(*self.opening) * TOWARD_ROBOT

    def _draw_goal(self) -> FloatArray:
        return self._draw_opening()[None]

    def _check_goal(self, goal: FloatArray) -> None:
        closed = self._closed()
        low, high = closed + OPENS * TOWARD_ROBOT - BESIDE, closed + BESIDE
        within(f"goal of the {HANDLE}", goal, low, high)

    def _put_objects(self, positions: FloatArray) -> None:
        closed = self._closed()
        within(HANDLE, positions[0], closed + OPENS * TOWARD_ROBOT, closed)
        self._open(float(closed[0] - positions[0, 0]))

    def _put_goal(self, goals: FloatArray) -> None:
        self._check_goal(goals[0])
