"""Colours: stops to ramps, ramps to limited-range BT.709 YUV, and the grade that a style and a prompt put on them.

Colour is decided on tables of at most 256 entries before the first frame, so a style costs nothing per frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RGB = tuple[float, float, float]
Table = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Grade:
    """A colour grade, applied in YUV around mid grey.

    Args:
        saturation: factor on chroma.
        contrast: factor on luma around 118.
        lift: added to luma, in 8-bit levels.
        hue: rotation of chroma in degrees.
        tint: added to (U, V), in 8-bit levels.
        levels: number of luma levels, 0 for no posterising.
    """

    saturation: float = 1.0
    contrast: float = 1.0
    lift: float = 0.0
    hue: float = 0.0
    tint: tuple[float, float] = (0.0, 0.0)
    levels: int = 0

    def then(self, other: Grade) -> Grade:
        """Both grades in one; `other` has the last word on levels."""
        return Grade(
            self.saturation * other.saturation,
            self.contrast * other.contrast,
            self.lift + other.lift,
            self.hue + other.hue,
            (self.tint[0] + other.tint[0], self.tint[1] + other.tint[1]),
            other.levels or self.levels,
        )


def rgb(text: str) -> RGB:
    """`"#rrggbb"` as three numbers 0..255."""
    return (float(int(text[1:3], 16)), float(int(text[3:5], 16)), float(int(text[5:7], 16)))


def blend(first: RGB, second: RGB, amount: float) -> RGB:
    """`first` at amount 0, `second` at amount 1."""
    keep = 1.0 - amount
    return tuple(a * keep + b * amount for a, b in zip(first, second, strict=True))  # type: ignore[return-value]


def luma(colour: RGB) -> float:
    """Brightness of a colour by BT.709, 0..255."""
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


def lit(colour: RGB, goal: float) -> RGB:
    """A colour of another brightness: a shade of it below its own, a tint above."""
    own = luma(colour)
    if goal <= own:
        return blend((0.0, 0.0, 0.0), colour, goal / max(own, 1.0))
    return blend(colour, (255.0, 255.0, 255.0), (goal - own) / max(255.0 - own, 1.0))


@dataclass(frozen=True)
class Palette:
    """The named colours of one time of day, with the grade that every table passes through.

    Args:
        colours: by name.
        grade: of every table.
        own: colours that the scene is given from outside, dark to light; none for most.
    """

    colours: Mapping[str, RGB]
    grade: Grade
    own: tuple[RGB, ...] = ()

    def __getitem__(self, name: str) -> RGB:
        return self.colours[name]

    def yuv(self, colour: RGB) -> tuple[int, int, int]:
        """One graded colour as (Y, U, V)."""
        y, u, v = self.table([(0, colour), (1, colour)])[0].tolist()
        return y, u, v

    def table(self, stops: Sequence[tuple[int, RGB]]) -> Table:
        """A (256, 3) uint8 YUV table through (index, colour) stops; constant beyond the outermost stops."""
        places = [place for place, _ in stops]
        index = np.arange(256)
        red, green, blue = (np.interp(index, places, [colour[part] for _, colour in stops]) for part in range(3))
        luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        u = (blue - luma) / 1.8556 * (224 / 255)
        v = (red - luma) / 1.5748 * (224 / 255)
        luma = 16 + luma * (219 / 255)
        grade = self.grade
        luma = 118 + (luma - 118) * grade.contrast + grade.lift
        if grade.levels:
            step = 219 / grade.levels
            luma = 16 + (np.floor((luma - 16) / step) + 0.5) * step
        cosine, sine = math.cos(math.radians(grade.hue)), math.sin(math.radians(grade.hue))
        turned_u = (u * cosine - v * sine) * grade.saturation + grade.tint[0]
        turned_v = (u * sine + v * cosine) * grade.saturation + grade.tint[1]
        planes = np.stack([np.clip(luma, 16, 235), 128 + turned_u, 128 + turned_v], axis=1)
        # Rounding to 1/64 first keeps a last-bit difference between two libm from flipping a level.
        return np.clip(np.floor(np.round(planes * 64) / 64 + 0.5), 16, 240).astype(np.uint8)


def look_up(values: Table, index: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """values[index] for 256 values and an array of any shape; bytes.translate does it four times as fast as numpy."""
    found = bytearray(index.tobytes().translate(values.tobytes()))
    return np.frombuffer(found, dtype=np.uint8).reshape(index.shape)
