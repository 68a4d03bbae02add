"""One picture of all tasks of the suite, each at a start and with its goals, for the README."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rher_pl.cli.command import Parser, run_command
from rher_pl.envs.suite.registration import gymnasium_id
from rher_pl.errors import ConfigError
from rher_pl.pictures.overlay import tile
from rher_pl.pictures.palette import BAND, OPEN, TEXT
from rher_pl.pictures.rendering import use_backend

WIDTH, HEIGHT, TEXT_SIZE, LINE = 400, 300, 23, 31  # pixels of one task
FINER = 2
"""Pixels drawn for each one that is kept, along each side, so that edges are smooth."""
COLUMNS = 4
TABLE = 0.425  # z of a cube on the table, metres


@dataclass(frozen=True)
class Shown:
    """One task of the picture.

    Args:
        name: without ``Fetch`` and version.
        says: what is to be done.
        goal, objects: of the episode, x, y and z of each.
    """

    name: str
    says: str
    goal: Any = None
    objects: Any = None

    def draw(self) -> NDArray[np.uint8]:
        """The task at the start of the episode, and beneath it what is to be done."""
        import gymnasium

        size = {"width": FINER * WIDTH, "height": FINER * HEIGHT}
        env = gymnasium.make(gymnasium_id(f"Fetch{self.name}-v0"), render_mode="rgb_array", **size)
        env.reset(seed=0, options={"goal": self.goal, "objects": self.objects})
        picture = Image.fromarray(np.asarray(env.render())).resize((WIDTH, HEIGHT))
        env.close()
        cell = Image.new("RGB", (WIDTH, HEIGHT + 2 * LINE + LINE // 2), BAND)
        cell.paste(picture)
        pen, font = ImageDraw.Draw(cell), ImageFont.load_default(size=TEXT_SIZE)
        pen.text((10, HEIGHT + 5), self.name, TEXT, font=font)
        pen.text((10, HEIGHT + 5 + LINE), self.says, OPEN, font=font)
        return np.asarray(cell)


def cubes(*places: tuple[float, float]) -> list[tuple[float, float, float]]:
    """Positions on the table."""
    return [(x, y, TABLE) for x, y in places]


def tower(x: float, y: float, number: int) -> list[tuple[float, float, float]]:
    """Goals above each other."""
    return [(x, y, TABLE + 0.05 * i) for i in range(number)]


TASKS = (
    Shown("ObstaclePush", "push past the wall", cubes((1.46, 0.62)), cubes((1.42, 0.90))),
    Shown("Insert", "put the fingers into the hole", [(1.36, 0.62, 0.37)]),
    Shown("Drawer", "pull it open by the handle"),
    Shown(
        "DoublePush",
        "push each cube to its ball",
        cubes((1.46, 0.69), (1.39, 0.87)),
        cubes((1.35, 0.62), (1.47, 0.79)),
    ),
    Shown("Stack", "one on the other", tower(1.44, 0.75, 2), cubes((1.36, 0.64), (1.38, 0.88))),
    Shown("DrawerBox", "open it, put the box on top"),
    Shown(
        "ThreePush",
        "push each cube to its ball",
        cubes((1.46, 0.74), (1.37, 0.86), (1.36, 0.63)),
        cubes((1.46, 0.65), (1.46, 0.84), (1.24, 0.68)),
    ),
    Shown(
        "ThreeStack",
        "build a tower of three",
        tower(1.46, 0.76, 3),
        cubes((1.33, 0.62), (1.44, 0.65), (1.46, 0.89)),
    ),
)


def body(arguments: Sequence[str]) -> int:
    """Write the picture; exit status."""
    parser = Parser("tools.tasks_picture", __doc__ or "")
    parser.add_argument("--out", type=Path, required=True, help="WebP or PNG to write")
    options = parser.parse_args(arguments)
    if not options.out.absolute().parent.is_dir():
        raise ConfigError(f"--out {options.out}: make the folder first")
    use_backend()
    Image.fromarray(tile([task.draw() for task in TASKS], COLUMNS)).save(options.out, quality=88)
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(body, None))
