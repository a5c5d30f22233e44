"""What is between the camera and the scene: rain, snow, and the light it takes away."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from fake_model.effects import Fall, Tile
from fake_model.elements import Element, Stage
from fake_model.noise import Dice, mix
from fake_model.palette import Palette
from fake_model.text_encoder import PromptEmbeds


def paint_weather(stage: Stage, embeds: PromptEmbeds, palette: Palette) -> Iterator[Element]:
    """Two depths of rain or snow where the prompt has them."""
    if embeds.composition == "space" or embeds.weather not in ("rain", "snow"):
        return
    draw, ceiling = (_rain, 205) if embeds.weather == "rain" else (_snow, 190)
    yield Fall((draw(stage, 0), draw(stage, 1)), stage, ceiling)


def _tile(stage: Stage, slant_room: int) -> tuple[Image.Image, int]:
    period = stage.height
    return Image.new("L", (stage.width + slant_room, period)), period


def _wrapped(image: Image.Image, rows: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    tile = np.asarray(image)
    return np.ascontiguousarray(np.concatenate([tile, tile[:rows]]))


def _rain(stage: Stage, depth: int) -> Tile:
    """Streaks, longer and brighter in the nearer depth; few and dim, because fine bright lines cost bitrate."""
    room = stage.width // 8
    image, period = _tile(stage, room)
    pen, dice = ImageDraw.Draw(image), Dice(mix(stage.seed, 51, depth))
    length = stage.px((0.05, 0.11)[depth], 8)
    light, count = ((22, 44), (36, 22))[depth]
    count = count * image.width // stage.unit
    width = stage.px((0.0030, 0.0040)[depth])
    for _ in range(count):
        x, y = dice.whole(0, image.width - 1), dice.whole(0, period - 1)
        reach = int(length * dice.between(0.6, 1.2))
        shade = int(light * dice.between(0.4, 1.0))
        for turn in (0, -period):
            pen.line((x, y + turn, x + reach // 7, y + turn + reach), fill=shade, width=width)
    fall = stage.unit * (1.5, 2.1)[depth]
    return Tile(_wrapped(image, stage.height), period, fall, 0.0)


def _snow(stage: Stage, depth: int) -> Tile:
    """Flakes with soft edges."""
    room = stage.width // 3
    image, period = _tile(stage, room)
    dice = Dice(mix(stage.seed, 52, depth))
    radius = stage.px((0.0030, 0.0062)[depth])
    count = (170, 70)[depth] * image.width // stage.unit
    pen = ImageDraw.Draw(image)
    for _ in range(count):
        x, y = dice.whole(0, image.width - 1), dice.whole(0, period - 1)
        size = radius * dice.between(0.5, 1.3)
        light = int((46, 62)[depth] * dice.between(0.6, 1.0))
        for turn in (0, -period, period):
            for share, part in ((1.0, 0.55), (0.62, 1.0)):
                reach = size * share
                pen.ellipse((x - reach, y + turn - reach, x + reach, y + turn + reach), fill=int(light * part))
    return Tile(_wrapped(image, stage.height), period, stage.unit * (0.10, 0.19)[depth], stage.unit * 0.03)
