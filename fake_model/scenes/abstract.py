"""Abstract flows, and space."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fake_model.elements import SINE, Backdrop, Element, Plane, Planes, Shorts, Stage
from fake_model.noise import Dice, fbm, hash_grid, mix, value_noise
from fake_model.palette import Palette, Table, blend, look_up
from fake_model.scenes.subjects import paint_subject
from fake_model.text_encoder import PromptEmbeds


class Flow:
    """Two smooth fields that slide through each other; their sum, wrapping at 256, walks a palette that closes on
    itself.

    Looking up a colour per pixel is the dearest thing a frame can ask of numpy, so it is done for one pixel of four
    (chroma: of sixteen) and the ones between are means of their neighbours.

    Args:
        stage: the frame.
        first, second: (height / 2, (width + room) / 2) uint8 fields, widths even.
        table: (256, 3) YUV colours whose last and first are neighbours.
    """

    def __init__(self, stage: Stage, first: Plane, second: Plane, table: Table) -> None:
        rows, width = stage.height // 2, stage.width // 2
        self._room, self._shape = first.shape[1] - width, (rows, width)
        views = np.lib.stride_tricks.sliding_window_view
        self._fields = tuple(views(field.reshape(-1), width) for field in (first, second))
        self._starts = np.arange(rows, dtype=np.int64) * first.shape[1]
        self._tables = tuple(table[:, part].tobytes() * 2 for part in range(3))
        self._rows = np.arange(rows, dtype=np.int64) * 2048 // max(1, stage.unit)
        self._stage = stage

    def trim(self, floor: int) -> int:
        return 0

    def draw(self, planes: Planes, tick: int) -> None:
        turn = round(self._stage.camera(tick) * 4 * self._stage.pace) // self._stage.fps
        half = self._room // 2
        sway = (half * SINE[(self._rows * 2 // 3 + turn // 7) & 1023].astype(np.int64)) >> 15
        lean = (half * SINE[(self._rows // 2 + 300 - turn // 11) & 1023].astype(np.int64)) >> 15
        field = self._fields[0][self._starts + half + sway]
        np.add(field, self._fields[1][self._starts + half + lean], out=field)
        # Walking the palette is a rotation of its table.
        first = turn // 16 & 255
        small = np.ascontiguousarray(field[::2, ::2])
        for part, plane in enumerate(planes):
            source = small if part else field
            index = source.tobytes().translate(self._tables[part][first : first + 256])
            double(np.frombuffer(index, dtype=np.uint8).reshape(source.shape), plane)


#: Rows doubled at a time, so that they stay in the core's cache between passes.
_BAND = 36


def double(source: Plane, target: Plane) -> None:
    """Enlarge by two both ways, new pixels being means of their neighbours.

    Args:
        source: (rows, columns).
        target: (2 * rows, 2 * columns), or up to one row and column less; written.
    """
    for first in range(0, source.shape[0], _BAND):
        # One row more, for the means at the lower border.
        lines = _widened(source[first : first + _BAND + 1])[:, : target.shape[1]]
        area = target[first * 2 : (first + _BAND) * 2]
        even, between = area[::2], area[1::2]
        even[...] = lines[: even.shape[0]]
        inner = min(lines.shape[0] - 1, between.shape[0])
        lower, upper = _halves(lines)
        np.add(upper[:inner], lower[1 : inner + 1], out=between[:inner])
        between[inner:] = lines[-1]


def _widened(source: Plane) -> Plane:
    """(rows, 2 * columns): each pixel and the mean of it and the next."""
    lower, upper = _halves(source)
    np.add(upper[:, :-1], lower[:, 1:], out=upper[:, :-1])
    upper[:, -1] = source[:, -1]
    # The two are the low and the high byte of one number: interleaving without strides.
    wide = upper.astype("<u2")
    np.left_shift(wide, np.uint16(8), out=wide)
    np.bitwise_or(wide, source, out=wide)
    return wide.view(np.uint8)


def _halves(source: Plane) -> tuple[Plane, Plane]:
    """Half of every pixel, rounded down and rounded up: one of each adds up to a mean that fits a byte."""
    lower = source >> np.uint8(1)
    return lower, source - lower


def paint_abstract(stage: Stage, embeds: PromptEmbeds, palette: Palette) -> Iterator[Element | None]:
    """Folded ribbons of the palette's colours."""
    room = stage.unit // 5
    fields = []
    for turn, (cell_y, cell_x, turns) in enumerate(((0.50, 0.9, 3.4), (0.8, 0.55, 2.2))):
        seed, wide = mix(stage.seed, 90, turn), stage.width // 2 + room
        field = fbm(seed, stage.height // 2, wide, stage.unit / 2 * cell_y, stage.unit / 2 * cell_x, 3)
        fields.append((field * np.float32(256 * turns)).astype(np.int32).astype(np.uint8))
    dark, names = palette["near"], ("zenith", "middle", "horizon", "glow", "cloud", "water")
    offset = mix(stage.seed, 91) % len(names)
    ring = [palette[names[(offset + place) % len(names)]] for place in range(4)]
    stops = [(0, dark), (28, ring[0]), (70, blend(ring[1], palette["core"], 0.12)), (100, ring[1]), (132, dark)]
    stops += [(160, ring[2]), (196, blend(ring[3], palette["core"], 0.35)), (226, ring[3]), (255, dark)]
    yield Flow(stage, fields[0], fields[1], palette.table(stops))
    yield from paint_subject(stage, embeds, palette)


class Planet:
    """A sphere that turns: rows of a texture, bent by a table of columns, shaded by a fixed light.

    Args:
        texture: (diameter, columns) uint8 tones; wraps around.
        stage: the frame.
        top, left: even corner of its square.
        table: (256, 3) YUV colours.
        light: (x, y) of the direction that the light comes from.
    """

    def __init__(
        self, texture: Plane, stage: Stage, top: int, left: int, table: Table, light: tuple[float, float]
    ) -> None:
        size = texture.shape[0]
        self._top, self._left, self._size, self._stage = top, left, size, stage
        axis = (np.arange(size, dtype=np.float64) + 0.5) * (2.0 / size) - 1.0
        x, y = axis[None, :], axis[:, None]
        inside = x * x + y * y < 1.0
        z = np.sqrt(np.maximum(0.0, 1.0 - x * x - y * y))
        reach = np.sqrt(np.maximum(1e-9, 1.0 - y * y))
        across = np.clip(x / reach, -1, 1)
        # The odd polynomial stands for asin: close enough for a globe, and the same on every libm.
        bent = across * (0.62 + 0.16 * across * across + 0.22 * across**8)
        wrap = texture.shape[1]
        columns = np.round((bent + 1.0) * wrap / 4).astype(np.intp)
        places = columns + np.arange(size, dtype=np.intp)[:, None] * (wrap * 2)
        day = np.clip((x * light[0] + y * light[1] + z * 0.55) * 1.5 + 0.12, 0.0, 1.0)
        edge = np.clip((1.0 - np.sqrt(x * x + y * y)) * size / 3.0, 0.0, 1.0)
        weight = np.where(inside, np.round(day * edge * 256), 0).astype(np.uint16)
        keep = np.where(inside, np.uint8(0), np.uint8(255))
        # Twice around, so that a turn is a slice; with room at the end for the last row's.
        index = np.append(np.concatenate([texture, texture], axis=1).reshape(-1), np.zeros(wrap, dtype=np.uint8))
        self._wrap = wrap
        self._faces = tuple(_Face(table[:, part], index, places, weight, keep, part) for part in range(3))

    def trim(self, floor: int) -> int:
        return floor

    def draw(self, planes: Planes, tick: int) -> None:
        turn = self._stage.camera(tick) * self._wrap // (256 * self._stage.fps * 26) % self._wrap
        for part, plane in enumerate(planes):
            step = 1 if part == 0 else 2
            rows = slice(self._top // step, (self._top + self._size) // step)
            columns = slice(self._left // step, (self._left + self._size) // step)
            self._faces[part].draw(plane[rows, columns], turn)


class _Face:
    """A planet in one plane.

    Args:
        table: (256,) values of the plane.
        index: flat tones of the texture.
        places: (size, size) where in `index` a pixel is found before any turn.
        weight: (size, size) daylight, 0..256.
        keep: (size, size) 255 outside the disc.
        part: 0 for luma, 1 or 2 for chroma, which has every second pixel.
    """

    def __init__(
        self, table: Plane, index: Plane, places: npt.NDArray[np.intp], weight: Shorts, keep: Plane, part: int
    ) -> None:
        step = 2 if part else 1
        self._texture = table[index].astype(np.uint16)
        self._places = np.ascontiguousarray(places[::step, ::step])
        self._weight = np.ascontiguousarray(weight[::step, ::step])
        self._keep = np.ascontiguousarray(keep[::step, ::step])
        dark = np.uint16(128 if part else 18) * (np.uint16(256) - self._weight)
        self._night = np.where(self._keep == 0, dark, np.uint16(0))
        self._colour = np.empty_like(self._weight)

    def draw(self, area: Plane, turn: int) -> None:
        np.take(self._texture[turn:], self._places, out=self._colour, mode="clip")
        self._colour *= self._weight
        self._colour += self._night
        self._colour >>= np.uint16(8)
        np.bitwise_and(area, self._keep, out=area)
        np.bitwise_or(area, self._colour.astype(np.uint8), out=area)


def paint_space(stage: Stage, embeds: PromptEmbeds, palette: Palette) -> Iterator[Element | None]:
    """A nebula full of stars, a turning planet, and a small moon before it."""
    yield _nebula(stage, palette)
    dice = Dice(mix(stage.seed, 95))
    size = stage.px(dice.between(0.50, 0.62)) // 2 * 2
    side = 1 if dice.unit() < 0.5 else -1
    left = int(stage.width * (0.5 + 0.16 * side) - size / 2) // 2 * 2
    left = max(8, min(left, stage.width - size - 8)) // 2 * 2
    top = int(stage.height * 0.44 - size / 2) // 2 * 2
    yield _planet(stage, palette, 1, size, top, left, -side)
    small = size // 7 * 2
    yield _planet(
        stage, palette, 2, small, min(top + size * 2 // 3, stage.height - small) // 2 * 2,
        max(4, min(left + (size - small // 2 if side < 0 else -small // 2), stage.width - small - 4)) // 2 * 2, -side,
    )  # fmt: skip
    yield from paint_subject(stage, embeds, palette)


def _planet(stage: Stage, palette: Palette, layer: int, size: int, top: int, left: int, side: int) -> Planet:
    seed = mix(stage.seed, 96, layer)
    wide = size * 2
    texture = fbm(seed, size, wide, size * 0.30, size * 0.36, 5)
    bands = value_noise(mix(seed, 1), size, 2, size * 0.07, 64)[:, :1]
    tone = texture * np.float32(170) + (bands - np.float32(0.5)) * np.float32(110 if seed % 2 else 30)
    # Fade the last part into the first, so that the turn has no seam.
    fade = np.clip((np.arange(wide, dtype=np.float32) - wide * 3 // 4) / np.float32(wide / 4), 0, 1)[None, :]
    tone = tone * (np.float32(1) - fade) + np.roll(tone, wide // 4, axis=1)[:, ::-1] * fade
    index = np.clip(tone + np.float32(10), 0, 255).astype(np.uint8)
    colours = ("rock", "rock_lit", "cloud") if layer == 2 else ("water", "far", "glow")
    table = palette.table(
        [
            (20, palette[colours[0]]),
            (110, blend(palette[colours[1]], palette["horizon"], 0.5)),
            (190, palette[colours[2]]),
        ]
    )
    return Planet(index, stage, top, left, table, (0.78 * side, -0.42))


def _nebula(stage: Stage, palette: Palette) -> Backdrop:
    height, width, unit = stage.height, stage.width, stage.unit
    first = fbm(mix(stage.seed, 97), height, width, unit * 0.42, unit * 0.52, 5)
    second = fbm(mix(stage.seed, 98), height, width, unit * 0.6, unit * 0.4, 3)
    cloud = np.clip((first - np.float32(0.40)) * np.float32(2.6), 0, 1) * np.clip((second - np.float32(0.28)) * 2, 0, 1)
    grain = (hash_grid(mix(stage.seed, 99), height, width) >> np.uint32(24)).astype(np.float32) * np.float32(1 / 256)
    index = np.clip(cloud * np.float32(230) + grain, 0, 255).astype(np.uint8)
    black = blend((4, 5, 14), palette["zenith"], 0.12)
    table = palette.table(
        [(0, black), (80, blend(black, palette["middle"], 0.5)), (170, palette["middle"]), (255, palette["horizon"])]
    )
    half = index[::2, ::2]
    picture = Planes(look_up(table[:, 0], index), look_up(table[:, 1], half), look_up(table[:, 2], half))
    dice = Dice(mix(stage.seed, 94))
    for _ in range(int(420 * width * height / (unit * unit))):
        row, column, bright = int(dice.unit() * (height - 6)), int(dice.unit() * (width - 6)), dice.unit()
        side = max(1, unit // 540) + (1 if bright > 0.9 else 0)
        spot = picture.y[row : row + side, column : column + side]
        np.maximum(spot, np.uint8(int(70 + 165 * bright * bright * bright)), out=spot)
    return Backdrop(picture)
