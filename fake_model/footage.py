"""Frames out of files, through ffmpeg: what is known of the file's bytes is little, and none of it is trusted.

The demuxer is chosen by magic bytes and forced, so that no playlist, script or device is opened; files are the only
protocol, references to other files are off, and decoders, picture size, memory and time are limited.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import imageio_ffmpeg

from fake_model.elements import Plane
from fake_model.errors import EncoderError, InvalidInput
from fake_model.export import POLL_SECONDS, widen_pipe
from fake_model.reel import check

#: Of a clip's frame: larger than what cameras record, small enough to decode anywhere.
MAX_PIXELS = 4096 * 2304
#: Demuxers by what `sniff` says.
DEMUXERS = {"mp4": "mov", "mov": "mov", "webm": "matroska"}
_DECODERS = "h264,hevc,vp8,vp9,libdav1d,av1,mpeg4,mjpeg,prores"
_MEMORY_BYTES = 2 << 30
#: Waiting for the decoder that a clip may cause, in seconds: to begin with, and per frame.
_PATIENCE, _PATIENCE_PER_FRAME = 20.0, 0.25


def sniff(head: bytes) -> str | None:
    """What a file is by its first bytes, 64 of them or all: png, jpeg, webp, gif, heif, mp4, mov, webm, mkv, or None.

    See the W3C's PNG specification, ITU-T T.81, RFC 9649 (WebP), ISO/IEC 14496-12 section 4.3 (brands) and RFC 8794
    (EBML).
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"heic", b"heix", b"avif", b"mif1", b"msf1", b"hevc", b"avis"):
            return "heif"
        return "mov" if brand == b"qt  " else "mp4"
    if head[4:8] == b"moov":
        return "mov"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "webm" if b"webm" in head[:64] else "mkv" if b"matroska" in head[:64] else None
    return None


def demuxer_of(path: pathlib.Path, argument: str) -> str:
    """ffmpeg's demuxer for a clip.

    Raises:
        InvalidInput: naming `argument`: no such file, or another kind.
    """
    wanted = "an MP4, MOV or WebM file"
    if not isinstance(path, pathlib.Path) or not path.is_file():
        raise InvalidInput(argument, f"the pathlib.Path of {wanted}; there is no such file")
    try:
        with path.open("rb") as file:
            kind = sniff(file.read(64))
    except OSError as exc:
        raise InvalidInput(argument, f"{wanted} that can be read ({exc.strerror})") from exc
    if kind not in DEMUXERS:
        raise InvalidInput(argument, f"{wanted}, not {kind or 'something else'}")
    return DEMUXERS[kind]


def input_options(path: pathlib.Path, demuxer: str, start: float = 0.0) -> list[str]:
    """ffmpeg's words for reading the first video stream of a stranger's file, from `start` seconds on.

    Raises:
        EncoderError: there is no ffmpeg.
    """
    try:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "fatal", "-nostdin", "-y"]
    except RuntimeError as exc:  # imageio-ffmpeg finds none
        raise EncoderError(f"ffmpeg could not be started: {exc}") from exc
    command += ["-max_alloc", str(_MEMORY_BYTES // 4), "-protocol_whitelist", "file", "-f", demuxer]
    if demuxer == "mov":
        command += ["-enable_drefs", "0", "-use_absolute_path", "0"]
    command += ["-codec_whitelist", _DECODERS, "-max_pixels", str(MAX_PIXELS), "-threads", "2"]
    if start > 0:
        command += ["-ss", f"{start:.3f}"]
    # V: no cover pictures.
    return [*command, "-i", f"file:{path.absolute()}", "-map", "0:V:0", "-sn", "-dn", "-an", "-map_metadata", "-1"]


def start_process(command: list[str]) -> subprocess.Popen[bytes]:
    """ffmpeg with its output in a pipe and a limit to its memory where the platform has one.

    Raises:
        EncoderError: it cannot be started.
    """
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as exc:
        raise EncoderError(f"ffmpeg could not be started: {exc}") from exc
    if sys.platform == "linux":
        import resource

        # It may be gone already.
        with contextlib.suppress(OSError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    return process


def output_of(command: list[str], deadline: float, stop: Callable[[], bool]) -> bytes | None:
    """All that ffmpeg writes, which the caller has limited; None if it fails, or is not done by `deadline`.

    Args:
        deadline: of `time.monotonic`.
        stop: asked every 20 ms; True raises `Interrupted`.
    """
    process = start_process(command)
    try:
        while True:
            check(stop)
            if time.monotonic() > deadline:
                return None
            try:
                said, _ = process.communicate(timeout=POLL_SECONDS)
                return said if process.returncode == 0 else None
            except subprocess.TimeoutExpired:
                continue
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """See to it that the process is gone and its pipe closed."""
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


class Pipe:
    """The output of one ffmpeg process, read as it comes; a context manager that leaves no process.

    Args:
        command: what to start.
        stop: asked every 20 ms while waiting; True raises `Interrupted`.
        argument: the name of the file's argument, for errors.
        patience: seconds of waiting in all.
    """

    def __init__(self, command: list[str], stop: Callable[[], bool], argument: str, patience: float) -> None:
        self._stop, self._argument, self._patience = stop, argument, patience
        self._process = start_process(command)
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        if os.name == "posix":
            os.set_blocking(self._pipe, False)
            widen_pipe(self._pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._process)

    def read_into(self, target: memoryview) -> int:
        """Fill `target`, or as much of it as there is left; how many bytes.

        Raises:
            InvalidInput: decoding takes too long.
        """
        done = 0
        while done < len(target):
            try:
                count = os.readv(self._pipe, [target[done:]]) if os.name == "posix" else self._blocking(target[done:])
            except BlockingIOError:
                begun = time.monotonic()
                check(self._stop)
                select.select([self._pipe], [], [], POLL_SECONDS)
                self._patience -= time.monotonic() - begun
                if self._patience < 0:
                    raise InvalidInput(self._argument, "a clip that can be decoded in reasonable time") from None
                continue
            if count == 0:
                break
            done += count
        return done

    def failed(self) -> bool:
        """Whether ffmpeg, whose output has been read to its end, says that something was wrong."""
        return self._process.wait() != 0

    def _blocking(self, target: memoryview) -> int:
        part = os.read(self._pipe, len(target))
        target[: len(part)] = part
        return len(part)


class Footage(Pipe):
    """Frames of a clip as yuv420p, BT.709 limited range, of one size and rate.

    A clip of another shape is cropped at its middle. Its sides are compared before anything is enlarged, so that no
    shape costs more than the frame.

    Args:
        path: the clip, of which `probe` has approved.
        frame: width and height wanted, even.
        fps: frames per second wanted.
        count: frames at most.
        stop: asked while waiting.
        start: seconds into the clip.
        argument: the name of the path's argument, for errors.
    """

    def __init__(
        self,
        path: pathlib.Path,
        frame: tuple[int, int],
        fps: int,
        count: int,
        stop: Callable[[], bool],
        *,
        start: float = 0.0,
        argument: str = "source",
    ) -> None:
        width, height = frame
        self._bytes = width * height * 3 // 2
        crop = f"crop=w='max(2,min(iw,ih*{width}/{height}/sar))':h='max(2,min(ih,iw*sar*{height}/{width}))'"
        filters = f"fps={fps}:start_time=0,{crop},scale={width}:{height}:out_color_matrix=bt709:out_range=tv"
        command = input_options(path, demuxer_of(path, argument), start)
        command += ["-vf", f"{filters},setsar=1", "-frames:v", str(count), "-f", "rawvideo", "-pix_fmt", "yuv420p"]
        super().__init__([*command, "pipe:1"], stop, argument, _PATIENCE + _PATIENCE_PER_FRAME * count)

    def frame_into(self, buffer: Plane) -> bool:
        """The next frame into a flat buffer of width * height * 3 / 2 bytes; False, and nothing said of the buffer, if
        there is none."""
        return self.read_into(buffer.data) == self._bytes
