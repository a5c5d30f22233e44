"""What people upload: looked at with suspicion, in bounded time, memory and output."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fake_model.errors import InvalidInput
from fake_model.footage import MAX_PIXELS, demuxer_of, input_options, output_of, sniff
from fake_model.inputs import MAX_COLOURS, MAX_TOTAL_SECONDS, whole
from fake_model.start import opened_picture, picture_size

__all__ = [
    "MAX_FRAMES",
    "MAX_SIDE",
    "MIN_SIDE",
    "Source",
    "check_picture",
    "palette_of",
    "picture_size",
    "probe",
    "sniff",
]

#: Pixels on a side of a clip.
MIN_SIDE, MAX_SIDE = 16, 4096
#: Frames of a clip: `MAX_TOTAL_SECONDS` of a fast camera.
MAX_FRAMES = MAX_TOTAL_SECONDS * 240
#: Where `palette_of` looks, as shares of the length: past the refinement that clips of this package begin with.
_PLACES = (0.45, 0.58, 0.71, 0.84, 0.97)
_WIDE, _TALL = 96, 54
#: A colour nearer than this to a chosen one is no other colour, in 8-bit levels.
_APART = 56.0


@dataclass(frozen=True)
class Source:
    """A clip as it is.

    Args:
        path: the file.
        width, height: pixels, as shown.
        fps: frames per second, on average.
        seconds: length.
        num_frames: frames in the file.
        codec: ffmpeg's name of it, as h264.
        steady: whether every frame is shown equally long, to a tick of the file's clock, in the order of the file.
    """

    path: pathlib.Path
    width: int
    height: int
    fps: float
    seconds: float
    num_frames: int
    codec: str
    steady: bool = True


def probe(
    path: pathlib.Path, *, timeout: float = 20.0, argument: str = "video", stop: Callable[[], bool] = lambda: False
) -> Source:
    """Look at a clip: all its packets are read, its first frame is decoded.

    Args:
        path: an MP4, MOV or WebM; told by its bytes, whatever its name.
        timeout: seconds it may take.
        argument: what errors call it.
        stop: asked every 20 ms; True raises `Interrupted`.

    Raises:
        InvalidInput: naming `argument`: another kind of file, none, without a picture, damaged or cut short, longer
            than 120 s, too large in pixels, or not done in time.
    """
    deadline = time.monotonic() + timeout
    demuxer = demuxer_of(path, argument)
    begin = input_options(path, demuxer)
    # -xerror: a packet that the file's end cuts off is an error and not just a shorter packet.
    strict = [begin[0], "-xerror", *begin[1:]]
    listing = output_of([*strict, "-c", "copy", "-frames:v", str(MAX_FRAMES + 1), *_LISTED], deadline, stop)
    picture = None
    if listing is not None:
        picture = output_of([*strict, "-frames:v", "1", *_LISTED], deadline, stop)
    if listing is None or picture is None:
        if time.monotonic() > deadline:
            raise InvalidInput(argument, f"a clip that can be looked at within {timeout:g} s")
        raise InvalidInput(
            argument,
            f"a complete MP4, MOV or WebM file with a picture of at most {MAX_PIXELS} pixels that can be decoded",
        )
    return _described(path, argument, _Listing(listing), _Listing(picture))


_LISTED = ("-f", "framecrc", "pipe:1")


class _Listing:
    """What ffmpeg's framecrc muxer wrote: headers, then a line per packet. No text of the file gets there."""

    def __init__(self, said: bytes) -> None:
        lines = said.decode("ascii", "replace").splitlines()
        self.headers = dict(line[1:].split(" 0: ", 1) for line in lines if line.startswith("#") and " 0: " in line)
        rows = [line.split(",")[1:4] for line in lines if line and not line.startswith("#")]
        self.packets = np.array([[int(part) for part in row] for row in rows], dtype=np.float64).reshape(-1, 3)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width, height = self.headers["dimensions"].split("x")
        return int(width), int(height)


def _described(path: pathlib.Path, argument: str, listing: _Listing, picture: _Listing) -> Source:
    count = len(listing.packets)
    if not count or not len(picture.packets):
        raise InvalidInput(argument, "a clip with at least one frame")
    width, height = picture.size
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        raise InvalidInput(argument, f"a clip of {MIN_SIDE} to {MAX_SIDE} pixels a side, not {width}x{height}")
    numerator, denominator = (int(part) for part in listing.headers["tb"].split("/"))
    shown = np.sort(listing.packets[:, 1])
    gaps = np.diff(shown)
    usual = float(np.median(gaps)) if count > 1 else 0.0
    last = float(listing.packets[np.argmax(listing.packets[:, 1]), 2]) or usual
    seconds = (float(shown[-1] - shown[0]) + last) * numerator / denominator
    if count > MAX_FRAMES or seconds > MAX_TOTAL_SECONDS + 0.5:
        raise InvalidInput(argument, f"a clip of at most {MAX_TOTAL_SECONDS} s and {MAX_FRAMES} frames")
    if seconds <= 0 or (gaps <= 0).any():
        raise InvalidInput(argument, "a clip whose frames have times of their own")
    steady = bool((np.abs(gaps - usual) <= 1).all() and (np.diff(listing.packets[:, 1]) > 0).all())
    codec = listing.headers["codec_id"].strip()
    return Source(path, width, height, round(count / seconds, 3), round(seconds, 3), count, codec, steady)


def whole_seconds(source: Source) -> int:
    """The length of a clip made from a source: rounded, and at least 1."""
    return max(1, min(MAX_TOTAL_SECONDS, int(source.seconds + 0.5)))


def check_picture(path: pathlib.Path, width: int, height: int) -> None:
    """Refuse what `VideoPipeline` would refuse as `image`; nothing is decoded before the size was compared.

    Raises:
        InvalidInput: naming `image`, as for `first_picture`.
    """
    if not isinstance(path, pathlib.Path):
        raise InvalidInput("image", "the pathlib.Path of a PNG, JPEG or WebP")
    opened_picture(path, width, height).close()


def palette_of(path: pathlib.Path, count: int = 5, timeout: float = 20.0) -> tuple[tuple[int, int, int], ...]:
    """Dominant colours of a clip: at most `count` RGB triples, the commonest first.

    Five frames are looked at, of the second half, where a clip of this package shows its scene. The same file gives the
    same colours. A clip with fewer colours gives fewer.

    Args:
        path: as for `probe`.
        count: 1 to 10.
        timeout: seconds it may take.

    Raises:
        InvalidInput: naming `video` as `probe` does, or `count`.
    """
    whole("count", count, 1, MAX_COLOURS)
    deadline = time.monotonic() + timeout
    source = probe(path, timeout=timeout)
    frames = []
    for place in _PLACES:
        command = input_options(path, demuxer_of(path, "video"), place * source.seconds)
        # Means over areas: a colour that is nowhere in the clip comes up at edges only.
        filters = f"scale={_WIDE}:{_TALL}:flags=area,format=rgb24"
        command += ["-frames:v", "1", "-vf", filters, "-f", "rawvideo", "pipe:1"]
        said = output_of(command, deadline, lambda: False)
        if said is not None and len(said) == _WIDE * _TALL * 3:
            frames.append(np.frombuffer(said, dtype=np.uint8).reshape(-1, 3))
    if not frames:
        raise InvalidInput("video", f"a clip whose frames can be decoded within {timeout:g} s")
    return dominant(np.concatenate(frames), count)


def dominant(pixels: npt.NDArray[np.uint8], count: int) -> tuple[tuple[int, int, int], ...]:
    """At most `count` colours that stand for most of the pixels and for different ones.

    Args:
        pixels: uint8 of shape (n, 3), n at least 1.
    """
    cells = pixels.astype(np.int64) >> 4
    _, cell, weights = np.unique(cells @ np.array([256, 16, 1]), return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(cell, pixels[:, part]) for part in range(3)], axis=1) / weights[:, None]
    chosen = [int(np.argmax(weights))]
    while len(chosen) < count:
        distance = np.sqrt(((means[:, None] - means[chosen][None]) ** 2).sum(axis=2)).min(axis=1)
        # Common, and not what is there already; what is a little different counts a little.
        score = weights * np.minimum(distance / _APART, 1.0) ** 2
        best = int(np.argmax(score))
        if score[best] < len(pixels) * 0.004:
            break
        chosen.append(best)
    centres = means[chosen]
    for _ in range(6):
        nearest = ((means[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        total = np.bincount(nearest, weights, len(centres))
        sums = np.stack([np.bincount(nearest, means[:, k] * weights, len(centres)) for k in range(3)], axis=1)
        centres = np.where(total[:, None] > 0, sums / np.maximum(total, 1)[:, None], centres)
    order = sorted(range(len(centres)), key=lambda place: (-total[place], place))
    return tuple((int(r), int(g), int(b)) for r, g, b in np.rint(centres[order]).tolist())
