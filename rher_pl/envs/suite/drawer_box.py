"""DrawerBox: a drawer is pulled open, and the box in it put on top of the case."""

from __future__ import annotations

from typing import Any

import numpy as np

from rher_pl.envs.suite.arm import FloatArray
from rher_pl.envs.suite.drawer import TABLE, DrawerEnv
from rher_pl.envs.suite.model import model_xml
from rher_pl.envs.suite.options import within
from rher_pl.envs.suite.parts import BOX, CASE, HANDLE, HANDLE_FROM_CASE, box, drawer

HANDLE_LOW = np.array([1.276, 0.77, 0.45])
HANDLE_HIGH = np.array([1.286, 0.78, 0.45])
"""Least and greatest position of the closed drawer's handle, with which the case moves."""
BOX_AT_REST = 0.391  # z of a box that stands in the drawer
INSIDE_LOW = np.array([0.065, -0.059, -0.06])
INSIDE_HIGH = np.array([0.165, 0.059, -0.05])
"""Least and greatest position of the box in the closed drawer, relative to the handle."""
ABOVE_LOW = np.array([0.03, -0.118, 0.05])
ABOVE_HIGH = np.array([0.22, 0.118, 0.35])
"""Least and greatest goal of the box, relative to the handle of the closed drawer."""
BOX_ON_CASE = 0.51  # z of its goals; it rests there at 0.513


class DrawerBoxEnv(DrawerEnv):
    """Pull the drawer open, then take the box out of it and put it on the case.

    Object 0 is the handle, object 1 the box. The case stands a little differently in each episode;
    the goal of the handle is 0.15 to 0.18 m toward the robot, that of the box a point on top of the
    case. The fingers can be opened, and the gripper's height is not limited.

    The original counts a goal as met within 0.02 m in its environment and 0.05 m in its trainer;
    here it is 0.05 m. It lets the box fall 4 mm at the start; here the box stands.

    The option ``objects`` has two positions: of the handle of the closed drawer, with which the
    case moves, and of the box in the drawer.
    """

    object_names = (HANDLE, BOX)
    epsilon = 0.05
    lift = 0.15
    extra_height = 0.15
    max_action = 0.05
    lowest_gripper = None
    opening = (0.15, 0.18)

    def _xml(self) -> str:
        x, y, _ = (HANDLE_LOW + HANDLE_HIGH) / 2 - HANDLE_FROM_CASE
        bodies = [drawer(x, y, slides=False, damping=100), box()]
        return model_xml(bodies, 2, actuated=True, table=TABLE)

    def _initial_joints(self) -> dict[str, Any]:
        return {f"{BOX}:joint": [1.381, 0.775, BOX_AT_REST, 1, 0, 0, 0]}

    def _case(self) -> FloatArray:
        """Position of the case in ``data``; a view [3]."""
        position: FloatArray = self.data.mocap_pos[self.model.body(CASE).mocapid[0]]
        return position

    def _closed(self) -> FloatArray:
        return self._case() + HANDLE_FROM_CASE

    def _place(self, handle: FloatArray, box: FloatArray) -> None:
        """Move the case so that the closed handle is at ``handle [3]``; put the box at ``box``."""
        self._case()[:] = handle - HANDLE_FROM_CASE
        address = self.model.joint(f"{BOX}:joint").qposadr[0]
        self.data.qpos[address : address + 3] = box

    def _draw_start(self) -> None:
        handle = self.np_random.uniform(HANDLE_LOW, HANDLE_HIGH)
        x, y = handle[:2] + self.np_random.uniform(-0.02, 0.02, 2)
        self._place(handle, np.array([x + 0.1, y, BOX_AT_REST]))

    def _draw_goal(self) -> FloatArray:
        x, y, _ = self._closed()
        x += 0.1 + self.np_random.uniform(-0.03, 0.1)
        y += self.np_random.uniform(-0.1, 0.1)
        return np.array([self._draw_opening(), [x, y, BOX_ON_CASE]])

    def _put_objects(self, positions: FloatArray) -> None:
        handle, box = positions
        within(f"{HANDLE} of the closed drawer", handle, HANDLE_LOW, HANDLE_HIGH)
        # The drawer's inner walls, less half of the box.
        within(f"{BOX} in the drawer", box, handle + INSIDE_LOW, handle + INSIDE_HIGH)
        self._place(handle, box)

    def _put_goal(self, goals: FloatArray) -> None:
        self._check_goal(goals[0])
        closed = self._closed()
        name = f"goal of the {BOX} above the case"
        within(name, goals[1], closed + ABOVE_LOW, closed + ABOVE_HIGH)
