"""A clip whose motion part is one seamless loop, encoded once and repeated by copying its bytes.

The encoder writes a bare H.264 stream (Annex B of ITU-T H.264). A loop begins with a frame that needs none before it,
ultrafast has no frames that need a later one, and so the stream may be cut between any two frames and its loop put
behind itself as often as wanted.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable

from fake_model.errors import EncoderError
from fake_model.export import EncoderSettings
from fake_model.staged import StagedWriter


class LoopWriter(StagedWriter):
    """Used as `VideoWriter`, for the frames before the loop and those of one loop.

    Args:
        output: final path.
        first: number of the loop's first frame.
        num_frames: frames of the finished clip.
        interrupt: asked while ffmpeg makes the writer wait; True raises `Interrupted`.
        settings: for ffmpeg.

    Raises:
        EncoderError: as for `VideoWriter`.
    """

    def __init__(
        self,
        output: pathlib.Path,
        first: int,
        num_frames: int,
        interrupt: Callable[[], bool],
        settings: EncoderSettings,
    ) -> None:
        super().__init__(output, first, interrupt, settings)
        self._first, self._num_frames = first, num_frames

    def _join(self) -> None:
        """The frames before the loop, and the loop as often as it takes."""
        stream = self._stream.read_bytes()
        starts = [*frame_starts(stream), len(stream)]
        length = len(starts) - 1 - self._first
        if length < 1:
            raise EncoderError("ffmpeg failed: its stream has fewer frames than it was given")
        whole = memoryview(stream)
        with self._muxer() as muxer:
            muxer.write(whole[: starts[self._first]])
            left = self._num_frames - self._first
            while left:
                frames = min(left, length)
                muxer.write(whole[starts[self._first] : starts[self._first + frames]])
                left -= frames
            muxer.close()


def frame_starts(stream: bytes) -> list[int]:
    """Where each frame of an Annex B stream of one slice a frame begins, its parameter sets included."""
    starts: list[int] = []
    begin: int | None = None
    place = stream.find(b"\0\0\1")
    while 0 <= place < len(stream) - 3:
        kind = stream[place + 3] & 31
        # A start code of four bytes has its zero before.
        here = place - 1 if place and stream[place - 1] == 0 else place
        begin = here if begin is None else begin
        if kind in (1, 5):
            starts.append(begin)
            begin = None
        place = stream.find(b"\0\0\1", place + 3)
    return starts
