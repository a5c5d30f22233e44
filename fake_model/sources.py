"""What people upload: looked at with suspicion, in bounded time, memory and output."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass

MAX_SIDE = 4096


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
    """

    path: pathlib.Path
    width: int
    height: int
    fps: float
    seconds: float
    num_frames: int
    codec: str


def sniff(head: bytes) -> str | None:
    """What a file is by its first 16 bytes or more: png, jpeg, webp, gif, mp4, mov, webm, or None."""
    raise NotImplementedError


def probe(path: pathlib.Path, *, timeout: float = 20.0) -> Source:
    """Look at a clip; raises `InvalidInput` naming `video`."""
    raise NotImplementedError


def check_picture(path: pathlib.Path, width: int, height: int) -> None:
    """Refuse what `VideoPipeline` would refuse as `image`; raises `InvalidInput` naming `image`."""
    raise NotImplementedError


def palette_of(path: pathlib.Path, count: int = 5, timeout: float = 20.0) -> tuple[tuple[int, int, int], ...]:
    """Dominant colours of a clip; raises `InvalidInput` naming `video`."""
    raise NotImplementedError
