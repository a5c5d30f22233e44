"""Tracing real files: attacks that a mark survives, and everything that has to be answered with unknown."""

from __future__ import annotations

import pathlib
import subprocess

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest

from fake_model import VideoPipeline
from fake_model.errors import InvalidInput, PipelineError
from fake_model.forensic import ForensicMark
from fake_model.forensic_code import PILOT, chips, layout
from fake_model.trace import MIN_SCORE, NotAVideo, Trace, average, find, trace

KEY = b"a key of the tests, 32 bytes long"
OTHER = b"another key, as good as the first"
PAYLOAD = 0xC0FFEE_DECAF_C0DE
FPS = 12
#: The clips here are two small seconds long, half of them noise; a mark for this quantiser gives them some margin.
QP = 32
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()

Frames = npt.NDArray[np.uint8]


def raw_frames(folder: pathlib.Path, size: str, seconds: int) -> Frames:
    """Decoded frames of a real clip, (frames, bytes of a yuv420p frame)."""
    clip = folder / f"plain {size}.mp4"
    VideoPipeline()("a lake below mountains at sunset", output=clip, size=size, seconds=seconds, fps=FPS)
    command = [FFMPEG, "-v", "error", "-i", str(clip), "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, dtype=np.uint8).reshape(seconds * FPS, -1)


def write(frames: Frames, size: str, output: pathlib.Path, mark: ForensicMark | None) -> pathlib.Path:
    """Encode frames as the pipeline does, marked."""
    width, height = (int(side) for side in size.split("x"))
    marked = frames.copy()
    if mark is not None:
        for frame in marked:
            mark.put(frame[: width * height].reshape(height, width))
    source = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-r", str(FPS), "-i", "pipe:0"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "26", "-g", str(FPS * 2), "-movflags", "+faststart"]
    command = [FFMPEG, "-v", "error", "-y", *source, *codec, str(output)]
    subprocess.run(command, input=marked.tobytes(), check=True)
    return output


def attack(source: pathlib.Path, output: pathlib.Path, filters: str, crf: int = 23, *part: str) -> pathlib.Path:
    command = [FFMPEG, "-v", "error", "-nostdin", "-y", *part, "-i", str(source), "-vf", filters]
    subprocess.run([*command, "-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), str(output)], check=True)
    return output


def traced(path: pathlib.Path, key: bytes = KEY) -> int | None:
    return trace(path, key).payload


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("trace")


@pytest.fixture(scope="module")
def frames(folder: pathlib.Path) -> Frames:
    return raw_frames(folder, "854x480", 2)


@pytest.fixture(scope="module")
def marked(folder: pathlib.Path, frames: Frames) -> pathlib.Path:
    return write(frames, "854x480", folder / "marked.mp4", ForensicMark(PAYLOAD, KEY, 854, 480, qp=QP))


@pytest.fixture(scope="module")
def plain(folder: pathlib.Path, frames: Frames) -> pathlib.Path:
    return write(frames, "854x480", folder / "unmarked.mp4", None)


def test_a_delivered_clip_names_its_payload(marked: pathlib.Path) -> None:
    found = trace(marked, KEY)
    assert found.payload == PAYLOAD
    assert found.reason == "mark found and checked"
    assert found.score > 9
    assert 0.3 < found.confidence <= 1
    assert found.frames == 16
    assert found.geometry is not None
    assert found.geometry.scale == pytest.approx((1, 1), abs=0.01)
    assert found.geometry.offset == pytest.approx((0, 0), abs=0.01)
    assert not found.geometry.mirrored


@pytest.mark.parametrize(
    ("filters", "crf", "part"),
    [
        ("null", 28, ()),
        ("scale=640:360", 23, ()),
        ("scale=1280:720", 28, ()),
        ("crop=768:432:0:0", 23, ()),
        ("crop=768:432", 23, ()),
        ("crop=768:480:86:0", 23, ()),
        ("fps=10", 23, ()),
        ("null", 23, ("-t", "1.6")),
        ("null", 23, ("-sseof", "-1")),
        ("eq=brightness=0.06:contrast=1.2", 23, ()),
        ("hflip", 23, ()),
        ("scale=600:600", 23, ()),
    ],
)
def test_what_a_mark_survives(
    marked: pathlib.Path, tmp_path: pathlib.Path, filters: str, crf: int, part: tuple[str, ...]
) -> None:
    picture = average(attack(marked, tmp_path / "attacked.mp4", filters, crf, *part))
    assert find(picture, KEY).payload == PAYLOAD
    assert find(picture, OTHER).payload is None


def test_a_crop_is_found_where_it_was_made(marked: pathlib.Path, tmp_path: pathlib.Path) -> None:
    geometry = trace(attack(marked, tmp_path / "cropped.mp4", "crop=768:432:86:48"), KEY).geometry
    assert geometry is not None
    assert geometry.scale == pytest.approx((0.9, 0.9), abs=0.02)
    assert geometry.offset == pytest.approx((0.1, 0.1), abs=0.02)


@pytest.mark.parametrize("container", ["clip.mkv", "clip.webm", "clip.avi", "a clip, 100%: [x]'s.mov"])
def test_containers(marked: pathlib.Path, tmp_path: pathlib.Path, container: str) -> None:
    path = tmp_path / container
    codec = ["-c:v", "libvpx", "-b:v", "4M", "-deadline", "realtime", "-cpu-used", "8"]
    command = [FFMPEG, "-v", "error", "-i", str(marked), *(codec if path.suffix == ".webm" else ["-c", "copy"])]
    subprocess.run([*command, f"file:{path}"], check=True)
    assert traced(path) == PAYLOAD


@pytest.mark.parametrize("size", ["480x854", "480x480"])
def test_portrait_and_square(folder: pathlib.Path, tmp_path: pathlib.Path, size: str) -> None:
    width, height = (int(side) for side in size.split("x"))
    mark = ForensicMark(PAYLOAD, KEY, width, height, qp=QP)
    path = write(raw_frames(folder, size, 2), size, tmp_path / "clip.mp4", mark)
    assert traced(path) == PAYLOAD
    assert traced(attack(path, tmp_path / "attacked.mp4", "crop=iw*0.9:ih*0.9", 28)) == PAYLOAD


def test_without_a_mark_nobody_is_named(plain: pathlib.Path) -> None:
    picture = average(plain)
    for key in (KEY, OTHER, b"a third key of them"):
        found = find(picture, key)
        assert found == Trace(None, 0.0, found.score, 16, None, "no mark of this key found")
        assert found.score < MIN_SCORE


def test_a_wrong_key_finds_nothing(marked: pathlib.Path) -> None:
    picture = average(marked)
    for number in range(3):
        found = find(picture, bytes([number]) * 16)
        assert (found.payload, found.geometry, found.reason) == (None, None, "no mark of this key found")


def test_a_clip_marked_under_a_strangers_key_is_unknown(frames: Frames, tmp_path: pathlib.Path) -> None:
    path = write(frames, "854x480", tmp_path / "forged.mp4", ForensicMark(PAYLOAD, OTHER, 854, 480, qp=QP))
    assert traced(path, KEY) is None


def rewritten(mark: ForensicMark, cells: npt.NDArray[np.intp]) -> None:
    """Turn a mark's cells around, as somebody could who knew where they are but not the key."""
    rows, columns = 36, 64
    flips = np.ones(rows * columns, dtype=np.int8)
    flips[cells] = -1
    down, across = np.arange(480) * rows // 480, np.arange(854) * columns // 854
    mark.pattern *= flips.reshape(rows, columns)[down][:, across]


def test_the_pilot_alone_names_nobody(frames: Frames, tmp_path: pathlib.Path) -> None:
    # The pilot is right, and the word is that of another key.
    where = layout(KEY, 64, 36)
    own, others = (chips(PAYLOAD, key, 64, 36).reshape(-1) for key in (KEY, OTHER))
    mark = ForensicMark(PAYLOAD, KEY, 854, 480, qp=QP)
    rewritten(mark, where.data[own[where.data] != others[where.data]])
    found = trace(write(frames, "854x480", tmp_path / "forged.mp4", mark), KEY)
    assert found.payload is None
    assert found.score > MIN_SCORE
    assert found.geometry is not None
    assert (found.confidence, found.reason) == (0.0, "a mark of this key, too damaged to be read")


@pytest.mark.parametrize(("share", "expected"), [(9, PAYLOAD), (2, None)])
def test_wrong_cells_are_corrected_up_to_a_point(
    frames: Frames, tmp_path: pathlib.Path, share: int, expected: int | None
) -> None:
    mark = ForensicMark(PAYLOAD, KEY, 854, 480, qp=QP)
    rewritten(mark, layout(KEY, 64, 36).data[::share])
    assert traced(write(frames, "854x480", tmp_path / "clip.mp4", mark)) == expected


def test_a_payload_of_zeros_and_one_of_ones(frames: Frames, tmp_path: pathlib.Path) -> None:
    for payload in (0, 2**64 - 1):
        path = write(frames[-FPS:], "854x480", tmp_path / "clip.mp4", ForensicMark(payload, KEY, 854, 480, qp=QP))
        assert traced(path) == payload


def test_only_the_beginning_is_looked_at_when_asked(marked: pathlib.Path) -> None:
    assert trace(marked, KEY, max_seconds=1).frames == 8


def test_a_clip_cut_off_in_the_middle_is_read_as_far_as_it_goes(marked: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(marked.read_bytes()[: marked.stat().st_size * 9 // 10])
    found = trace(path, KEY)
    assert 0 < found.frames <= 16
    assert found.payload in (PAYLOAD, None)


def not_videos(folder: pathlib.Path, marked: pathlib.Path) -> dict[str, bytes]:
    png = [FFMPEG, "-v", "error", "-i", str(marked), "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "pipe:1"]
    wav = [FFMPEG, "-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-f", "avi", "pipe:1"]
    return {
        "empty.mp4": b"",
        "text.mp4": b"no video at all\n" * 200,
        "head.mp4": marked.read_bytes()[:300],
        "zeros.mp4": bytes(100_000),
        "still.png": subprocess.run(png, capture_output=True, check=True).stdout,
        "sound.avi": subprocess.run(wav, capture_output=True, check=True).stdout,
        "list.m3u8": f"#EXTM3U\n#EXTINF:3,\n{marked}\n#EXT-X-ENDLIST\n".encode(),
        "list.ffconcat": f"ffconcat version 1.0\nfile '{marked}'\n".encode(),
    }


@pytest.mark.parametrize(
    "name",
    ["empty.mp4", "text.mp4", "head.mp4", "zeros.mp4", "still.png", "sound.avi", "list.m3u8", "list.ffconcat"],
)
def test_a_file_that_is_no_video_is_refused(marked: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(not_videos(tmp_path, marked)[name])
    with pytest.raises(NotAVideo, match=f"{name}: no frame can be decoded: ") as caught:
        trace(path, KEY)
    assert isinstance(caught.value, PipelineError)
    assert len(str(caught.value)) > len(f"{name}: no frame can be decoded: ")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: pathlib.Path) -> None:
    for path in (tmp_path / "missing.mp4", tmp_path):
        with pytest.raises(NotAVideo, match="no such file"):
            trace(path, KEY)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_length_without_sense_is_refused(marked: pathlib.Path, seconds: float) -> None:
    with pytest.raises(InvalidInput, match="max_seconds: a number above 0"):
        trace(marked, KEY, max_seconds=seconds)


def test_a_short_key_is_refused(marked: pathlib.Path) -> None:
    with pytest.raises(InvalidInput, match="key: at least 16 bytes"):
        trace(marked, b"short")


def test_a_quarter_of_the_cells_is_the_pilot() -> None:
    assert layout(KEY, 48, 48).pilot.size == PILOT == 576
