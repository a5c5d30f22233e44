"""Whose clip is this? Finds the forensic mark in a video file and reads its payload.

    1. Decode     frames a few times a second, luma only, reduced to 6 pixels per cell of the mark
    2. Average    each frame less its local mean, weighted by how quiet the picture is at that place and time
    3. Search     the pilot, over crops of 0 to 20 % per side length, by correlation in the frequency domain
    4. Align      the best places, refined on the pilot alone
    5. Read       soft bits of the other cells, decoded; a word without the keyed check is no word

Unknown is an answer. A payload is named only if the pilot stands out and the check holds; see docs/trace.md for how
often chance does that.
"""

from __future__ import annotations

import functools
import math
import pathlib
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
from PIL import Image

from fake_model.errors import InvalidInput, PipelineError
from fake_model.forensic_code import CODED_BITS, Layout, check_key, chips, decode, grid_of, layout, unseal

#: Pixels per cell in step 2, and per cell in step 3.
FINE, _COARSE = 6, 3
#: Levels; what stands out more than this from its surroundings is the scene.
_LOUDEST = 4
#: Frames looked at per second of video.
RATE = 8
#: Below this many standard deviations of chance the pilot counts as absent.
MIN_SCORE = 6.5
#: A place of the lattice that scores less is not worth aligning.
_PROMISING = 4.8
_SMALLEST, _SCALES = 0.8, 16
_CANDIDATES = 4
#: The share of a cell's side that is sampled: beyond it the neighbour's sign mixes in.
_CORE = 0.8
#: Containers that a clip may come in. Playlists, scripts, pictures and devices are none: a stranger's file must not
#: make ffmpeg open another one.
_CONTAINERS = "mov,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif,h264,hevc,ivf,mxf"

Image2 = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
#: Width and height of the visible part, and its left and top edge, as shares of the marked frame.
Place = tuple[float, float, float, float]
_WHOLE: Place = (1.0, 1.0, 0.0, 0.0)


class TraceError(PipelineError):
    """A file could not be looked at; the message says why."""


class NotAVideo(TraceError):
    """The file is missing, or no frame can be decoded from it."""


@dataclass(frozen=True)
class Geometry:
    """Where the file's frame lies in the frame that was marked.

    Args:
        scale: width and height of the visible part, as shares of the marked frame; 1 for an uncropped clip.
        offset: its left and top edge, in the same shares.
        mirrored: whether left and right are exchanged.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    mirrored: bool = False


@dataclass(frozen=True)
class Trace:
    """What a file says.

    Args:
        payload: the 64 bits of the mark, or None for unknown.
        confidence: 0 for unknown, else how well all cells agree with that payload's mark: 1 if every one does.
        score: how far the pilot stands out, in standard deviations of chance; at most 24.
        frames: how many frames were looked at.
        geometry: where the pilot was found, or None.
        reason: in words.
    """

    payload: int | None
    confidence: float
    score: float
    frames: int
    geometry: Geometry | None
    reason: str


def trace(path: pathlib.Path, key: bytes, *, max_seconds: float = 30.0) -> Trace:
    """Read the mark of a clip.

    Args:
        path: a video file in a common container.
        key: as given to `ForensicMark`.
        max_seconds: how much of it to look at, from its beginning; > 0.

    Raises:
        InvalidInput: an argument is outside the above.
        NotAVideo: no frame can be decoded.
    """
    check_key(key)
    return find(average(path, max_seconds=max_seconds), key)


@dataclass(frozen=True, eq=False)
class Average:
    """What is left of a clip when its scene is averaged away; holds for any key.

    Args:
        picture: float32, about `FINE` pixels per cell, local mean 0 and local deviation about 1.
        frames: how many frames went into it.
    """

    picture: Image2
    frames: int


def average(path: pathlib.Path, *, max_seconds: float = 30.0) -> Average:
    """Steps 1 and 2; arguments and errors as for `trace`. Memory does not grow with the length of the clip."""
    if not math.isfinite(max_seconds) or max_seconds <= 0:
        raise InvalidInput("max_seconds", "a number above 0")
    mean, frames = mean_of(_frames(path, max_seconds))
    if mean is None:
        raise NotAVideo(f"{path.name}: it holds no video frame")
    return Average(_levelled(mean), frames)


def mean_of(pictures: Iterable[Image2]) -> tuple[Image2 | None, int]:
    """The mean of luma pictures less their local means, in levels, and how many there were; None for none."""
    total: Image2 | None = None
    weights: Image2 | None = None
    frames = 0
    for frame in pictures:
        rest: Image2 = frame - _blurred(frame, 2 * FINE - 1)
        quiet: Image2 = np.float32(1) / (_blurred(rest * rest, 2 * FINE + 1) + np.float32(1))
        rest = np.clip(rest, -_LOUDEST, _LOUDEST) * quiet
        total, weights = (rest, quiet) if total is None or weights is None else (total + rest, weights + quiet)
        frames += 1
    return (None, 0) if total is None or weights is None else (total / weights, frames)


def read_whole(mean: Image2, key: bytes) -> int | None:
    """The payload of a frame that was neither cropped nor mirrored, from what `mean_of` gives; cheap, for lack of a
    search."""
    height, width = mean.shape
    cells = _Cells(_levelled(mean), layout(key, *grid_of(width, height)))
    return _read(cells, _WHOLE, key) if cells.score(_WHOLE) >= MIN_SCORE else None


def find(clip: Average, key: bytes) -> Trace:
    """Steps 3 to 5 under one key."""
    best = (0.0, Geometry((1.0, 1.0), (0.0, 0.0)))
    height, width = clip.picture.shape
    own = grid_of(width, height)
    # A clip that was squeezed into another shape keeps the grid of its old one.
    others = [(grid, False) for grid in ((64, 36), (36, 64), (48, 48)) if grid != own]
    for grid, mirrored in ((own, False), (own, True), *others):
        cells = _Cells(clip.picture[:, ::-1] if mirrored else clip.picture, layout(key, *grid))
        for score, place in _places(cells):
            geometry = Geometry(place[:2], place[2:], mirrored)
            best = max(best, (score, geometry), key=lambda found: found[0])
            payload = _read(cells, place, key) if score >= MIN_SCORE else None
            if payload is not None:
                confidence = cells.agreement(place, payload, key)
                return Trace(payload, confidence, score, clip.frames, geometry, "mark found and checked")
    score, geometry = best
    if score < MIN_SCORE:
        return Trace(None, 0.0, score, clip.frames, None, "no mark of this key found")
    return Trace(None, 0.0, score, clip.frames, geometry, "a mark of this key, too damaged to be read")


class _Cells:
    """A clip's average on one grid: samples of its cells for any placement of the marked frame."""

    def __init__(self, picture: Image2, where: Layout) -> None:
        shape = (where.rows * FINE, where.columns * FINE)
        if picture.shape != shape:
            resized = Image.fromarray(np.ascontiguousarray(picture)).resize((shape[1], shape[0]), Image.Resampling.BOX)
            picture = np.asarray(resized, dtype=np.float32)
        self.picture = np.ascontiguousarray(picture)
        self.where = where
        # Sums over everything above and left of a point: a mean over any rectangle is four look-ups.
        self._sums = np.pad(self.picture, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.float64).cumsum(axis=1)

    def at(self, place: Place) -> Vector:
        """Means over the cells, row by row, zero where a cell is outside: (CELLS,), for (scale x, y, offset x, y)."""
        height, width = self.picture.shape
        top, bottom, tall = _edges(self.where.rows, height, place[3], place[1])
        left, right, wide = _edges(self.where.columns, width, place[2], place[0])
        above, below = _between(self._sums, top, 0), _between(self._sums, bottom, 0)
        strips = below - above
        means: Vector = (_between(strips, right, 1) - _between(strips, left, 1)) / (tall * wide)
        return means.reshape(-1)

    def score(self, place: Place) -> float:
        """How far the pilot stands out there.

        Under a key that has nothing to do with the picture the signs are independent fair coins, whatever the picture
        is, so by Hoeffding's inequality the score exceeds t with probability at most exp(-t * t / 2).
        """
        values = self.at(place)[self.where.pilot]
        return float(values @ self.where.pilot_signs) / math.sqrt(float(values @ values) + 1e-9)

    def agreement(self, place: Place, payload: int, key: bytes) -> float:
        """Share of the cells' evidence that is for the mark of a payload, less the share against it; 0..1."""
        values = self.at(place)
        mark = chips(payload, key, self.where.columns, self.where.rows).reshape(-1)
        return max(0.0, float(values @ mark) / (float(np.abs(values).sum()) + 1e-9))


def _places(cells: _Cells) -> Iterator[tuple[float, Place]]:
    """Scores and places worth reading at: the whole frame as it is, then what the search finds, aligned."""
    yield cells.score(_WHOLE), _WHOLE
    for start in (_WHOLE, *_search(cells.picture, cells.where)):
        score = cells.score(start)
        yield _align(cells, start) if score >= _PROMISING else (score, start)


def _search(picture: Image2, where: Layout) -> list[Place]:
    """The places where the pilot correlates best, best first, from all of a lattice of scales and offsets.

    A place is a choice of columns and one of rows. The sum over cells of pilot * (rows @ picture @ columns) is taken
    for all pairs at once, as a product of two matrices.
    """
    step = FINE // _COARSE
    height, width = picture.shape[0] // step, picture.shape[1] // step
    small = picture.reshape(height, step, width, step).mean(axis=(1, 3), dtype=np.float32)
    pilot = np.zeros(where.columns * where.rows, dtype=np.float32)
    pilot[where.pilot] = where.pilot_signs
    across, columns = _placements(where.columns, width)
    down, rows = _placements(where.rows, height)
    # (rows' placements, columns of cells, width): the pilot's columns as they would look in the picture.
    halves = np.einsum("rc,prh->pch", pilot.reshape(where.rows, where.columns), rows, optimize=True) @ small
    scores = halves.reshape(len(down), -1) @ columns.reshape(len(across), -1).T
    area = np.array([share for share, _ in down])[:, None] * np.array([share for share, _ in across])[None, :]
    order = np.argsort(scores / np.sqrt(area), axis=None)[::-1]
    found: list[Place] = []
    for index in order[:400].tolist():
        (tall, top), (wide, left) = down[index // len(across)], across[index % len(across)]
        place = (wide, tall, left, top)
        if all(max(abs(a - b) for a, b in zip(place, other, strict=True)) > 0.025 for other in found):
            found.append(place)
            if len(found) == _CANDIDATES:
                break
    return found


@functools.lru_cache(maxsize=8)
def _placements(cells: int, length: int) -> tuple[list[tuple[float, float]], Image2]:
    """All (share, offset) of the lattice along one side, and their `_boxes`: (placements, cells, length)."""
    places = []
    for share in np.linspace(_SMALLEST, 1, _SCALES).tolist():
        slots = int((1 - share) * cells * 2 + 1e-6) + 1
        places += [(share, (1 - share) * slot / max(1, slots - 1)) for slot in range(slots)]
    return places, np.stack([_boxes(cells, length, first, share) for share, first in places])


def _boxes(cells: int, length: int, first: float, share: float) -> Image2:
    """Rows that take the mean over the middle of each cell: (cells, length), zero for what is outside the picture."""
    low, high, size = _edges(cells, length, first, share)
    pixel = np.arange(length)
    covered = np.minimum(high[:, None], pixel + 1) - np.maximum(low[:, None], pixel)
    boxes: Image2 = (np.maximum(covered, 0) / size).astype(np.float32)
    return boxes


def _edges(cells: int, length: int, first: float, share: float) -> tuple[Vector, Vector, float]:
    """Where the middle of each cell begins and ends in pixels, kept inside the picture, and its whole size."""
    cell = length / (cells * share)
    centre = (np.arange(cells) + 0.5) * cell - first / share * length
    size = cell * _CORE
    return np.clip(centre - size / 2, 0, length), np.clip(centre + size / 2, 0, length), size


def _between(sums: Vector, at: Vector, axis: int) -> Vector:
    """Values at fractional places along an axis."""
    whole = np.minimum(at.astype(np.intp), sums.shape[axis] - 2)
    part = (at - whole)[:, None] if axis == 0 else at - whole
    low, high = sums.take(whole, axis), sums.take(whole + 1, axis)
    mixed: Vector = low + (high - low) * part
    return mixed


def _align(cells: _Cells, start: Place) -> tuple[float, Place]:
    """Walk uphill on the score, in ever smaller steps of the four edges of the visible part; score and place."""
    best, place = cells.score(start), start
    for step in (0.008, 0.004, 0.002, 0.001):
        moved = True
        while moved:
            moved = False
            for edge in range(4):
                for change in (-step, step):
                    other = _shifted(place, edge, change)
                    score = cells.score(other)
                    if score > best + 1e-6:
                        best, place, moved = score, other, True
    return best, place


def _shifted(place: Place, edge: int, change: float) -> Place:
    """A place with its left, top, right or bottom edge moved."""
    moved = list(place)
    axis = edge % 2
    if edge < 2:
        moved[2 + axis] += change
        moved[axis] -= change
    else:
        moved[axis] += change
    return moved[0], moved[1], moved[2], moved[3]


def _read(cells: _Cells, place: Place, key: bytes) -> int | None:
    values = cells.at(place)[cells.where.data]
    limit = 3 * math.sqrt(float(np.mean(values * values)))
    evidence = np.clip(values, -limit, limit) * cells.where.data_signs
    soft = np.bincount(np.arange(evidence.size) % CODED_BITS, evidence, CODED_BITS)
    return unseal(decode(soft.astype(np.float64)), key)


def _levelled(picture: Image2) -> Image2:
    """Less its local mean, over its local power: what the scene left behind counts little where there is much of it."""
    rest = picture - _blurred(picture, 3 * FINE // 2)
    power = _blurred(rest * rest, 2 * FINE + 1) + np.float32(1e-2)
    # The square root of the power makes places alike; half of another one prefers those where the mark is clear.
    level: Image2 = np.clip(rest / np.sqrt(power), -2, 2) / np.sqrt(np.sqrt(power))
    return level


def _blurred(picture: Image2, window: int) -> Image2:
    """Means over odd windows, the picture repeated beyond its edges."""
    for axis in (0, 1):
        half = window // 2
        pad = [(0, 0), (0, 0)]
        pad[axis] = (half + 1, half)
        sums = np.cumsum(np.pad(picture, pad, mode="edge"), axis=axis, dtype=np.float64)
        length = picture.shape[axis]
        high, low = (window, window + length), (0, length)
        cut = (slice(*high), slice(*low)) if axis == 0 else ((slice(None), slice(*high)), (slice(None), slice(*low)))
        picture = ((sums[cut[0]] - sums[cut[1]]) / window).astype(np.float32)
    return picture


def _frames(path: pathlib.Path, max_seconds: float) -> Iterator[Image2]:
    """Luma of `RATE` frames a second, float32 of shape (rows * FINE, columns * FINE) of the frame's grid."""
    if not path.is_file():
        raise NotAVideo(f"{path.name}: no such file")
    # The sizes of grid_of, in ffmpeg's words.
    wide, tall = "gte(iw*3,ih*4)", "gte(ih*3,iw*4)"
    sides = [f"if({wide},{a * FINE},if({tall},{b * FINE},{48 * FINE}))" for a, b in ((64, 36), (36, 64))]
    filters = f"fps={RATE},scale=w='{sides[0]}':h='{sides[1]}':flags=area,format=gray"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin", "-threads", "2",
        "-protocol_whitelist", "file", "-format_whitelist", _CONTAINERS, "-t", f"{max_seconds:.3f}",
        "-i", f"file:{path.absolute()}", "-map", "0:v:0", "-vf", filters, "-strict", "-1", "-f", "yuv4mpegpipe",
        "pipe:1",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words)
        except OSError as exc:
            raise TraceError(f"ffmpeg could not be started: {exc}") from exc
        assert process.stdout is not None
        try:
            frames = 0
            for frame in _y4m(process.stdout):
                frames += 1
                yield frame
            process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if not frames:
            words.seek(0)
            said = words.read()[-500:].decode("utf-8", "replace").strip()
            raise NotAVideo(f"{path.name}: no frame can be decoded: {said or 'no message'}")


def _y4m(stream: IO[bytes]) -> Iterator[Image2]:
    """Frames of a YUV4MPEG2 stream of grey pictures; a last one that was cut off is left out."""
    header = stream.readline(256).split()
    fields = {word[:1]: int(word[1:]) for word in header if word[:1] in (b"W", b"H")}
    while stream.readline(256).startswith(b"FRAME"):
        raw = stream.read(fields[b"W"] * fields[b"H"])
        if len(raw) < fields[b"W"] * fields[b"H"]:
            return
        yield np.frombuffer(raw, dtype=np.uint8).reshape(fields[b"H"], fields[b"W"]).astype(np.float32)
