"""MuJoCo models of the suite: text built around the arm that gymnasium-robotics ships.

Arm, meshes and textures are read from where gymnasium-robotics is installed; nothing of it is
copied. A model is the arm, a table, and the bodies of a task, see :mod:`~rher_pl.envs.suite.parts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import gymnasium_robotics

ASSETS = Path(gymnasium_robotics.__file__).parent / "envs" / "assets"
ARM = ASSETS / "fetch" / "robot.xml"
MATERIALS = ASSETS / "fetch" / "shared.xml"
GRIP = "robot0:grip"
FINGER_JOINTS = ("robot0:l_gripper_finger_joint", "robot0:r_gripper_finger_joint")
COLOURS = ("0.84 0.37 0", "0 0.45 0.70", "0.80 0.47 0.65")
"""Colours of objects and their goals, which colour-blind people can tell apart too."""


@dataclass(frozen=True)
class Table:
    """A box that stands on the floor.

    Args:
        height: z of its top, metres.
        x: of its centre, metres; y is 0.75.
    """

    height: float = 0.4
    x: float = 1.3

    half_x = 0.25
    half_y = 0.35
    y = 0.75

    def xml(self) -> str:
        """Its body."""
        half = self.height / 2
        return (
            f'<body pos="{self.x} {self.y} {half}" name="table0">'
            f'<geom size="{self.half_x} {self.half_y} {half}" type="box" mass="2000" '
            'material="table_mat"/></body>'
        )


def target_name(index: int) -> str:
    """Name of the site that shows where object ``index`` shall go."""
    return f"target{index}"


def _target(index: int) -> str:
    return (
        f'<site name="{target_name(index)}" pos="0 0 -1" size="0.02" type="sphere" '
        f'rgba="{COLOURS[index]} 0.7"/>'
    )


def _finger_actuator(joint: str) -> str:
    return (
        f'<position name="{joint}" joint="{joint}" kp="30000" '
        'ctrllimited="true" ctrlrange="0 0.2" user="1"/>'
    )


def _path(path: Path) -> str:
    return escape(str(path), {'"': "&quot;"})


def model_xml(bodies: list[str], targets: int, actuated: bool, table: Table | None = None) -> str:
    """Text of a model.

    Args:
        bodies: of the task, XML each.
        targets: number of sites that show a goal, ``target0`` and so on; below the floor until
            they are drawn.
        actuated: whether the fingers can be moved.
        table: to replace the usual one.
    """
    fingers = "".join(_finger_actuator(joint) for joint in FINGER_JOINTS) if actuated else ""
    return f"""<mujoco>
  <compiler angle="radian" meshdir="{_path(ASSETS / "stls" / "fetch")}"
            texturedir="{_path(ASSETS / "textures")}"/>
  <option timestep="0.002"/>
  <include file="{_path(MATERIALS)}"/>
  <worldbody>
    <geom name="floor0" pos="0.8 0.75 0" size="0.85 0.7 1" type="plane" condim="3"
          material="floor_mat"/>
    <light name="light0" directional="true" ambient="0.2 0.2 0.2" diffuse="0.8 0.8 0.8"
           specular="0.3 0.3 0.3" castshadow="false" pos="0 0 4" dir="0 0 -1"/>
    {"".join(_target(i) for i in range(targets))}
    <include file="{_path(ARM)}"/>
    {(table or Table()).xml()}
    {"".join(bodies)}
  </worldbody>
  <actuator>{fingers}</actuator>
</mujoco>"""
