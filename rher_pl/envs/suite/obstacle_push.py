"""ObstaclePush: a wall stands between the gripper and the cube."""

from __future__ import annotations

import numpy as np

from rher_pl.envs.suite.arm import FloatArray
from rher_pl.envs.suite.cubes import CubesEnv
from rher_pl.envs.suite.parts import CUBE_HALF, WALL, WALL_HALF, cube_names, wall

NEAREST = np.array(WALL_HALF)[:2] + CUBE_HALF
"""Metres along x and y: a cube that is this far from the wall's centre along one is clear of it."""


class ObstaclePushEnv(CubesEnv):
    """Push a cube past a wall to its goal on the table, with the fingers closed.

    Cube and goal are those of FetchPush: within 0.15 m of the gripper along x and y, the cube at
    least 0.1 m from it. The wall stands half-way between the gripper's start and the cube, its
    sides parallel to the axes; its position ends the observation.

    In the original the wall cuts into the cube in 19% of episodes and into the fingers in 4%, and
    10% of the goals need the cube inside the wall; here such starts and goals are drawn again.
    """

    object_names = cube_names(1)
    places = (WALL,)
    start_range = 0.15

    def _fixtures(self) -> list[str]:
        return [wall()]

    def _wall(self) -> FloatArray:
        """Position of the wall in ``data``; a view [3]."""
        number = self.model.body(WALL).mocapid[0]
        position: FloatArray = self.data.mocap_pos[number]
        return position

    def _beside_wall(self, cube: FloatArray) -> bool:
        """Whether a cube at ``cube [2]`` or ``[3]`` is clear of the wall."""
        return bool((np.abs(cube[:2] - self._wall()[:2]) >= NEAREST).any())

    def _build_wall(self, cube: FloatArray) -> bool:
        """Put the wall between gripper and cube; False if the cube is too near for that."""
        self._wall()[:] = *(self._centre() + cube[:2]) / 2, self.height_offset
        # The fingers are as far from the wall as the cube, and narrower.
        return self._beside_wall(cube)

    def _draw_start(self) -> None:
        while not self._build_wall(cube := self._draw_cube()):
            pass
        self._put_cube(0, cube)

    def _draw_goal(self) -> FloatArray:
        while not self._beside_wall(goal := self._around(self.start_range, 1)[0]):
            pass
        return np.append(goal, self.height_offset)[None]

    def _put_objects(self, positions: FloatArray) -> None:
        super()._put_objects(positions)
        if not self._build_wall(positions[0]):
            x, y = 2 * NEAREST
            raise ValueError(
                f"object0 at {positions[0].round(4).tolist()} is inside the wall, which is "
                f"half-way to the gripper's start at {self._centre().round(4).tolist()}: it must "
                f"be {x:.4g} m from there along x or {y:.4g} m along y"
            )

    def _put_goal(self, goals: FloatArray) -> None:
        super()._put_goal(goals)
        if not self._beside_wall(goals[0]):
            x, y = NEAREST
            raise ValueError(
                f"goal of object0 at {goals[0].round(4).tolist()} is inside the wall at "
                f"{self._wall().round(4).tolist()}: it must be {x:.4g} m from there along x or "
                f"{y:.4g} m along y"
            )
