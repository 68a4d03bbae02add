"""Stack and ThreeStack: a tower is built at a point of the table."""

from __future__ import annotations

import numpy as np

from rher_pl.envs.suite.arm import FloatArray
from rher_pl.envs.suite.cubes import SIDE, CubesEnv
from rher_pl.envs.suite.parts import cube_names


class StackEnv(CubesEnv):
    """Bring cube 0 to the goal, then put cube 1 on top of it; the fingers can be opened.

    Cubes start within 0.1 m of the gripper along x and y, at least 0.1 m from it and 0.08 m from
    each other. The goal of cube 0 is a point of the table in the same square, that of each other
    cube 0.05 m above the one before it. In about 10% of episodes cube 0 starts at its goal.
    """

    object_names = cube_names(2)
    locked = False
    extra_height = 0.2

    def _draw_goal(self) -> FloatArray:
        base = np.append(self._around(self.start_range, 1), self.height_offset)
        goals = np.tile(base, (self.num_cubes, 1))
        goals[:, 2] += SIDE * np.arange(self.num_cubes)
        return goals


class ThreeStackEnv(StackEnv):
    """Build a tower of three cubes; the fingers can be opened.

    Starts and goals are those of :class:`StackEnv`: cubes start within 0.1 m of the gripper along x
    and y, at least 0.1 m from it and 0.08 m from each other. The goal of cube 0 is a point of the
    table in the same square, those of cubes 1 and 2 are 0.05 m and 0.1 m above it.
    """

    object_names = cube_names(3)
