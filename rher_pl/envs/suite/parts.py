"""Bodies that tasks are made of, as XML; all lengths in metres."""

from __future__ import annotations

from rher_pl.envs.suite.model import COLOURS

CUBE_HALF = 0.025


def cube_name(index: int) -> str:
    """Name of cube ``index``: of its body, geom and site; its joint is ``<name>:joint``."""
    return f"object{index}"


def cube(index: int) -> str:
    """A cube of 2 kg that can be moved."""
    name, half = cube_name(index), CUBE_HALF
    return (
        f'<body name="{name}"><joint name="{name}:joint" type="free" damping="0.01"/>'
        f'<geom name="{name}" type="box" size="{half} {half} {half}" mass="2" condim="3" '
        f'rgba="{COLOURS[index]} 1" material="block_mat"/>'
        f'<site name="{name}" size="0.005" rgba="0 0 0 0"/></body>'
    )
