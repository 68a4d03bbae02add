"""A plan from above of points on their way, which needs no graphics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from rher_pl.pictures import palette
from rher_pl.pictures.names import point_name
from rher_pl.relay import Relay

GRID_STEP = 0.1
"""Metres between two lines."""


class Plan:
    """The part of the table that is shown: all that is there at the start, and room around it.

    Args:
        relay: names the points.
        shown: positions that must be in the picture, [K, 3] (metres).
        size: width and height in pixels.
    """

    def __init__(self, relay: Relay, shown: Tensor, size: tuple[int, int]) -> None:
        self.relay = relay
        self.size = size
        low, high = shown[:, :2].amin(0), shown[:, :2].amax(0)
        self._centre = ((low + high) / 2).tolist()
        half_width = max(0.75 * float((high - low).max()), 4.0 * relay.epsilon)  # metres
        self._scale = min(size) / (2.0 * half_width)  # pixels in a metre

    def draw(self, trails: Tensor, goals: Tensor) -> NDArray[np.uint8]:
        """The path of every point up to now, and the goals; [H, W, 3].

        Args:
            trails: positions at all states so far, [T, P, 3] (metres).
            goals: desired goals, [D, 3] (metres).
        """
        image = Image.new("RGB", self.size, palette.GROUND)
        pen = ImageDraw.Draw(image)
        self._draw_grid(pen)
        self._draw_goals(pen, goals)
        epsilon = self.relay.epsilon * self._scale
        line = 0
        for line, path in enumerate(trails.unbind(1)):
            colour = palette.of_point(line, self.relay.reach)
            name = point_name(self.relay, line)
            pen.line([self._pixel(point) for point in path], fill=colour, width=2)
            radius = 5 if name == "gripper" else max(0.4 * epsilon, 6)
            self._circle(pen, path[-1], radius, fill=colour)
            pen.text((6, 4 + 14 * line), name, colour)
        text = "goal (within epsilon); grid 10 cm"
        pen.text((6, 4 + 14 * (line + 1)), text, palette.GOAL)
        return np.asarray(image, dtype=np.uint8)

    def _draw_goals(self, pen: ImageDraw.ImageDraw, goals: Tensor) -> None:
        epsilon = self.relay.epsilon * self._scale
        for index, goal in enumerate(goals):
            self._circle(pen, goal, epsilon, outline=palette.GOAL, width=3)
            self._circle(pen, goal, 3, fill=palette.GOAL)
            if len(goals) > 1:
                x, y = self._pixel(goal)
                pen.text((x + 6, y - 14), str(index), fill=palette.GOAL)

    def _pixel(self, point: Tensor) -> tuple[float, float]:
        at = zip(point[:2].tolist(), self._centre, strict=True)
        x, y = ((p - c) * self._scale for p, c in at)
        return self.size[0] / 2 + x, self.size[1] / 2 - y

    def _circle(self, pen: ImageDraw.ImageDraw, at: Tensor, radius: float, **style: Any) -> None:
        x, y = self._pixel(at)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), **style)

    def _draw_grid(self, pen: ImageDraw.ImageDraw) -> None:
        width, height = self.size
        step = GRID_STEP * self._scale
        for x in np.arange((width / 2 - self._centre[0] * self._scale) % step, width, step):
            pen.line([(x, 0), (x, height)], fill=palette.GRID)
        for y in np.arange((height / 2 + self._centre[1] * self._scale) % step, height, step):
            pen.line([(0, y), (width, y)], fill=palette.GRID)
