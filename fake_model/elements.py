"""What a frame is drawn from: elements that write straight into yuv420p planes with integer numpy.

An element is painted once, larger than the frame where it scrolls, and drawn per frame by copying windows of it. Masks
are bytes of 0 or 255 used with `&` and `|`: `np.where` and `np.copyto(where=...)` are far slower on whole planes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fake_model.palette import Table

Plane = npt.NDArray[np.uint8]
Shorts = npt.NDArray[np.uint16]

SINE = np.array([round(math.sin(2 * math.pi * step / 1024) * 32767) for step in range(1024)], dtype=np.int32)


@dataclass(frozen=True)
class Planes:
    """Views of one yuv420p buffer: y (height, width), u and v (height / 2, width / 2), all uint8."""

    y: Plane
    u: Plane
    v: Plane

    @classmethod
    def over(cls, buffer: Plane, width: int, height: int) -> Planes:
        """Planes of a flat buffer of width * height * 3 / 2 bytes."""
        luma, chroma = width * height, (width // 2) * (height // 2)
        half = (height // 2, width // 2)
        return cls(
            buffer[:luma].reshape(height, width),
            buffer[luma : luma + chroma].reshape(half),
            buffer[luma + chroma :].reshape(half),
        )


class Element(Protocol):
    """Anything that draws itself onto the planes; tick counts frames since the motion began, 0 while it is refined."""

    def draw(self, planes: Planes, tick: int) -> None: ...


@dataclass(frozen=True)
class Drift:
    """A pan that starts softly and then keeps its pace.

    Args:
        speed: 1/256 pixel per frame.
        ease: frames until full pace.
        travel: the largest offset, in pixels; the canvas is that much wider than the frame.
        backwards: run from `travel` to 0.
    """

    speed: int
    ease: int
    travel: int
    backwards: bool

    def at(self, tick: int) -> int:
        """Offset in pixels at a frame, 0..travel."""
        eased = tick * tick * 128 // self.ease if tick < self.ease else tick * 256 - self.ease * 128
        moved = min((self.speed * eased) >> 16, self.travel)
        return self.travel - moved if self.backwards else moved


@dataclass(frozen=True)
class Stage:
    """The frame's geometry and time, as the painters see it.

    Args:
        width, height: pixels, even.
        fps: frames per second.
        frames: frames of motion.
        seed: 32-bit number that every choice of the painters derives from.
        pace: factor on all speeds.
        backwards: pan to the left.
    """

    width: int
    height: int
    fps: int
    frames: int
    seed: int
    pace: float = 1.0
    backwards: bool = False

    @property
    def unit(self) -> int:
        """The shorter side; sizes of things are fractions of it."""
        return min(self.width, self.height)

    def even(self, share: float) -> int:
        """A row at a share of the height, on an even row so that chroma lines up."""
        return int(self.height * share) // 2 * 2

    def px(self, share: float, least: int = 1) -> int:
        """A length as a share of the unit."""
        return max(least, round(self.unit * share))

    def drift(self, rate: float) -> Drift:
        """A pan of `rate` units a second at full pace."""
        speed = round(self.unit * rate * self.pace * 256 / self.fps)
        # Even, so that the canvas has whole chroma samples.
        travel = ((speed * self.frames >> 8) + 3) // 2 * 2
        return Drift(speed, max(1, self.fps * 4 // 5), travel, self.backwards)


@dataclass(frozen=True)
class Backdrop:
    """An opaque picture that stands still; covers the top rows."""

    picture: Planes

    def draw(self, planes: Planes, tick: int) -> None:
        rows = self.picture.y.shape[0]
        planes.y[:rows] = self.picture.y
        planes.u[: rows // 2] = self.picture.u
        planes.v[: rows // 2] = self.picture.v


@dataclass(frozen=True)
class Veil:
    """Clouds over a sky whose colour depends on the row only: luma by maximum, chroma by a wrapping difference.

    Both are exact alpha blending except where the sky is brighter than the cloud, which is where the sun shines
    through.
    """

    picture: Planes
    top: int
    drift: Drift

    def draw(self, planes: Planes, tick: int) -> None:
        width = planes.y.shape[1]
        start = self.drift.at(tick)
        half = start // 2
        rows = slice(self.top, self.top + self.picture.y.shape[0])
        half_rows = slice(self.top // 2, self.top // 2 + self.picture.u.shape[0])
        y = planes.y[rows]
        np.maximum(y, self.picture.y[:, start : start + width], out=y)
        for plane, change in ((planes.u[half_rows], self.picture.u), (planes.v[half_rows], self.picture.v)):
            np.add(plane, change[:, half : half + width // 2], out=plane)


class Cutout:
    """A scrolling picture with transparent parts, painted as palette indices.

    Args:
        index: (rows, frame width + travel) uint8; 0 is transparent.
        table: (256, 3) YUV colours.
        top: even first row on screen.
        drift: the pan.
        haze: (rows,) weights 0..256 and the YUV colour they pull toward, or None.
        bob: amplitude in pixels and period in frames of a vertical sway.
    """

    def __init__(
        self,
        index: Plane,
        table: Table,
        top: int,
        drift: Drift,
        haze: tuple[Shorts, tuple[int, int, int]] | None = None,
        bob: tuple[int, int] = (0, 1),
    ) -> None:
        index = index[: index.shape[0] // 2 * 2, : index.shape[1] // 2 * 2]
        small = index[::2, ::2]
        self.top, self.drift, self.bob = top, drift, bob
        pictures = []
        for part, (source, step) in enumerate(((index, 1), (small, 2), (small, 2))):
            picture = np.take(table[:, part], source)
            if haze is not None:
                weights = haze[0][: index.shape[0] : step, None]
                mixed = picture.astype(np.uint16) * (np.uint16(256) - weights)
                mixed += weights * np.uint16(haze[1][part])
                picture = (mixed >> np.uint16(8)).astype(np.uint8)
            picture[source == 0] = 0
            pictures.append(picture)
        self.picture = Planes(*pictures)
        holes = (index == 0).any(axis=1)
        last = int(np.flatnonzero(holes)[-1]) + 1 if holes.any() else 0
        self.solid = (last + 1) // 2 * 2
        self.keep = np.where(index[: self.solid] == 0, np.uint8(255), np.uint8(0))
        self.keep_half = np.ascontiguousarray(self.keep[::2, ::2])

    def draw(self, planes: Planes, tick: int) -> None:
        height, width = planes.y.shape
        start = self.drift.at(tick)
        amplitude, period = self.bob
        sway = int(amplitude * SINE[tick * 1024 // period & 1023]) >> 15
        top = (self.top + sway) // 2 * 2
        rows = min(self.picture.y.shape[0], height - top)
        solid = min(self.solid, rows)
        self._put(planes.y[top:], self.picture.y, self.keep, solid, rows, start, width)
        half = (solid // 2, rows // 2, start // 2, width // 2)
        self._put(planes.u[top // 2 :], self.picture.u, self.keep_half, *half)
        self._put(planes.v[top // 2 :], self.picture.v, self.keep_half, *half)

    @staticmethod
    def _put(target: Plane, picture: Plane, keep: Plane, solid: int, rows: int, start: int, width: int) -> None:
        window = slice(start, start + width)
        upper = target[:solid]
        np.bitwise_and(upper, keep[:solid, window], out=upper)
        np.bitwise_or(upper, picture[:solid, window], out=upper)
        target[solid:rows] = picture[solid:rows, window]


class Stamp:
    """A small picture with soft edges: alpha blended into its own rectangle of the three planes.

    Args:
        alpha: (rows, columns) weights 0..256, even shape.
        colour: three arrays broadcastable to (rows, columns): Y, U, V, 0..255.
    """

    def __init__(self, alpha: npt.NDArray[np.int64], colour: Sequence[npt.ArrayLike]) -> None:
        half_alpha = (alpha[::2, ::2] + alpha[1::2, ::2] + alpha[::2, 1::2] + alpha[1::2, 1::2] + 2) >> 2
        self.shape = (alpha.shape[0], alpha.shape[1])
        self._keep: list[Shorts] = []
        self._add: list[Shorts] = []
        for part, weight in enumerate((alpha, half_alpha, half_alpha)):
            value = np.broadcast_to(np.asarray(colour[part], dtype=np.int64), alpha.shape)
            value = value if part == 0 else value[::2, ::2]
            self._keep.append((256 - weight).astype(np.uint16))
            self._add.append((value * weight).astype(np.uint16))

    def put(self, planes: Planes, top: int, left: int) -> None:
        """Blend at even (top, left); parts outside the frame are left out."""
        height, width = planes.y.shape
        rows, columns = self.shape
        first, last = max(top, 0), min(top + rows, height)
        begin, end = max(left, 0), min(left + columns, width)
        if first >= last or begin >= end:
            return
        for part, plane in enumerate((planes.y, planes.u, planes.v)):
            scale = 1 if part == 0 else 2
            here = (slice(first // scale, last // scale), slice(begin // scale, end // scale))
            there = (
                slice((first - top) // scale, (last - top) // scale),
                slice((begin - left) // scale, (end - left) // scale),
            )
            mixed = plane[here] * self._keep[part][there]
            mixed += self._add[part][there]
            mixed >>= np.uint16(8)
            plane[here] = mixed


@dataclass(frozen=True)
class Sprite:
    """A subject: a cycle of stamps on a path.

    Args:
        poses: the cycle.
        poses_per_second: how fast it runs.
        fps: frames per second.
        place: frame -> (top, left) in pixels.
    """

    poses: Sequence[Stamp]
    poses_per_second: float
    fps: int
    place: Callable[[int], tuple[int, int]]

    def draw(self, planes: Planes, tick: int) -> None:
        pose = self.poses[int(tick * self.poses_per_second / self.fps) % len(self.poses)]
        top, left = self.place(tick)
        pose.put(planes, top // 2 * 2, left // 2 * 2)


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

    def draw(self, planes: Planes, tick: int) -> None:
        turn = tick * 1024 // self.fps
        wave = SINE[(self.phase - turn) & 1023] + (SINE[(self.phase * 2 + self.phase // 3 - turn * 2) & 1023] >> 1)
        source = np.clip(self.base + ((self.amplitude * (wave >> 4)) >> 19), 0, self.horizon - 1)
        half = (source >> 1)[::2]
        for part, plane in enumerate((planes.y, planes.u, planes.v)):
            scale = 1 if part == 0 else 2
            picture = plane[source if part == 0 else half]
            picture -= picture >> np.uint8(2)
            picture += self.add[part]
            plane[self.horizon // scale : self.bottom // scale] = picture


class Glints:
    """Light on moving water: where two wave fields that slide against each other are both high, up to a fixed limit.

    Args:
        first, second: (rows, width + travel) uint8 wave fields.
        limit: (rows, width) uint8, at most 60; the brightest a glint may be.
        top: first row on screen.
        slide: (rows,) pixels a second by row; nearer rows move faster.
        fps: frames per second.
    """

    CEILING = 195

    def __init__(
        self, first: Plane, second: Plane, limit: Plane, top: int, slide: npt.NDArray[np.float64], fps: int
    ) -> None:
        self.limit, self.top = limit, top
        # A row, because numpy's minimum with a scalar is ten times slower.
        self.ceiling = np.full(limit.shape[1], self.CEILING, dtype=np.uint8)
        rows, width = limit.shape
        stride = first.shape[1]
        self.windows = tuple(np.lib.stride_tricks.sliding_window_view(f.reshape(-1), width) for f in (first, second))
        self.starts = np.arange(rows, dtype=np.int64) * stride
        self.room = stride - width
        self.slide = np.round(slide * 256 / fps).astype(np.int64)

    def draw(self, planes: Planes, tick: int) -> None:
        rows = self.limit.shape[0]
        moved = np.minimum(self.slide * tick >> 8, self.room)
        light = self.windows[0][self.starts + moved]
        np.minimum(light, self.windows[1][self.starts + self.room - moved], out=light)
        np.minimum(light, self.limit, out=light)
        water = planes.y[self.top : self.top + rows]
        np.minimum(water, self.ceiling, out=water)
        np.add(water, light, out=water)


class Fall:
    """Rain or snow: a tile of light that falls over the whole frame, added to luma under a ceiling.

    Args:
        tile: (tile rows + frame height, frame width + slant room) uint8, repeating every `period` rows.
        period: rows after which the tile repeats.
        fall: pixels a second downward.
        slant: pixels a second sideways.
        fps: frames per second.
        ceiling: the brightest the scene may be beneath; ceiling + the tile's maximum stays below 256.
    """

    def __init__(self, tile: Plane, period: int, fall: float, slant: float, fps: int, ceiling: int) -> None:
        self.tile, self.period = tile, period
        self.ceiling = np.full(tile.shape[1], ceiling, dtype=np.uint8)
        self.fall = round(fall * 256 / fps)
        self.slant = round(slant * 256 / fps)

    def draw(self, planes: Planes, tick: int) -> None:
        height, width = planes.y.shape
        start = -(self.fall * tick >> 8) % self.period
        shift = (self.slant * tick >> 8) % (self.tile.shape[1] - width)
        np.minimum(planes.y, self.ceiling[:width], out=planes.y)
        np.add(planes.y, self.tile[start : start + height, shift : shift + width], out=planes.y)
