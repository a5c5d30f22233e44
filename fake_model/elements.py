"""What a frame is drawn from: elements that write straight into yuv420p planes with integer numpy.

An element is painted once, larger than the frame where it scrolls, and drawn per frame by copying windows of it. Masks
are bytes of 0 or 255 used with `&` and `|`: `np.where` and `np.copyto(where=...)` are far slower on whole planes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fake_model.palette import Table, look_up

Plane = npt.NDArray[np.uint8]
Shorts = npt.NDArray[np.uint16]

SINE = np.array([round(math.sin(2 * math.pi * step / 1024) * 32767) for step in range(1024)], dtype=np.int32)


class Planes(NamedTuple):
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
    """Anything that draws itself onto the planes."""

    def draw(self, planes: Planes, tick: int) -> None:
        """Draw; tick counts frames since the motion began, 0 while it is refined."""

    def trim(self, floor: int) -> int:
        """Spare the rows from `floor` (even) on, which nobody will see; return the first row, even and at most
        `floor`, from which this element in turn hides everything behind it down to `floor`."""


def trim_hidden(elements: Sequence[Element], height: int) -> None:
    """Tell every element of a scene, back to front, which rows the ones before it hide."""
    floor = height
    for element in reversed(elements):
        floor = element.trim(floor)


@dataclass(frozen=True)
class Drift:
    """A pan.

    Args:
        speed: 1/256 pixel per frame.
        stage: whose camera it follows.
        travel: the largest offset, in pixels; the canvas is that much wider than the frame.
        backwards: run from `travel` to 0.
    """

    speed: int
    stage: Stage
    travel: int
    backwards: bool

    def at(self, tick: int) -> int:
        """Offset in pixels at a frame, 0..travel."""
        moved = min((self.speed * self.stage.camera(tick)) >> 16, self.travel)
        return self.travel - moved if self.backwards else moved


#: Whatever is periodic repeats after this many seconds, so that a model whose camera has returned by then loops.
PERIOD_SECONDS = 4


@dataclass(frozen=True)
class Stage:
    """The frame's geometry and time, as the painters see it.

    Args:
        width, height: pixels, even.
        fps: frames per second.
        seed: 32-bit number that every choice of the painters derives from.
        pace: factor on all speeds.
        backwards: pan to the left.
        turn_seconds: until the camera turns back; of the model, so that the scene does not depend on the clip's length.
    """

    width: int
    height: int
    fps: int
    seed: int
    pace: float = 1.0
    backwards: bool = False
    turn_seconds: int = 8

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

    def camera(self, tick: int) -> int:
        """How far the camera has come, in 1/256 frames at full pace: there and back, softly at both ends."""
        span, ease = self.fps * self.turn_seconds, max(1, self.fps * 4 // 5)
        tick %= 2 * span
        tick = min(tick, 2 * span - tick)
        if tick < ease:
            return tick * tick * 128 // ease
        if span - tick < ease:
            return (span - ease) * 256 - (span - tick) ** 2 * 128 // ease
        return tick * 256 - ease * 128

    def drift(self, rate: float) -> Drift:
        """A pan of `rate` units a second at full pace."""
        speed = round(self.unit * rate * self.pace * 256 / self.fps)
        # Even, so that the canvas has whole chroma samples.
        travel = ((speed * self.camera(self.fps * self.turn_seconds) >> 16) + 3) // 2 * 2
        return Drift(speed, self, travel, self.backwards)


class Backdrop:
    """An opaque picture that stands still; covers the top rows."""

    def __init__(self, picture: Planes) -> None:
        self._picture, self._floor = picture, picture.y.shape[0]

    def trim(self, floor: int) -> int:
        self._floor = min(self._floor, floor)
        return 0 if self._floor == floor else floor

    def draw(self, planes: Planes, tick: int) -> None:
        for plane, own, step in zip(planes, self._picture, (1, 2, 2), strict=True):
            rows = self._floor // step
            plane[:rows] = own[:rows]


class Sky:
    """A still sky with clouds that cross it: luma by maximum, chroma by a wrapping difference.

    Both are exact alpha blending except where the sky is brighter than the cloud, which is where the sun shines
    through.

    Args:
        still: the sky, as wide as the frame.
        clouds: (fewer rows, frame width + travel); chroma as differences to the sky's.
        drift: the clouds' pan.
    """

    def __init__(self, still: Planes, clouds: Planes, drift: Drift) -> None:
        self._still, self._clouds, self._drift, self._floor = still, clouds, drift, still.y.shape[0]

    def trim(self, floor: int) -> int:
        self._floor = min(self._floor, floor)
        return 0 if self._floor == floor else floor

    def draw(self, planes: Planes, tick: int) -> None:
        start = self._drift.at(tick)
        for part, (plane, still, clouds) in enumerate(zip(planes, self._still, self._clouds, strict=True)):
            step = 2 if part else 1
            floor = self._floor // step
            rows = min(clouds.shape[0], floor)
            window = clouds[:rows, start // step : start // step + plane.shape[1]]
            join = np.add if part else np.maximum
            join(still[:rows], window, out=plane[:rows])
            plane[rows:floor] = still[rows:floor]


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
            picture = look_up(table[:, part], source)
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
        self.floor = top + index.shape[0] + bob[0]

    def trim(self, floor: int) -> int:
        self.floor = floor
        # Swaying leaves a gap of up to the amplitude at either edge of what is always covered.
        reach = (self.bob[0] + 1) // 2 * 2
        if self.top - reach + self.picture.y.shape[0] < floor:
            return floor
        return min(floor, max(0, self.top + reach + self.solid))

    def draw(self, planes: Planes, tick: int) -> None:
        height, width = planes.y.shape
        start = self.drift.at(tick)
        amplitude, period = self.bob
        sway = int(amplitude * SINE[tick * 1024 // period & 1023]) >> 15
        top = (self.top + sway) // 2 * 2
        rows = max(0, min(self.picture.y.shape[0], height - top, self.floor - top))
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
        corner: even (top, left) of `alpha` within the whole, where empty rows and columns have been cut off.
        shape: (rows, columns) of the whole; None for that of `alpha`.
    """

    def __init__(
        self,
        alpha: npt.NDArray[np.int32],
        colour: Sequence[npt.ArrayLike],
        corner: tuple[int, int] = (0, 0),
        shape: tuple[int, int] | None = None,
    ) -> None:
        self._corner, self._size = corner, (alpha.shape[0], alpha.shape[1])
        self.shape = shape or self._size
        half_alpha = (alpha[::2, ::2] + alpha[1::2, ::2] + alpha[::2, 1::2] + alpha[1::2, 1::2] + 2) >> 2
        self._keep: list[Shorts] = []
        self._add: list[Shorts] = []
        for part, weight in enumerate((alpha, half_alpha, half_alpha)):
            value = np.broadcast_to(np.asarray(colour[part], dtype=np.int32), alpha.shape)
            value = value if part == 0 else value[::2, ::2]
            self._keep.append((256 - weight).astype(np.uint16))
            self._add.append((value * weight).astype(np.uint16))

    def put(self, planes: Planes, top: int, left: int) -> None:
        """Blend at even (top, left); parts outside the frame are left out."""
        height, width = planes.y.shape
        rows, columns = self._size
        top, left = top + self._corner[0], left + self._corner[1]
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
        pose: the stamp at a place of the cycle, 0 to count - 1; asked for each again and again.
        count: poses in the cycle.
        poses_per_second: how fast it runs.
        fps: frames per second.
        place: frame -> (top, left) in pixels.
    """

    pose: Callable[[int], Stamp]
    count: int
    poses_per_second: float
    fps: int
    place: Callable[[int], tuple[int, int]]

    def trim(self, floor: int) -> int:
        return floor

    def draw(self, planes: Planes, tick: int) -> None:
        pose = self.pose(int(tick * self.poses_per_second / self.fps) % self.count)
        top, left = self.place(tick)
        pose.put(planes, top // 2 * 2, left // 2 * 2)
