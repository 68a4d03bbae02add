"""A plan from above of points and their paths, which needs no OpenGL."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from rher_pl.look import Look
from rher_pl.pictures import palette
from rher_pl.pictures.names import object_name, point_name
from rher_pl.pictures.standing import standing
from rher_pl.relay import Relay

GRID_STEP = 0.1
"""Metres between two lines."""
SAME, RAISED = 0.02, 0.02
"""Metres: rings of goals nearer than SAME in x and y are nested; the height of a goal more than
RAISED above the lowest one is written."""
LINE = 14  # pixels


class Plan:
    """The part of the table that is shown: all that is there at the start, and room around it.

    Args:
        relay: names the points.
        start: positions of the points, [P, 3] (metres).
        goals: desired goals, [D, 3] (metres).
        size: width and height in pixels.
        look: names of the objects, and what stands around them.
        places: positions of the layout's places, [K, 3] (metres).
    """

    def __init__(
        self,
        relay: Relay,
        start: Tensor,
        goals: Tensor,
        size: tuple[int, int],
        look: Look | None = None,
        places: Tensor | None = None,
    ) -> None:
        self.relay, self.size, self.look = relay, size, look or Look()
        self._start, self._goals = start, goals
        self._places = torch.zeros(0, 3) if places is None else places
        corners = [corner for one in self._standing(start) for corner in one.corners]
        shown = torch.cat([start, goals, torch.tensor(corners).view(-1, 3)])
        low, high = shown[:, :2].amin(0), shown[:, :2].amax(0)
        self._centre = ((low + high) / 2).tolist()
        half_width = max(0.75 * float((high - low).max()), 4.0 * relay.epsilon)  # metres
        self._scale = min(size) / (2.0 * half_width)  # pixels in a metre

    def draw(self, trails: Tensor) -> NDArray[np.uint8]:
        """The path of every point up to now, the goals, and what stands around; [H, W, 3].

        Args:
            trails: positions at all states so far, [T, P, 3] (metres).
        """
        image = Image.new("RGB", self.size, palette.GROUND)
        pen = ImageDraw.Draw(image)
        self._draw_grid(pen)
        self._draw_standing(pen, trails[-1])
        self._draw_goals(pen)
        line = 0
        for line, path in enumerate(trails.unbind(1)):
            colour = palette.of_point(line, self.relay.reach)
            name = point_name(self.relay, line, self.look)
            pen.line([self._pixel(point) for point in path], fill=colour, width=2)
            radius = 5 if name == "gripper" else max(0.4 * self.relay.epsilon * self._scale, 6)
            self._circle(pen, path[-1], radius, fill=colour)
            pen.text((6, 4 + LINE * line), name, colour)
        text = "ring: goal (within epsilon); grid 10 cm"
        pen.text((6, 4 + LINE * (line + 1)), text, palette.GOAL)
        return np.asarray(image, dtype=np.uint8)

    def _standing(self, now: Tensor) -> Any:
        return standing(self.look, self.relay, self._start, now, self._goals, self._places)

    def _draw_standing(self, pen: ImageDraw.ImageDraw, now: Tensor) -> None:
        for index, one in enumerate(self._standing(now)):
            (left, bottom), (right, top) = map(self._pixel, torch.tensor(one.corners))
            fill = palette.STANDING[index % len(palette.STANDING)]
            pen.rectangle((left, top, right, bottom), fill, palette.EDGE)
            pen.text((right + 3, bottom - LINE * (index + 1)), one.footprint.name, palette.EDGE)

    def _draw_goals(self, pen: ImageDraw.ImageDraw) -> None:
        """Rings, in their objects' colours if there are several; those of a tower are nested."""
        epsilon, goals = self.relay.epsilon * self._scale, self._goals
        lowest, several = float(goals[:, 2].min()), len(goals) > 1
        for index, goal in enumerate(goals):
            before = torch.linalg.vector_norm(goals[:index, :2] - goal[:2], dim=-1)
            nested = int((before < SAME).sum())
            colour = palette.of_point(index + self.relay.reach, self.relay.reach)
            colour = colour if several else palette.GOAL
            self._circle(pen, goal, max(epsilon - 5 * nested, 3), outline=colour, width=3)
            self._circle(pen, goal, 3, fill=palette.GOAL)
            if several:
                x, y = self._pixel(goal)
                rise = float(goal[2]) - lowest
                text = object_name(self.relay, index, self.look)
                text += f", {100 * rise:.0f} cm up" if rise > RAISED else ""
                pen.text((x + epsilon + 4, y - LINE * (nested + 0.5)), text, fill=colour)

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
