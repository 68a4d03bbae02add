"""Given starts for gymnasium-robotics' own tasks, which can only draw random ones."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rher_pl.envs.suite.options import points, within
from rher_pl.envs.suite.overlap import refuse_overlap

FloatArray = NDArray[np.float64]

OBJECT, TABLE = "object0", "table0"
REST = 0.01
"""Metres by which a given height may differ from that of an object at rest."""
RISE = 0.45
"""Metres above an object at rest that a goal in the air may be, as in gymnasium-robotics."""


class GivenStart:
    """Places objects and goals as :class:`~rher_pl.envs.suite.base.SuiteEnv` does.

    Args:
        env: a Fetch environment of gymnasium-robotics (``-v4``), whose ``data`` is changed.
    """

    def __init__(self, env: Any) -> None:
        self._env = env

    def set_objects(self, objects: ArrayLike) -> None:
        """Reset ``data``, with the object at a given position, [1, 3] or [3] (metres).

        Raises:
            ValueError: if it cannot be there; names the limit.
        """
        env = self._env
        position = points("objects", objects, int(env.has_object))[0]
        within(OBJECT, position, *self._limits(REST))
        mujoco.mj_resetData(env.model, env.data)
        env.data.time = env.initial_time
        env.data.qpos[:], env.data.qvel[:] = env.initial_qpos, env.initial_qvel
        address = env.model.joint(f"{OBJECT}:joint").qposadr[0]
        env.data.qpos[address : address + 3] = position
        mujoco.mj_forward(env.model, env.data)
        refuse_overlap(env.model, env.data, OBJECT)

    def set_goal(self, goal: ArrayLike) -> FloatArray:
        """A given goal, [1, 3] or [3] (metres), as [3].

        Raises:
            ValueError: if it cannot be met; names the limit.
        """
        position = points("goal", goal, 1)[0]
        in_the_air = self._env.target_in_the_air
        within("goal", position, *self._limits(RISE if in_the_air else REST))
        return position

    def _limits(self, rise: float) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest x, y, z: over the table, up to ``rise`` above an object at rest."""
        env, table = self._env, self._env.model.body(TABLE)
        half = env.model.geom_size[table.geomadr[0]]
        low, high = table.pos - half, table.pos + half
        rest = env.height_offset if env.has_object else high[2]
        return np.array([*low[:2], rest - REST]), np.array([*high[:2], rest + rise])
