"""Captions on pictures: what the policy is doing, how far it has to go, whether it is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from rher_pl.pictures.palette import BAND, DIM_TEXT, DONE, OPEN, TEXT
from rher_pl.pictures.scenes import Picture


@dataclass(frozen=True)
class Gauge:
    """How far one subtask is from being solved.

    Args:
        name: of the subtask.
        distance: of the slot that is furthest from its goal, metres.
        epsilon: distance at which it counts as solved, metres.
        active: whether it is the one to work on.
    """

    name: str
    distance: float
    epsilon: float
    active: bool


@dataclass(frozen=True)
class Caption:
    """What to say of one picture.

    Args:
        title: of the episode.
        active: the subtask to work on, and its object.
        acting: who chose the action.
        gauges: at most two are shown.
        solved: the task is solved in this state.
    """

    title: str
    active: str
    acting: str
    gauges: tuple[Gauge, ...]
    solved: bool


def annotate(picture: Picture, caption: Caption) -> Picture:
    """The picture with a band of text beneath it, [H + band, W, 3]; sizes stay even."""
    height, width = picture.shape[:2]
    text = max(10, round(width / 30))
    line = round(1.45 * text)
    image = Image.new("RGB", (width, even(height + 5 * line + text // 2)), BAND)
    image.paste(Image.fromarray(picture))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=text)
    left, top = text // 2, height + text // 4
    pen.text((left, top), caption.title, TEXT, font=font)
    badge, colour = ("SOLVED", DONE) if caption.solved else ("not solved", DIM_TEXT)
    pen.text((width - left, top), badge, colour, font=font, anchor="ra")
    pen.text((left, top + line), caption.active, TEXT, font=font)
    pen.text((left, top + 2 * line), f"acting: {caption.acting}", TEXT, font=font)
    for row, gauge in enumerate(caption.gauges[:2]):
        _draw_gauge(pen, font, gauge, (left, top + (3 + row) * line), width - 2 * left, text)
    if caption.solved:
        pen.rectangle((0, 0, width - 1, height - 1), outline=DONE, width=max(2, text // 4))
    return np.asarray(image, dtype=np.uint8)


def _draw_gauge(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    gauge: Gauge,
    at: tuple[int, int],
    width: int,
    text: int,
) -> None:
    """Name, distance against epsilon, and a bar that shrinks to a tick at epsilon."""
    x, y = at
    met = gauge.distance <= gauge.epsilon
    colour = DONE if met else OPEN
    pen.text((x, y), ("> " if gauge.active else "   ") + gauge.name, TEXT, font=font)
    sign = "<=" if met else ">"
    numbers = f"{100 * gauge.distance:.1f} {sign} {100 * gauge.epsilon:.0f} cm"
    pen.text((x + width, y), numbers, colour, font=font, anchor="ra")
    begin, end = x + round(0.3 * width), x + round(0.66 * width)
    top, bottom = y + text // 4, y + text
    full = 6.0 * gauge.epsilon  # metres at the end of the bar
    pen.rectangle((begin, top, end, bottom), outline=DIM_TEXT)
    length = min(gauge.distance / full, 1.0) * (end - begin)
    pen.rectangle((begin, top, begin + length, bottom), fill=colour)
    tick = begin + (end - begin) / 6
    pen.line((tick, top - 2, tick, bottom + 2), fill=TEXT)


def even(number: int) -> int:
    """The number, or the next one: video formats want even sizes."""
    return number + number % 2


def tile(pictures: list[Picture], columns: int) -> Picture:
    """Pictures of one size side by side; missing ones are dark."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * height, columns * width, 3), ImageColor.getrgb(BAND), dtype=np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    return sheet
