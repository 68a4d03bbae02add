"""Cubes on the table: where they may start, and where they may be sent."""

from __future__ import annotations

from itertools import combinations
from typing import Any, ClassVar

import numpy as np

from rher_pl.envs.suite.arm import FloatArray
from rher_pl.envs.suite.base import SuiteEnv
from rher_pl.envs.suite.model import Table, model_xml
from rher_pl.envs.suite.options import within
from rher_pl.envs.suite.parts import CUBE_HALF, cube, cube_name

SIDE = 2 * CUBE_HALF
FROM_GRIPPER = 0.1  # least metres, horizontally, from the gripper's start to any cube
RISE = 0.45  # metres above a resting cube that a goal may be if the fingers can be opened


def smallest_gap(positions: FloatArray) -> float:
    """Metres between the nearest two of N cubes with parallel sides; negative if they overlap.

    Args:
        positions: of their centres, [N, 2] or [N, 3].
    """
    gaps = [float(np.abs(a - b).max()) - SIDE for a, b in combinations(positions, 2)]
    return min(gaps, default=np.inf)


def apart(positions: FloatArray, distance: float) -> bool:
    """Whether positions [N, 2] are pairwise at least ``distance`` from each other."""
    return all(np.linalg.norm(a - b) >= distance for a, b in combinations(positions, 2))


class CubesEnv(SuiteEnv):
    """N cubes that start on the table, around the gripper."""

    start_range: ClassVar[float] = 0.1
    """Most metres, along x and along y, from the gripper's start to a cube or goal."""
    start_distance: ClassVar[float] = 0.08
    """Least metres between two cubes at the start."""

    @property
    def num_cubes(self) -> int:
        """N."""
        return len(self.object_names)

    def _xml(self) -> str:
        cubes = [cube(i) for i in range(self.num_cubes)]
        return model_xml([*cubes, *self._fixtures()], self.num_cubes, actuated=not self.locked)

    def _fixtures(self) -> list[str]:
        """Bodies other than the cubes, XML each."""
        return []

    def _initial_joints(self) -> dict[str, Any]:
        rest = Table().height + CUBE_HALF
        rows = range(self.num_cubes)
        return {f"{cube_name(i)}:joint": [1.1, 0.5 + 0.1 * i, rest, 1, 0, 0, 0] for i in rows}

    def _env_setup(self, initial_qpos: dict[str, Any]) -> None:
        super()._env_setup(initial_qpos)
        self.height_offset = float(self.data.site(cube_name(0)).xpos[2])

    def _centre(self) -> FloatArray:
        """x and y of the gripper's start."""
        centre: FloatArray = self.initial_gripper_xpos[:2]
        return centre

    def _around(self, distance: float, number: int) -> FloatArray:
        """Points [number, 2] of the square within ``distance`` of the gripper's start."""
        return self._centre() + self.np_random.uniform(-distance, distance, (number, 2))

    def _draw_start(self) -> None:
        while True:
            drawn = np.array([self._draw_cube() for _ in range(self.num_cubes)])
            if apart(drawn, self.start_distance) and smallest_gap(drawn) >= 0:
                break
        for i, position in enumerate(drawn):
            self._put_cube(i, position)

    def _draw_cube(self) -> FloatArray:
        """x and y of a cube that is far enough from the gripper."""
        while True:
            position = self._around(self.start_range, 1)[0]
            if np.linalg.norm(position - self._centre()) >= FROM_GRIPPER:
                return position

    def _put_cube(self, index: int, position: FloatArray) -> None:
        """Move a cube to ``position [2]`` or ``[3]``; it keeps its height if none is given."""
        address = self.model.joint(f"{cube_name(index)}:joint").qposadr[0]
        self.data.qpos[address : address + len(position)] = position

    def _put_objects(self, positions: FloatArray) -> None:
        low, high = self._limits(SIDE * (self.num_cubes - 1) + 0.01)
        for name, position in zip(self.object_names, positions):
            within(name, position, low, high)
        for i, position in enumerate(positions):
            self._put_cube(i, position)

    def _put_goal(self, goals: FloatArray) -> None:
        low, high = self._limits(0.01 if self.locked else RISE)
        for i, goal in enumerate(goals):
            within(f"goal of {self.object_names[i]}", goal, low, high)

    def _limits(self, rise: float) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest x, y, z of a cube: on the table, up to ``rise`` metres above it."""
        table = Table()
        reach = np.array([table.half_x, table.half_y]) - CUBE_HALF
        centre = np.array([table.x, table.y])
        height = self.height_offset
        return np.append(centre - reach, height - 0.01), np.append(centre + reach, height + rise)
