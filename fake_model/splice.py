"""New frames behind the packets of a clip that this package made, which are copied as they are.

Both parts are bare H.264 streams (Annex B of ITU-T H.264) with the same parameter sets, and the second begins with a
frame that needs none before it, so that one behind the other is a stream again. It costs about what the new frames do.
"""

from __future__ import annotations

import functools
import pathlib
import subprocess
from collections.abc import Callable
from dataclasses import replace

from fake_model.errors import EncoderError
from fake_model.export import EncoderSettings, ffmpeg_command
from fake_model.footage import Pipe, input_options
from fake_model.staged import StagedWriter

_CHUNK = 1 << 20
_PATIENCE = 60.0


class SpliceWriter(StagedWriter):
    """Used as `VideoWriter`, for the frames that come behind a clip's own.

    Args:
        source: the clip; its `parameter_sets` are those of `settings`.
        output: final path.
        interrupt: asked while ffmpeg makes the writer wait; True raises `Interrupted`.
        settings: for ffmpeg.

    Raises:
        EncoderError: as for `VideoWriter`.
    """

    def __init__(
        self, source: pathlib.Path, output: pathlib.Path, interrupt: Callable[[], bool], settings: EncoderSettings
    ) -> None:
        super().__init__(output, 0, interrupt, settings)
        self._source = source

    def _join(self) -> None:
        """The clip's own packets, and the new ones behind them."""
        with self._muxer() as muxer:
            chunk = memoryview(bytearray(_CHUNK))
            with Pipe(stream_command(self._source), self._interrupt, "source", _PATIENCE) as packets:
                while count := packets.read_into(chunk):
                    muxer.write(chunk[:count])
                if packets.failed():
                    raise EncoderError("ffmpeg failed: the source's packets could not be copied")
            with self._stream.open("rb") as stream:
                while count := stream.readinto(chunk):
                    muxer.write(chunk[:count])
            muxer.close()


def stream_command(source: pathlib.Path) -> list[str]:
    """Argument list for a clip's packets as a bare H.264 stream on stdout."""
    return [*input_options(source, "mov"), "-c", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "h264", "pipe:1"]


def parameter_sets(source: pathlib.Path, stop: Callable[[], bool]) -> tuple[bytes, ...]:
    """The sequence and picture parameter sets that a clip's stream begins with; none if it is no H.264."""
    head = memoryview(bytearray(4096))
    with Pipe(stream_command(source), stop, "source", _PATIENCE) as packets:
        return _sets(bytes(head[: packets.read_into(head)]))


@functools.lru_cache(maxsize=64)
def expected_sets(settings: EncoderSettings) -> tuple[bytes, ...]:
    """The parameter sets that ffmpeg writes under these settings, found out with one black frame."""
    plain = replace(settings, threads=1, created_at=None, comment="")
    command = [*ffmpeg_command(plain, pathlib.Path("pipe:1"), key_frame=0)]
    black = bytes(settings.width * settings.height * 3 // 2)
    try:
        done = subprocess.run(command, input=black, capture_output=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise EncoderError(f"ffmpeg could not be started: {exc}") from exc
    return _sets(done.stdout)


def quantiser_of(sets: tuple[bytes, ...]) -> int | None:
    """The quantiser that a picture parameter set names (`pic_init_qp_minus26`, ITU-T H.264 section 7.3.2.2).

    x264 writes its constant quantiser there. None if there is no such set, or one that ultrafast would not write.
    """
    if len(sets) != 2:
        return None
    bits = "".join(f"{byte:08b}" for byte in sets[1][1:24].replace(b"\0\0\3", b"\0\0"))
    place = 0

    def number() -> int:
        nonlocal place
        zeros = bits.index("1", place) - place
        value = int(bits[place + zeros : place + 2 * zeros + 1], 2) - 1
        place += 2 * zeros + 1
        return value

    try:
        number(), number()
        place += 2  # entropy coding, bottom field
        if number():
            return None  # slice groups
        number(), number()
        place += 3  # weighted prediction
        code = number()
    except ValueError:
        return None
    return 26 + (-(code // 2) if code % 2 == 0 else (code + 1) // 2)


def _sets(stream: bytes) -> tuple[bytes, ...]:
    """The first sequence and the first picture parameter set of an Annex B stream."""
    units = [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")[1:-1]]
    found = [next((unit for unit in units if unit and unit[0] & 31 == kind), None) for kind in (7, 8)]
    return tuple(unit for unit in found if unit is not None)
