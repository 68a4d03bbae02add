"""The gripper as scripted controllers see it, and the moves that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Moves = Iterator[FloatArray]
"""Actions [4], one for each env step, each computed from the positions at that step."""

SPEED = 0.65
"""Share of an action's metres that the gripper moves in one env step: a weld drags it."""


def up(metres: float) -> FloatArray:
    """The vector [3] that points ``metres`` up."""
    return np.array([0.0, 0.0, metres])


class Hand:
    """Reads positions from the environment; its moves yield the actions of a step each.

    Args:
        env: one of the suite, unwrapped.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        self.opening = 0.0  # metres that each finger shall be from the middle

    @property
    def at(self) -> FloatArray:
        """Position of the grip site, [3]."""
        return self.site("robot0:grip")

    def site(self, name: str) -> FloatArray:
        """Position of a site, [3]."""
        position: FloatArray = self._env.data.site(name).xpos.copy()
        return position

    def object(self, index: int) -> FloatArray:
        """Position of an object, [3]."""
        return self.site(self._env.object_names[index])

    @property
    def fingers(self) -> float:
        """Mean distance of the fingers from the middle, metres."""
        names = ("robot0:l_gripper_finger_joint", "robot0:r_gripper_finger_joint")
        return float(np.mean([self._env.data.joint(name).qpos[0] for name in names]))

    def toward(self, target: FloatArray, most: float = 1.0) -> FloatArray:
        """The action [4] that moves to ``target [3]``, at a share ``most`` of full speed."""
        move = (target - self.at) / (SPEED * self._env.max_action)
        fingers = np.clip(2.5 * (self.opening - self.fingers), -1.0, 1.0)
        largest = np.abs(move).max()
        if largest > most:
            move *= most / largest
        return np.append(move, fingers)

    def go(
        self,
        target: Callable[[], FloatArray],
        tolerance: float = 0.006,
        most: float = 1.0,
        patience: int = 15,
    ) -> Moves:
        """Move until within ``tolerance`` metres of a target that may move itself."""
        for _ in range(patience):
            if np.abs(target() - self.at).max() < tolerance:
                return
            yield self.toward(target(), most)

    def stay(self, steps: int = 1) -> Moves:
        """Stay, while the fingers move."""
        here = self.at
        for _ in range(steps):
            yield self.toward(here)
