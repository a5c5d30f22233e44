"""What people upload: looked at, and refused by name, without following it anywhere."""

from __future__ import annotations

import io
import pathlib
import socket
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fake_model import Interrupted, InvalidInput, Source, VideoOutput, check_picture, palette_of, probe, sniff
from fake_model.footage import Footage

Render = Callable[..., VideoOutput]
Foreign = Callable[..., pathlib.Path]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(8), "png"), (b"\xff\xd8\xff\xe0" + bytes(8), "jpeg"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"), (b"RIFF\x10\0\0\0AVI LIST", None), (b"GIF89a" + bytes(8), "gif"),
        (b"\0\0\0\x20ftypisom", "mp4"), (b"\0\0\0\x14ftypqt  ", "mov"), (b"\0\0\0\x20ftypavif", "heif"),
        (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x84webm", "webm"),
        (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x88matroska", "mkv"), (b"#EXTM3U\n", None), (b"", None),
        (b"ffconcat version 1.0", None), (b"<?xml", None), (b"\0\0\0\x20fty", None),
    ],
)  # fmt: skip
def test_files_are_told_by_their_first_bytes(head: bytes, kind: str | None) -> None:
    assert sniff(head) == kind


@given(st.binary(max_size=80))
def test_any_bytes_have_an_answer(head: bytes) -> None:
    assert sniff(head) in (None, "png", "jpeg", "webp", "gif", "heif", "mp4", "mov", "webm", "mkv")


def test_a_clip_of_our_own_is_described(render: Render) -> None:
    video = render(size="854x480", seconds=2, fps=12)
    assert probe(video.path) == Source(video.path, 854, 480, 12.0, 2.0, 24, "h264", steady=True)


@pytest.mark.parametrize(
    ("name", "more", "codec"),
    [
        ("clip.mp4", ["-c:v", "libx264", "-preset", "medium"], "h264"),
        ("clip.mov", ["-c:v", "mpeg4"], "mpeg4"),
        ("clip.webm", ["-c:v", "libvpx", "-deadline", "realtime"], "vp8"),
    ],
)
def test_foreign_clips_are_described(foreign: Foreign, name: str, more: list[str], codec: str) -> None:
    source = probe(foreign(name, "320x180", 2, 10, *more))
    assert (source.width, source.height, source.num_frames, source.codec) == (320, 180, 20, codec)
    assert source.seconds == pytest.approx(2, abs=0.1)
    assert source.fps == pytest.approx(10, abs=0.5)


def test_a_phones_rotation_counts(foreign: Foreign, tmp_path: pathlib.Path) -> None:
    turned = tmp_path / "turned.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-display_rotation", "90", "-i", str(foreign())]
    subprocess.run([*command, "-c", "copy", str(turned)], check=True)
    source = probe(turned)
    assert (source.width, source.height) == (360, 640)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[int]]]:
    """A port of this machine, and a list that gets an entry for whoever connects."""
    visits: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return
                visits.append(1)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], visits
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def hostile(port: int, clip: bytes) -> dict[str, bytes]:
    """Files that are no clip, by name."""
    address = f"http://127.0.0.1:{port}/part.ts"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n".encode()
    ebml = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm"
    # A movie of references only (Apple's QuickTime File Format, "reference movies").
    link = address.encode() + b"\0"
    reference = b"rdrf" + bytes(4) + b"url " + struct.pack(">I", len(link)) + link
    reference = box(b"moov", box(b"rmra", box(b"rmda", struct.pack(">I", len(reference) + 4) + reference)))
    return {
        "text": b"no clip at all " * 99, "empty": b"", "playlist": playlist,
        "script": f"ffconcat version 1.0\nfile {address}\n".encode(), "cut": clip[: len(clip) // 2],
        "head only": clip[:40], "zeros": clip[:32] + bytes(9000), "playlist in a box": clip[:32] + playlist,
        "manifest": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
        "noise in ebml": ebml + b"\xff" * 5000, "references": clip[:32] + reference, "wiped": wiped(clip),
    }  # fmt: skip


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def wiped(clip: bytes) -> bytes:
    middle = len(clip) // 2
    return clip[:middle] + bytes(len(clip) - middle)


def test_what_is_no_clip_is_refused_and_not_followed(
    render: Render, tmp_path: pathlib.Path, listener: tuple[int, list[int]]
) -> None:
    port, visits = listener
    clip = render().path.read_bytes()
    for name, content in hostile(port, clip).items():
        path = tmp_path / "upload.mp4"
        path.write_bytes(content)
        for look in (probe, palette_of):
            begun = time.monotonic()
            with pytest.raises(InvalidInput) as caught:
                look(path)
            assert caught.value.argument == "video", name
            assert time.monotonic() - begun < 5, name
    assert visits == []


@pytest.mark.parametrize(
    ("name", "size", "seconds", "fps", "more"),
    [
        ("huge.mp4", "8192x4320", 0.2, 10, ["-preset", "ultrafast"]),
        ("wide.mp4", "8192x16", 0.2, 10, ["-preset", "ultrafast"]),
        ("small.mp4", "8x8", 0.2, 10, []),
        ("long.mp4", "64x64", 125, 1, []),
        ("codec.avi", "64x64", 1, 10, []),
        ("animation.gif", "64x64", 1, 10, []),
        ("sound.mp4", "64x64", 1, 10, ["-f", "lavfi", "-i", "sine=d=1", "-map", "1:a"]),
        ("hidden.mkv", "64x64", 1, 10, []),
    ],
)  # fmt: skip
def test_clips_that_are_not_wanted_are_named(
    foreign: Foreign, name: str, size: str, seconds: float, fps: int, more: list[str]
) -> None:
    # Inputs have to come before codecs' options.
    path = foreign(name, size, seconds, fps, *more)
    with pytest.raises(InvalidInput) as caught:
        probe(path)
    assert caught.value.argument == "video"


def test_a_covers_picture_is_no_clip(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "song.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-f", "lavfi", "-i"]
    command += ["color=red:s=64x64:d=0.04", "-map", "0", "-map", "1", "-c:v", "mjpeg", "-frames:v", "1"]
    subprocess.run([*command, "-disposition:v:0", "attached_pic", str(path)], check=True, capture_output=True)
    with pytest.raises(InvalidInput):
        probe(path)


@pytest.mark.parametrize("path", [pathlib.Path("/nowhere/clip.mp4"), pathlib.Path("/"), "clip.mp4", None])
def test_what_is_no_file_is_named(path: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        probe(path)
    assert caught.value.argument == "video"


def test_time_is_limited_and_an_interrupt_heard(render: Render) -> None:
    path = render().path
    with pytest.raises(InvalidInput, match="within 0 s"):
        probe(path, timeout=0)
    with pytest.raises(Interrupted):
        probe(path, stop=lambda: True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_bearable(render: Render, tmp_path: pathlib.Path, data: st.DataObject) -> None:
    path = tmp_path / "damaged.mp4"
    if not path.exists():
        path.write_bytes(render(fps=3).path.read_bytes())
    clip = bytearray((tmp_path / "clip.mp4").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        clip[data.draw(st.integers(0, len(clip) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(clip)
    try:
        source = probe(path)
    except InvalidInput:
        return
    assert 0 < source.seconds <= 120.5
    assert len(palette_of(path)) >= 1


def test_palettes_are_the_same_each_time(render: Render) -> None:
    path = render("a red planet in space", fps=10).path
    first = palette_of(path, 4)
    assert first == palette_of(path, 4)
    assert 1 <= len(first) <= 4
    assert all(0 <= part <= 255 for colour in first for part in colour)


@pytest.mark.parametrize("count", [0, 11, 1.0, True])
def test_palettes_have_a_size(render: Render, count: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        palette_of(render().path, count)
    assert caught.value.argument == "count"


def test_a_palette_is_what_the_clip_shows(foreign: Foreign, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "two.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "color=0xc81e28:s=160x90:d=1:r=10"]
    command += ["-vf", "drawbox=x=0:y=0:w=48:h=90:color=0x1428be:t=fill,format=yuv444p,scale=out_color_matrix=bt709"]
    command += ["-colorspace", "bt709", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    red, blue = palette_of(path, 2)
    assert np.abs(np.array(red) - (200, 30, 40)).max() < 14
    assert np.abs(np.array(blue) - (20, 40, 190)).max() < 14


def test_footage_crops_at_the_middle(foreign: Foreign) -> None:
    path = foreign("wide.mp4", "640x160", 1, 10, "-vf", "drawbox=x=240:w=160:h=160:color=white:t=fill")
    buffer = np.zeros(480 * 480 * 3 // 2, dtype=np.uint8)
    with Footage(path, (480, 480), 10, 99, lambda: False) as footage:
        count = 0
        while footage.frame_into(buffer):
            count += 1
            assert buffer[: 480 * 480].reshape(480, 480)[10:-10, 10:-10].min() > 220
    assert count == 10


def saved(kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.radial_gradient("L").resize((480, 480)).convert("RGB").save(stream, format=kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_good_pictures_pass(tmp_path: pathlib.Path, kind: str) -> None:
    path = tmp_path / "start"
    path.write_bytes(saved(kind))
    check_picture(path, 480, 480)


def bomb(width: int, height: int) -> bytes:
    """A PNG of that size and far fewer bytes: all black."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    chunks = ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    parts = (struct.pack(">I", len(data)) + k + data + struct.pack(">I", zlib.crc32(k + data)) for k, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_bomb_is_refused_before_a_pixel_is_decoded(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    for side in (8000, 20_000):
        path.write_bytes(bomb(side, side))

        def load(_image: Image.Image) -> None:
            raise AssertionError("decoded")

        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
        with pytest.raises(InvalidInput, match="480x480") as caught:
            check_picture(path, 480, 480)
        assert caught.value.argument == "image"


def test_a_jpeg_of_endless_scans_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "scans.jpg"
    content = saved("JPEG", progressive=True)
    scan = content.rindex(b"\xff\xda")
    path.write_bytes(content[:scan] + content[scan:-2] * 300 + content[-2:])
    with pytest.raises(InvalidInput, match="scans"):
        check_picture(path, 480, 480)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", saved("PNG")[:900], saved("GIF"), bomb(480, 482)],
    ids=["empty", "text", "cut", "gif", "size"],
)
def test_bad_pictures_are_named(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "start"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        check_picture(path, 480, 480)
    assert caught.value.argument == "image"


@pytest.mark.parametrize("path", [pathlib.Path("/nowhere/start.png"), pathlib.Path("/"), "start.png", None])
def test_what_is_no_picture_file_is_named(path: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_picture(path, 480, 480)
    assert caught.value.argument == "image"
