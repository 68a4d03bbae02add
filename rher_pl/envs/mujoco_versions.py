"""What differs between versions of MuJoCo, and which of them run Fetch.

Since 3.12 a member of ``mujoco.mjtJoint`` equals a Python int but no longer a NumPy int, which a
model's ``jnt_type`` holds. gymnasium-robotics compares the two, and would recognise no joint type;
so it is given plain ints in place of these members.
"""

from types import ModuleType, SimpleNamespace
from typing import Any

import mujoco
import numpy as np

from rher_pl.errors import ConfigError

UNTRIED_FROM = 5
"""Versions below this major version were compared bit for bit with gymnasium-robotics."""


def check_mujoco_version(version: str) -> None:
    """Raise ``ConfigError`` when Fetch is not known to run on this MuJoCo."""
    if int(version.partition(".")[0]) >= UNTRIED_FROM:
        raise ConfigError(
            f"mujoco {version} is newer than those that Fetch is known to run on: "
            'pip install "mujoco>=3.7,<5"'
        )


class PlainJoints:
    """The ``mujoco`` module, but with plain ints for the members of ``mjtJoint``."""

    def __init__(self) -> None:
        members = mujoco.mjtJoint.__members__
        self.mjtJoint = SimpleNamespace(**{name: int(value) for name, value in members.items()})

    def __getattr__(self, name: str) -> Any:
        return getattr(mujoco, name)


def joints_compare() -> bool:
    """Whether a joint type, as a model holds it, is found among members of ``mjtJoint``."""
    hinge = mujoco.mjtJoint.mjJNT_HINGE
    return np.int32(int(hinge)) in (hinge,)


def mend_joint_comparisons(module: ModuleType) -> None:
    """Give ``module``, which imported ``mujoco``, joint types that compare with NumPy ints.

    No other module is changed, and none where the comparison works by itself.
    """
    if not joints_compare():
        module.mujoco = PlainJoints()  # type: ignore[attr-defined]
