"""What happens to a frame between the drawing and the encoder: marks, digest, writing, and telling who listens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

from fake_model.autoencoder import Autoencoder
from fake_model.errors import Interrupted
from fake_model.forensic import ForensicMark
from fake_model.stills import Stills
from fake_model.watermark import Label, Watermark


class Writer(Protocol):
    """Takes frames."""

    def write(self, frame: memoryview) -> None:
        """Take one raw yuv420p frame, which may be reused as soon as this returns."""


class Reel:
    """Marks and writes what the autoencoder has drawn.

    Args:
        forensic: the invisible mark, put on every frame first.
        labels: put on every frame after it, in this order.
        num_frames: frames of the clip.
        stop: asked before every frame.
        on_frame: told (frames written, num_frames) after every frame.
        stills: takes what it needs of the finished frames.
        loop: the frames that are written once and repeated to the end of the clip, or None.
        hash_frames: whether to keep a digest of the frames.
        written: frames that the clip has already, from elsewhere.
    """

    def __init__(
        self,
        writer: Writer,
        autoencoder: Autoencoder,
        forensic: ForensicMark | None,
        labels: Sequence[Watermark | Label],
        num_frames: int,
        stop: Callable[[], bool],
        on_frame: Callable[[int, int], None] | None,
        *,
        stills: Stills,
        loop: range | None,
        hash_frames: bool,
        written: int = 0,
    ) -> None:
        self._digest = hashlib.sha256() if hash_frames else None
        self._writer = writer
        self._autoencoder = autoencoder
        self._forensic = forensic
        self._labels = labels
        self._stills = stills
        self._loop = loop
        self._num_frames = num_frames
        self._stop = stop
        self._on_frame = on_frame
        self._written = written

    @property
    def frames_sha256(self) -> str | None:
        """Hex digest over the raw frames so far."""
        return None if self._digest is None else self._digest.hexdigest()

    def show(self, times: int = 1, *labels: Label) -> None:
        """Put the marks, and `labels` over them, on the drawn frame and send it `times` times."""
        planes = self._autoencoder.planes
        if self._forensic is not None:
            self._forensic.put(planes.y)
        for label in (*self._labels, *labels):
            label.put(planes)
        shown = range(self._written, self._written + times)
        if self._loop is not None and self._written in self._loop:
            shown = range(self._written, self._num_frames, len(self._loop))
        self._stills.take(planes, shown)
        frame = self._autoencoder.buffer.data
        for _ in range(times):
            check(self._stop)
            if self._digest is not None:
                self._digest.update(frame)
            self._writer.write(frame)
            self._written += 1
            if self._on_frame is not None:
                self._on_frame(self._written, self._num_frames)

    def repeat(self) -> None:
        """Tell of the frames that copies of the loop add."""
        while self._written < self._num_frames:
            check(self._stop)
            self._written += 1
            if self._on_frame is not None:
                self._on_frame(self._written, self._num_frames)


def check(stop: Callable[[], bool]) -> None:
    """Raise `Interrupted` if `stop` says so."""
    if stop():
        raise Interrupted("interrupted")
