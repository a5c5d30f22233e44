"""Writing a clip in two steps: new frames into a bare H.264 stream beside it, then that stream into the clip."""

from __future__ import annotations

import contextlib
import pathlib
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from types import TracebackType
from typing import Self

from fake_model.export import EncoderSettings, VideoWriter, ffmpeg_command, mux_command


class StagedWriter(ABC):
    """Used as `VideoWriter`. What becomes of the stream is `_join`'s; the stream itself is gone at the end.

    Args:
        output: final path.
        key_frame: number of the frame that needs none before it, besides the first.
        interrupt: asked while ffmpeg makes the writer wait; True raises `Interrupted`.
        settings: for ffmpeg.

    Raises:
        EncoderError: as for `VideoWriter`.
    """

    def __init__(
        self, output: pathlib.Path, key_frame: int, interrupt: Callable[[], bool], settings: EncoderSettings
    ) -> None:
        self._output, self._interrupt, self._settings = output, interrupt, settings
        self._stream = output.with_name(f".{output.name[:80]}.{uuid.uuid4().hex[:12]}.h264.part")
        self._encoder = self._writer(self._stream, partial(ffmpeg_command, key_frame=key_frame))

    def __enter__(self) -> Self:
        return self

    def write(self, frame: memoryview) -> None:
        """Hand one raw yuv420p frame to ffmpeg."""
        self._encoder.write(frame)

    def close(self) -> None:
        """Let ffmpeg finish the stream, put the clip together from it, and give that its name."""
        self._encoder.close()
        self._join()

    @abstractmethod
    def _join(self) -> None:
        """Puts the clip together."""

    def _muxer(self) -> VideoWriter:
        """Takes H.264 packets and makes the clip of them."""
        return self._writer(self._output, mux_command)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._encoder.__exit__(kind, error, trace)
        with contextlib.suppress(OSError):
            self._stream.unlink(missing_ok=True)

    def _writer(
        self, output: pathlib.Path, command: Callable[[EncoderSettings, pathlib.Path], list[str]]
    ) -> VideoWriter:
        return VideoWriter(output, interrupt=self._interrupt, command=command, **asdict(self._settings))
