"""Frames to files: H.264 through the ffmpeg binary of imageio-ffmpeg, stills through Pillow.

Raw yuv420p goes through a pipe into one ffmpeg process. A constant quantiser is used because it costs a third less time
than a constant rate factor at ultrafast. Colour is tagged in x264's own parameters: ffmpeg's `-colorspace` would insert
a conversion. The encoder's settings text (SEI type 6) is filtered out and muxing is bit exact, so the same frames give
the same file whatever the number of threads.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import select
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import IO

import imageio_ffmpeg
from PIL import Image

from fake_model.errors import EncoderError, Interrupted

#: How often a blocked write or a closing encoder asks whether to stop, in seconds.
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class EncoderSettings:
    """What ffmpeg is told.

    Args:
        width, height: frame size in pixels.
        fps: frames per second.
        qp: constant quantiser.
        threads: of the encoder.
        created_at: creation time in Unix seconds, or None for none.
        comment: the file's comment.
    """

    width: int
    height: int
    fps: int
    qp: int
    threads: int
    created_at: float | None = None
    comment: str = ""

    def metadata(self) -> list[str]:
        """Options for the file's tags. The prompt is none of them: people paste secrets into prompts."""
        tags = ["-metadata", "title=Synthetic clip", "-metadata", f"comment={self.comment}"]
        if self.created_at is not None:
            moment = datetime.datetime.fromtimestamp(int(self.created_at), datetime.UTC)
            tags += ["-metadata", f"creation_time={moment:%Y-%m-%dT%H:%M:%SZ}"]
        return tags


def ensure_ffmpeg() -> None:
    """Runs ffmpeg once, without work for it; raises EncoderError where there is none, or it does not start."""
    try:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), *_QUIET, "-version"]
        subprocess.run(command, capture_output=True, check=True, timeout=60)
    except (OSError, RuntimeError, subprocess.SubprocessError) as exc:
        raise EncoderError(f"ffmpeg could not be started: {exc}") from exc


def ffmpeg_command(settings: EncoderSettings, output: pathlib.Path, key_frame: int | None = None) -> list[str]:
    """The encoder's argument list: raw yuv420p on stdin, a fast-start MP4 at `output`.

    Args:
        key_frame: write a bare H.264 stream instead, in which this frame is one that a decoder can start at.
    """
    fps, size = settings.fps, f"{settings.width}x{settings.height}"
    colour = "colorprim=bt709:transfer=bt709:colormatrix=bt709:fullrange=off"
    source = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-r", str(fps), "-i", "pipe:0"]
    codec = ["-an", "-c:v", "libx264", "-preset", "ultrafast", "-qp", str(settings.qp), "-g", str(fps * 2)]
    codec += ["-threads", str(settings.threads), "-x264-params", colour, "-bsf:v", "filter_units=remove_types=6"]
    if key_frame is None:
        return [imageio_ffmpeg.get_ffmpeg_exe(), *_QUIET, *source, *codec, *_mp4(settings, output)]
    forced = ["-forced-idr", "1", "-force_key_frames", f"expr:eq(n,{key_frame})", "-flags:v", "+bitexact"]
    return [imageio_ffmpeg.get_ffmpeg_exe(), *_QUIET, *source, *codec, *forced, "-f", "h264", str(output)]


def mux_command(settings: EncoderSettings, output: pathlib.Path) -> list[str]:
    """Argument list for putting a bare H.264 stream from stdin into a fast-start MP4 as it is."""
    source = ["-f", "h264", "-framerate", str(settings.fps), "-i", "pipe:0", "-c", "copy"]
    # A stream has no times, and those that ffmpeg gives it are now and then a tick too early: count the frames instead.
    time = f"round(N/({settings.fps}*TB))"
    source += ["-bsf:v", f"setts=pts={time}:dts={time}:duration=round(1/({settings.fps}*TB))"]
    # As the muxer chooses for frames that it is given; for a stream it would take 1200000.
    source += ["-video_track_timescale", str(settings.fps * 512)]
    return [imageio_ffmpeg.get_ffmpeg_exe(), *_QUIET, *source, *_mp4(settings, output)]


_QUIET = ("-hide_banner", "-loglevel", "error", "-nostdin", "-y")


def _mp4(settings: EncoderSettings, output: pathlib.Path) -> list[str]:
    exact = ["-fflags", "+bitexact", "-flags:v", "+bitexact"]
    return [*exact, *settings.metadata(), "-movflags", "+faststart", "-f", "mp4", str(output)]


class VideoWriter:
    """One ffmpeg process behind a context manager; the file appears under its name only if everything went well.

    Frames are written to a temporary name beside `output` and renamed when ffmpeg has finished. Leaving the context by
    an exception ends ffmpeg, reaps it and removes the temporary file.

    Args:
        output: final path; its folder exists.
        width, height, fps, qp, threads, created_at, comment: as for `EncoderSettings`.
        command: what to start, and what it is to read: raw frames unless told otherwise.
        interrupt: asked while ffmpeg makes the writer wait; True raises `Interrupted`.

    Raises:
        EncoderError: ffmpeg cannot be started, or fails at any point.
    """

    def __init__(
        self,
        output: pathlib.Path,
        *,
        width: int,
        height: int,
        fps: int,
        qp: int,
        threads: int,
        interrupt: Callable[[], bool],
        created_at: float | None = None,
        comment: str = "",
        command: Callable[[EncoderSettings, pathlib.Path], list[str]] = ffmpeg_command,
    ) -> None:
        self._output = output
        self._interrupt = interrupt
        self._partial = output.with_name(f".{output.name[:80]}.{uuid.uuid4().hex[:12]}.part")
        # A file and not a pipe: nobody has to drain it while frames are written.
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        try:
            settings = EncoderSettings(width, height, fps, qp, threads, created_at, comment)
            arguments = command(settings, self._partial)
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._stderr
            )
        except (OSError, RuntimeError) as exc:  # imageio-ffmpeg raises RuntimeError where it finds no ffmpeg
            self._stderr.close()
            raise EncoderError(f"ffmpeg could not be started: {exc}") from exc
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        if os.name == "posix":
            os.set_blocking(self._pipe, False)
            widen_pipe(self._pipe)

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, frame: memoryview) -> None:
        """Hand one raw yuv420p frame, or a piece of a stream, to ffmpeg; it may be reused as soon as this returns."""
        rest = frame
        while rest:
            try:
                rest = rest[os.write(self._pipe, rest) :]
            except BlockingIOError:
                self._check_interrupt()
                select.select([], [self._pipe], [], POLL_SECONDS)
            except OSError as exc:
                raise self._failure() from exc

    def close(self) -> None:
        """Let ffmpeg finish the file, then give it its final name."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        while True:
            try:
                code = self._process.wait(POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                self._check_interrupt()
        if code != 0 or not self._partial.exists():
            raise self._failure()
        self._check_interrupt()
        try:
            self._partial.replace(self._output)
        except OSError as exc:
            raise EncoderError(f"output: the finished clip could not be put in place: {exc}") from exc

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._stderr.close()
        with contextlib.suppress(OSError):
            self._partial.unlink(missing_ok=True)

    def _check_interrupt(self) -> None:
        if self._interrupt():
            raise Interrupted("interrupted while encoding")

    def _failure(self) -> EncoderError:
        # ffmpeg closes its end shortly before it exits; its last words are complete once it has.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._stderr.seek(0)
        words = self._stderr.read()[-2000:].decode("utf-8", "replace").strip()
        code = self._process.returncode
        return EncoderError(f"ffmpeg failed (exit code {code}): {words or 'no message'}")


def widen_pipe(pipe: int) -> None:
    """Ask for a 1 MiB pipe where the platform has that: fewer switches per frame."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)


def export_thumbnail(video: pathlib.Path, output: pathlib.Path, *, at: float, width: int = 480) -> pathlib.Path:
    """One frame of a clip as WebP.

    Args:
        video: an MP4 written by the pipeline.
        output: path of the WebP; replaced atomically.
        at: position in seconds.
        width: pixels; the height follows.

    Raises:
        EncoderError: no frame could be decoded there.
    """
    return _export_still(video, output, ["-ss", str(at)], f"scale={width}:-2", width)


def export_spritesheet(
    video: pathlib.Path, output: pathlib.Path, *, columns: int = 5, seconds: int = 5
) -> pathlib.Path:
    """`columns` evenly spaced frames of a clip of `seconds`, side by side, as WebP; errors as `export_thumbnail`."""
    tile = 240
    return _export_still(
        video,
        output,
        [],
        f"fps={columns}/{seconds},scale={tile}:-2,tile={columns}x1:nb_frames={columns}",
        tile * columns,
    )


def _export_still(video: pathlib.Path, output: pathlib.Path, seek: list[str], filters: str, width: int) -> pathlib.Path:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin", *seek, "-i", str(video),
        "-frames:v", "1", "-vf", filters, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, check=False)
    row = width * 3
    if result.returncode != 0 or not result.stdout or len(result.stdout) % row:
        words = result.stderr[-2000:].decode("utf-8", "replace").strip()
        raise EncoderError(
            f"ffmpeg could not read a still (exit code {result.returncode}): {words or 'no frame there'}"
        )
    picture = Image.frombytes("RGB", (width, len(result.stdout) // row), result.stdout)
    partial = output.with_name(f".{output.name[:80]}.{uuid.uuid4().hex[:12]}.part")
    try:
        picture.save(partial, format="WEBP", quality=82)
        partial.replace(output)
    except OSError as exc:
        raise EncoderError(f"output: the still could not be written: {exc}") from exc
    finally:
        partial.unlink(missing_ok=True)
    return output
