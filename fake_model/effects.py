"""What moves within the picture: mirroring water, light on it, rain and snow.

numpy's passes over whole planes are bound by memory, so each effect keeps its scratch arrays from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fake_model.elements import PERIOD_SECONDS, SINE, Plane, Planes, Stage


class Mirror:
    """Water: the rows above the horizon, mirrored through a moving table of rows and pulled toward the water's colour.

    Args:
        stage: the frame.
        horizon: even first row of water.
        bottom: even first row below the water.
        tint: (rows, 3) YUV colour of the water by row.
        swell: amplitude of the ripples in pixels at the near edge.
    """

    def __init__(self, stage: Stage, horizon: int, bottom: int, tint: npt.NDArray[np.uint8], swell: float) -> None:
        rows = bottom - horizon
        self.horizon, self.bottom, self.fps = horizon, bottom, stage.fps
        distance = np.arange(rows, dtype=np.int32)
        squeeze = min(256, max(64, (horizon - 2) * 256 // max(rows, 1)))
        self.base = horizon - 1 - (distance * squeeze >> 8)
        near = distance / max(rows, 1)
        self.amplitude = np.round(stage.unit * swell * (0.12 + near) * 256).astype(np.int32)
        # Far ripples are closer together: phase grows with the inverse of the distance below the horizon.
        depth = stage.unit * 0.045
        self.phase = np.round(9.0 * 1024 * (1.0 - depth / (distance + depth))).astype(np.int32) * 3
        tint = tint[:rows]
        self.add = tuple((tint[:: 1 if part == 0 else 2, part] >> 2)[:, None] for part in range(3))
        self._scratch = np.empty((2, rows * stage.width), dtype=np.uint8)

    def trim(self, floor: int) -> int:
        if self.bottom < floor:
            return floor
        self.bottom = max(self.horizon, floor)
        rows = self.bottom - self.horizon
        self.base, self.amplitude, self.phase = self.base[:rows], self.amplitude[:rows], self.phase[:rows]
        self.add = tuple(add[: rows if part == 0 else rows // 2] for part, add in enumerate(self.add))
        return min(floor, self.horizon)

    def draw(self, planes: Planes, tick: int) -> None:
        if self.bottom == self.horizon:
            return
        turn = tick * 1024 // self.fps
        wave = SINE[(self.phase - turn) & 1023] + (SINE[(self.phase * 2 + self.phase // 3 - turn * 2) & 1023] >> 1)
        source = np.clip(self.base + ((self.amplitude * (wave >> 4)) >> 19), 0, self.horizon - 1)
        half = (source >> 1)[::2]
        for part, plane in enumerate(planes):
            scale = 1 if part == 0 else 2
            rows, width = (self.bottom - self.horizon) // scale, plane.shape[1]
            picture, quarter = (flat[: rows * width].reshape(rows, width) for flat in self._scratch)
            np.take(plane, source if part == 0 else half, axis=0, out=picture, mode="clip")
            np.right_shift(picture, np.uint8(2), out=quarter)
            np.subtract(picture, quarter, out=picture)
            np.add(picture, self.add[part], out=plane[self.horizon // scale : self.bottom // scale])


class Glints:
    """Light on moving water: where two wave fields that slide against each other are both high, up to a fixed limit.

    Args:
        first, second: (rows, width + travel) uint8 wave fields.
        limit: (rows, width) uint8, at most 60; the brightest a glint may be.
        top: first row on screen.
        slide: (rows,) pixels a second by row; nearer rows move faster.
        stage: the frame.
    """

    CEILING = 195

    def __init__(
        self, first: Plane, second: Plane, limit: Plane, top: int, slide: npt.NDArray[np.float64], stage: Stage
    ) -> None:
        self.limit, self.top = limit, top
        # A row, because numpy's minimum with a scalar is ten times slower.
        self.ceiling = np.full(limit.shape[1], self.CEILING, dtype=np.uint8)
        rows, width = limit.shape
        stride = first.shape[1]
        self.windows = tuple(np.lib.stride_tricks.sliding_window_view(f.reshape(-1), width) for f in (first, second))
        self.starts = np.arange(rows, dtype=np.int64) * stride
        self.room = stride - width
        self.stage = stage
        self.slide = np.round(slide * 256 / stage.fps).astype(np.int64)

    def trim(self, floor: int) -> int:
        rows = max(0, floor - self.top)
        self.limit, self.starts, self.slide = self.limit[:rows], self.starts[:rows], self.slide[:rows]
        return floor

    def draw(self, planes: Planes, tick: int) -> None:
        rows = self.limit.shape[0]
        moved = np.minimum(self.slide * self.stage.camera(tick) >> 16, self.room)
        light = self.windows[0][self.starts + moved]
        np.minimum(light, self.windows[1][self.starts + self.room - moved], out=light)
        np.minimum(light, self.limit, out=light)
        water = planes.y[self.top : self.top + rows]
        np.minimum(water, self.ceiling, out=water)
        np.add(water, light, out=water)


@dataclass(frozen=True)
class Tile:
    """One depth of rain or snow.

    Args:
        light: (period + frame height, frame width + slant room) uint8, repeating every `period` rows.
        period: rows after which it repeats.
        fall: pixels a second downward, about: it falls a whole number of tiles in `PERIOD_SECONDS`.
        slant: pixels a second sideways.
    """

    light: Plane
    period: int
    fall: float
    slant: float

    def at(self, tick: int, stage: Stage) -> Plane:
        """The window of a frame, of shape (height, width)."""
        rounds = max(1, round(self.fall * PERIOD_SECONDS / self.period))
        start = -(rounds * self.period * tick // (stage.fps * PERIOD_SECONDS)) % self.period
        room = self.light.shape[1] - stage.width
        shift = min(round(self.slant * stage.camera(tick) / (256 * stage.fps)), room)
        return self.light[start : start + stage.height, shift : shift + stage.width]


class Fall:
    """Rain or snow in two depths, the brighter one where they meet, added to luma under a ceiling.

    Args:
        tiles: the far and the near depth.
        stage: the frame.
        ceiling: the brightest the scene may be beneath; ceiling + the tiles' maximum stays below 256.
    """

    def __init__(self, tiles: tuple[Tile, Tile], stage: Stage, ceiling: int) -> None:
        self.tiles, self.stage = tiles, stage
        # A row, because numpy's minimum with a scalar is ten times slower.
        self.ceiling = np.full(stage.width, ceiling, dtype=np.uint8)
        self._light = np.empty((60, stage.width), dtype=np.uint8)

    def trim(self, floor: int) -> int:
        return floor

    def draw(self, planes: Planes, tick: int) -> None:
        far, near = (tile.at(tick, self.stage) for tile in self.tiles)
        band = self._light.shape[0]
        for first in range(0, planes.y.shape[0], band):
            luma, rows = planes.y[first : first + band], slice(first, first + band)
            light = self._light[: luma.shape[0]]
            np.maximum(far[rows], near[rows], out=light)
            np.minimum(luma, self.ceiling, out=luma)
            np.add(luma, light, out=luma)
