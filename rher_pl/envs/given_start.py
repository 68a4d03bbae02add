"""Given starts for gymnasium-robotics' own tasks, which only draw theirs."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rher_pl.envs.suite.options import points, within

FloatArray = NDArray[np.float64]

OBJECT, TABLE = "object0", "table0"
OVERLAP = 0.001
"""Metres that a given object may cut into something: one at rest does, a little."""
REST = 0.01
"""Metres above and below an object at rest that a given height may be."""
RISE = 0.45
"""Metres above the table that a goal in the air may be; as high as gymnasium-robotics draws."""


class GivenStart:
    """What :class:`~rher_pl.envs.suite.base.SuiteEnv` does for starts that are given.

    Args:
        env: a Fetch environment of gymnasium-robotics, of version 4; its ``data`` is placed in.
    """

    def __init__(self, env: Any) -> None:
        self._env = env

    def set_objects(self, objects: ArrayLike) -> None:
        """Start ``data`` anew with the object at a position, [1, 3] or [3] (metres).

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
        if other := self._cuts_into():
            raise ValueError(
                f"{OBJECT} at {position.round(4).tolist()} is inside {other}: move it away, until "
                f"they overlap by at most {OVERLAP} m"
            )

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
        """Lowest and highest x, y, z: over the table, up to ``rise`` metres above what rests."""
        env, table = self._env, self._env.model.body(TABLE)
        half = env.model.geom_size[table.geomadr[0]]
        low, high = table.pos - half, table.pos + half
        rest = env.height_offset if env.has_object else high[2]
        return np.array([*low[:2], rest - REST]), np.array([*high[:2], rest + rise])

    def _cuts_into(self) -> str:
        """Name of a body that the object cuts into; empty if there is none."""
        env = self._env
        own = env.model.body(OBJECT).id
        for contact in env.data.contact:
            bodies = env.model.geom_bodyid[list(contact.geom)].tolist()
            if own in bodies and contact.dist < -OVERLAP:
                bodies.remove(own)
                return str(env.model.body(bodies[0]).name)
        return ""
