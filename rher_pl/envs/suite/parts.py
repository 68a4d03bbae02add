"""Bodies that tasks are made of, as XML; all lengths in metres."""

from __future__ import annotations

from rher_pl.envs.suite.model import COLOURS

CUBE_HALF = 0.025


def cube_name(index: int) -> str:
    """Name of cube ``index``: of its body, geom and site; its joint is ``<name>:joint``."""
    return f"object{index}"


def cube_names(number: int) -> tuple[str, ...]:
    """Names of the first ``number`` cubes."""
    return tuple(cube_name(i) for i in range(number))


def cube(index: int) -> str:
    """A cube of 2 kg that can be moved."""
    name, half = cube_name(index), CUBE_HALF
    return (
        f'<body name="{name}"><joint name="{name}:joint" type="free" damping="0.01"/>'
        f'<geom name="{name}" type="box" size="{half} {half} {half}" mass="2" condim="3" '
        f'rgba="{COLOURS[index]} 1" material="block_mat"/>'
        f'<site name="{name}" size="0.005" rgba="0 0 0 0"/></body>'
    )


WALL = "wall"
WALL_HALF = (0.01, 0.04, 0.025)


def wall() -> str:
    """A wall that nothing can move; its place, ``mocap_pos``, is part of a simulation's state."""
    size = " ".join(str(half) for half in WALL_HALF)
    return (
        f'<body name="{WALL}" mocap="true" pos="1.5 1.05 0.425">'
        f'<geom name="{WALL}" type="box" size="{size}" condim="3" rgba="0.3 0.5 0.6 1"/>'
        f'<site name="{WALL}" size="0.005" rgba="0 0 0 0"/></body>'
    )


CASE = "case"
HANDLE = "handle"
DRAWER_JOINT = "drawer:joint"
OPENS = 0.2
"""Metres that the drawer slides toward the robot; its joint is at minus that when open."""
HANDLE_FROM_CASE = (-0.124, 0.0, 0.13)
"""From the foot of the case to the handle of the closed drawer, along the world's axes."""
FOOT = 0.32
"""z of the foot of the case, and of the top of the table that it stands on."""


def _plate(position: str, size: str, mass: float, colour: str) -> str:
    shape = f'pos="{position}" size="{size}"'
    return f'<geom type="box" {shape} mass="{mass}" condim="3" rgba="{colour}"/>'


def drawer(x: float, y: float, slides: bool, damping: float) -> str:
    """A case with a drawer that opens toward the robot, on a table of height ``FOOT``.

    In its own frame the drawer opens toward -y; the case is turned so that this is the world's -x.

    Args:
        x, y: position of the case.
        slides: whether the case itself can slide along y, by up to 0.03; else only ``mocap_pos``
            moves it.
        damping: of the drawer's joint, N s/m.
    """
    grey, beige, white = "0.3 0.5 0.6 0.6", "0.85 0.75 0.55 1", f"{COLOURS[0]} 1"
    case = (
        _plate("-0.11 0 0.084", "0.008 0.1 0.084", 20, grey)
        + _plate("0.11 0 0.084", "0.008 0.1 0.084", 20, grey)
        + _plate("0 0.092 0.076", "0.102 0.008 0.076", 20, grey)
        + _plate("0 -0.008 0.014", "0.102 0.092 0.014", 20, grey)
        + _plate("0 0 0.16", "0.102 0.1 0.008", 20, grey)
    )
    # The back plate is 6 mm further in than the original's, which cuts into the case.
    plates = (
        _plate("0 -0.082 0.008", "0.1 0.008 0.052", 0.2, beige)
        + _plate("0 0.084 0.008", "0.1 0.008 0.052", 0.2, beige)
        + _plate("-0.092 0 0.008", "0.008 0.074 0.052", 0.2, beige)
        + _plate("0.092 0 0.008", "0.008 0.074 0.052", 0.2, beige)
        + _plate("0 0 -0.052", "0.1 0.09 0.008", 0.2, beige)
    )
    joint = (
        f'<joint name="{CASE}:joint" type="slide" axis="1 0 0" range="-0.03 0.03" '
        'limited="true" damping="10000"/>'
    )
    return (
        f'<body name="{CASE}" mocap="{str(not slides).lower()}" pos="{x} {y} {FOOT}" '
        f'quat="0.7071067811865476 0 0 -0.7071067811865476">{joint if slides else ""}{case}'
        f'<body name="drawer" pos="0 -0.01 0.09"><joint name="{DRAWER_JOINT}" type="slide" '
        f'axis="0 1 0" range="-{OPENS} 0" limited="true" damping="{damping}" armature="0.001"/>'
        f'{plates}<geom name="{HANDLE}" type="box" pos="0 -0.114 0.04" size="0.01 0.025 0.01" '
        f'mass="0.05" condim="3" rgba="{white}"/><site name="{HANDLE}" pos="0 -0.114 0.04" '
        'size="0.005" rgba="0 0 0 0"/></body></body>'
    )


BOX = "box"


def box() -> str:
    """A box of 4 kg, as large as a cube; its joint is damped."""
    half = CUBE_HALF
    return (
        f'<body name="{BOX}"><joint name="{BOX}:joint" type="free" damping="10"/>'
        '<inertial pos="0 0 0" mass="4" diaginertia="0.01 0.01 0.01"/>'
        f'<geom name="{BOX}" type="box" size="{half} {half} {half}" condim="3" '
        f'rgba="{COLOURS[1]} 1" material="block_mat"/>'
        f'<site name="{BOX}" size="0.005" rgba="0 0 0 0"/></body>'
    )


BLOCK = "block"
BLOCK_HALF = 0.1
BLOCK_HEIGHT = 0.08
HOLE_HALF = 0.02


def block() -> str:
    """A block with a square hole, on a table; its place, ``mocap_pos``, is part of the state.

    Its origin is where the hole's axis ends, at the bottom.
    """
    half = BLOCK_HEIGHT / 2
    middle, side = (BLOCK_HALF + HOLE_HALF) / 2, (BLOCK_HALF - HOLE_HALF) / 2
    walls = [
        (-middle, 0, side, BLOCK_HALF),
        (middle, 0, side, HOLE_HALF),
        (side, middle, middle, side),
        (side, -middle, middle, side),
    ]
    geoms = "".join(
        f'<geom type="box" pos="{x:.4g} {y:.4g} {half}" size="{a:.4g} {b:.4g} {half}" condim="3" '
        'rgba="0.3 0.5 0.6 0.6"/>'
        for x, y, a, b in walls
    )
    return f'<body name="{BLOCK}" mocap="true" pos="1.2 0.55 0.36">{geoms}</body>'
