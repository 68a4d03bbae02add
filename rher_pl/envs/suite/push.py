"""DoublePush and ThreePush: cubes are pushed to points of the table."""

from __future__ import annotations

import numpy as np

from rher_pl.envs.suite.arm import FloatArray
from rher_pl.envs.suite.cubes import CubesEnv, apart
from rher_pl.envs.suite.parts import cube_names

GOAL_DISTANCE = 0.1  # metres between two goals


class DoublePushEnv(CubesEnv):
    """Push two cubes to their goals, with the fingers closed.

    Cubes start within 0.1 m of the gripper along x and y, at least 0.1 m from it and 0.08 m from
    each other; goals are on the table in the same square, at least 0.1 m from each other.

    About 2% of episodes start solved, and in 13% cube 1 stands on the goal of cube 0.
    """

    object_names = cube_names(2)

    def _draw_goal(self) -> FloatArray:
        while True:
            goals = self._around(self.start_range, self.num_cubes)
            if apart(goals, GOAL_DISTANCE):
                return np.column_stack([goals, np.full(self.num_cubes, self.height_offset)])


class ThreePushEnv(DoublePushEnv):
    """Push three cubes to their goals, with the fingers closed.

    Cubes start within 0.1 m of the gripper along x and y, at least 0.1 m from it and 0.05 m from
    each other; goals are on the table in the same square, at least 0.1 m from each other.

    The original lets cubes cut into each other in 6.5% of episodes, and its success looks at two of
    the three; here such starts are drawn again, and all three count.
    """

    object_names = cube_names(3)
    start_distance = 0.05
