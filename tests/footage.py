"""Pictures and clips as people upload them, good ones and bad ones."""

from __future__ import annotations

import io
import struct
import subprocess
import zlib
from pathlib import Path

import imageio_ffmpeg
from PIL import Image


def picture(width: int = 854, height: int = 480, kind: str = "PNG", colour: str = "teal") -> bytes:
    """A picture of one colour; `kind` is Pillow's name of the format."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, kind)
    return buffer.getvalue()


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few kilobytes that would take gigabytes as pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
        + chunk(b"IEND", b"")
    )


def ffmpeg(*arguments: str, path: Path) -> bytes:
    """What ffmpeg writes to `path`, which goes again."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    content = path.read_bytes()
    path.unlink()
    return content


def clip(folder: Path, *, size: str = "320x180", seconds: float = 2, fps: int = 10, suffix: str = "mp4") -> bytes:
    """A test picture that moves."""
    source = f"testsrc2=size={size}:rate={fps}:duration={seconds}"
    fast = () if suffix in ("webm", "avi") else ("-preset", "ultrafast")
    return ffmpeg("-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", *fast, path=folder / f"clip.{suffix}")


def plain_clip(folder: Path, colour: str) -> bytes:
    """Two seconds of one colour."""
    source = f"color=c={colour}:size=320x180:rate=10:duration=2"
    return ffmpeg("-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", path=folder / "plain.mp4")


def sound_only(folder: Path) -> bytes:
    """An MP4 without a picture."""
    return ffmpeg("-f", "lavfi", "-i", "sine=duration=1", path=folder / "sound.mp4")
