"""What a clip may come with: a picture to start from, a clip to go on from, stills, previews, labels, tags."""

from __future__ import annotations

import io
import pathlib
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fake_model import EncoderError, Interrupted, InvalidInput, VideoOutput
from fake_model.elements import Planes, Stage
from fake_model.start import first_picture
from fake_model.stills import picture
from fake_model.watermark import Label, Watermark

Render = Callable[..., VideoOutput]
Luma = Callable[[VideoOutput], npt.NDArray[np.uint8]]


def gradient(width: int = 480, height: int = 480) -> Image.Image:
    return Image.radial_gradient("L").resize((width, height)).convert("RGB")


def test_a_clip_starts_from_its_picture(render: Render, luma: Luma, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "start.png"
    gradient().save(path)
    video = render(image=path, fps=10)
    frames = luma(video).astype(np.float64)
    expected = first_picture(path, 480, 480)[: 480 * 480].reshape(480, 480).astype(np.float64)
    assert np.abs(frames[0] - expected)[:380].mean() < 4
    assert np.abs(frames[-1] - expected)[:380].mean() > 15
    assert len(frames) == 10


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_strength_is_the_noise_that_the_picture_is_given(render: Render, luma: Luma, strength: float) -> None:
    frames = luma(render(image=gradient(), strength=strength, fps=30)).astype(np.float64)
    roughness = np.abs(np.diff(frames[1, :380], axis=1)).mean()
    assert (roughness > 15) if strength == 1.0 else (roughness < 15 + 30 * strength)
    assert roughness > 3 or strength == 0.0


def test_an_extension_goes_on_without_a_jump(render: Render, luma: Luma, tmp_path: pathlib.Path) -> None:
    for prompt in ("a horse in a meadow", "neon city in the rain", "abstract ink", "a whale in the sea"):
        first = render(prompt, fps=10, seconds=2)
        head = luma(first).astype(np.float64)
        second = render(prompt, fps=10, seconds=1, continue_from=first.next_tick, output=tmp_path / "more.mp4")
        tail = luma(second).astype(np.float64)
        assert second.next_tick == first.next_tick + 10
        within = np.abs(np.diff(head[-4:], axis=0)).mean(axis=(1, 2)).max()
        assert np.abs(tail[0] - head[-1]).mean() < 1.6 * within + 0.6


@given(fps=st.integers(1, 60), tick=st.integers(0, 5000))
def test_the_camera_never_jumps(fps: int, tick: int) -> None:
    stage = Stage(480, 480, fps, 1)
    here, there = stage.camera(tick), stage.camera(tick + 1)
    assert 0 <= here <= fps * stage.turn_seconds * 256
    assert abs(there - here) <= 257
    drift = stage.drift(0.2)
    assert 0 <= drift.at(tick) <= drift.travel


@pytest.mark.parametrize(
    "prompt", ["neon city in the rain", "a rocket in space", "abstract ink", "a dog, snow", "boat"]
)
def test_turbo_repeats_a_seamless_loop(render: Render, luma: Luma, prompt: str) -> None:
    video = render(prompt, model="turbo", fps=5, seconds=10)
    frames = luma(video).astype(np.int16)
    assert len(frames) == 50
    first, length = 8, 20
    np.testing.assert_array_equal(frames[first + length : first + 2 * length], frames[first : first + length])
    np.testing.assert_array_equal(frames[first + 2 * length :], frames[first : first + 50 - first - 2 * length])
    steps = np.abs(np.diff(frames[first:], axis=0)).mean(axis=(1, 2))
    # Twice the median leaves room for the soft turns of the camera; a jump would be many times as much.
    assert steps[length - 1] < 2 * np.median(steps) + 0.5


def test_turbo_marks_every_frame_and_counts_all(render: Render, luma: Luma, tmp_path: pathlib.Path) -> None:
    told: list[int] = []
    arguments: dict[str, Any] = {"thumbnail": tmp_path / "still.webp", "spritesheet": tmp_path / "sheet.jpg"}
    video = render(
        model="turbo", fps=5, seconds=9, on_frame=lambda done, _total: told.append(done), exercise="EXERCISE",
        forensic=(7, b"a key of a test clip"), **arguments,
    )  # fmt: skip
    assert told == list(range(1, 46))
    mark = Watermark("synthetic · leakdrill mock", 480, 480)
    planes = Planes(*(np.full((480 // k, 480 // k), 110, np.uint8) for k in (1, 2, 2)))
    mark.put(planes)
    area = (slice(mark.top, mark.bottom), slice(mark.left, mark.right))
    for frame in luma(video):
        assert np.corrcoef(frame[area].ravel(), planes.y[area].ravel())[0, 1] > 0.85
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "sheet.jpg", "still.webp"]
    head = video.path.read_bytes()[:100_000]
    assert head.index(b"moov") < head.index(b"mdat")


@pytest.mark.parametrize("after", [0, 9, 28, 40, 44])
def test_an_interrupted_loop_leaves_nothing(render: Render, tmp_path: pathlib.Path, after: int) -> None:
    written = 0

    def count(done: int, _total: int) -> None:
        nonlocal written
        written = done

    with pytest.raises(Interrupted):
        render(model="turbo", fps=5, seconds=9, on_frame=count, interrupt=lambda: written >= after)
    assert list(tmp_path.iterdir()) == []


def test_stills_come_with_the_clip(render: Render, tmp_path: pathlib.Path) -> None:
    thumbnail, sheet = tmp_path / "still.webp", tmp_path / "sheet.jpg"
    render(size="854x480", seconds=2, thumbnail=thumbnail, spritesheet=sheet)
    with Image.open(thumbnail) as still:
        assert (still.format, still.size) == ("WEBP", (480, 270))
    with Image.open(sheet) as tiles:
        assert (tiles.format, tiles.size) == ("JPEG", (1200, 135))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "sheet.jpg", "still.webp"]


def test_a_still_has_the_colours_of_the_clip() -> None:
    """BT.709 red, green and blue of limited range come back as such."""
    for yuv, rgb in (((63, 102, 240), (255, 0, 0)), ((173, 42, 26), (0, 255, 0)), ((32, 240, 118), (0, 0, 255))):
        planes = Planes(*(np.full((side, side), level, np.uint8) for side, level in zip((8, 4, 4), yuv, strict=True)))
        colour = np.asarray(picture(planes, 8))[0, 0].astype(int)
        assert np.abs(colour - rgb).max() <= 3


@pytest.mark.parametrize("after", [0, 3, 6])
def test_an_interrupt_leaves_no_still(render: Render, tmp_path: pathlib.Path, after: int) -> None:
    written = 0

    def count(done: int, _total: int) -> None:
        nonlocal written
        written = done

    arguments: dict[str, Any] = {"thumbnail": tmp_path / "still.webp", "spritesheet": tmp_path / "sheet.jpg"}
    with pytest.raises(Interrupted):
        render(on_frame=count, interrupt=lambda: written >= after, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_still_that_cannot_be_written_leaves_nothing(
    render: Render, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(EncoderError, match=r"thumbnail: .*No space left"):
        render(thumbnail=tmp_path / "still.webp")
    assert list(tmp_path.iterdir()) == []


def test_previews_are_small_marked_and_few(render: Render) -> None:
    seen: list[bytes] = []
    render(size="854x480", on_preview=seen.append)
    assert 1 <= len(seen) <= 30
    with Image.open(io.BytesIO(seen[0])) as preview:
        assert (preview.format, preview.size) == ("JPEG", (320, 180))
        shown = np.asarray(preview.convert("L"), dtype=np.float64)
    mark = Watermark("synthetic · leakdrill mock", 320, 180)
    area = (slice(mark.top, mark.bottom), slice(mark.left, mark.right))
    planes = Planes(*(np.full((180 // k, 320 // k), 110, np.uint8) for k in (1, 2, 2)))
    mark.put(planes)
    assert np.corrcoef(shown[area].ravel(), planes.y[area].astype(np.float64).ravel())[0, 1] > 0.8


def test_a_preview_of_each_step_or_of_as_few_as_are_wanted(render: Render) -> None:
    steps, each, one = list[int](), list[tuple[int, bytes]](), list[bytes]()
    render(
        num_inference_steps=8,
        on_preview=lambda frame: each.append((len(steps), frame)),
        preview_seconds=0,
        callback_on_step_end=lambda _pipe, index, _timestep, _state: steps.append(index),
    )
    assert [done for done, _ in each] == list(range(8))
    assert len({frame for _, frame in each}) == 8
    render(num_inference_steps=8, on_preview=one.append, preview_seconds=60)
    assert one == [each[0][1]]
    with pytest.raises(InvalidInput, match="preview_seconds"):
        render(preview_seconds=-1)


@pytest.mark.parametrize("size", ["854x480", "480x854"])
def test_labels_are_where_they_belong(render: Render, luma: Luma, size: str) -> None:
    arguments: dict[str, Any] = {"size": size, "fps": 10, "num_inference_steps": 2}
    plain = luma(render(**arguments)).astype(np.int16)
    labelled = luma(render(exercise="EXERCISE", step_counter=True, **arguments)).astype(np.int16)
    width, height = (int(side) for side in size.split("x"))
    change = np.abs(labelled - plain)
    left, right = change[:, :60, : width // 2], change[:, :60, width // 2 :]
    assert (left.max(axis=(1, 2)) > 40).all()
    # The counter is there while the clip is refined, which is four frames of ten.
    assert (right[:4].max(axis=(1, 2)) > 40).all()
    assert (right[4:].mean(axis=(1, 2)) < 1).all()
    for text in ("EXERCISE", "step 100/100"):
        stamp = Label(text, width, height, right=True)._stamp
        assert stamp.shape[0] >= 20
        assert stamp.shape[1] < width / 2


def test_tags_say_what_the_clip_is(render: Render, probe: Callable[[pathlib.Path], str]) -> None:
    said = probe(render("secret words", seed=7, created_at=1731628800.0).path)
    assert "synthetic · leakdrill mock · model standard · seed 7" in said
    assert "2024-11-15T00:00:00" in said
    assert "secret words" not in said
    first = render(created_at=5.0).path.read_bytes()
    assert render(created_at=5.0).path.read_bytes() == first
    assert "creation_time" not in probe(render().path)


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its data does not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"not a picture", saved(gradient(), "PNG")[:2000], saved(gradient(), "JPEG")[:3000],
        saved(gradient(), "WEBP")[:700], saved(gradient(480, 482), "PNG"), saved(gradient(), "BMP"),
        bomb(60_000, 60_000), bomb(480, 480),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "cut webp", "size", "bmp", "bomb", "short"],
)  # fmt: skip
def test_a_bad_picture_is_named(render: Render, tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "start"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        render(image=path)
    assert caught.value.argument == "image"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("image", "start.png"), ("image", pathlib.Path("/nowhere/start.png")), ("image", Image.new("RGB", (9, 9))),
        ("strength", -0.1), ("strength", 1.1), ("strength", float("nan")), ("strength", None),
        ("continue_from", -1), ("continue_from", 1.5), ("continue_from", 1 << 20),
        ("exercise", ""), ("exercise", "x" * 41), ("exercise", 3),
        ("created_at", -1.0), ("created_at", float("inf")), ("created_at", "now"),
        ("thumbnail", "still.webp"), ("spritesheet", pathlib.Path("/nowhere/sheet.jpg")),
    ],
)  # fmt: skip
def test_bad_input_names_the_argument(render: Render, tmp_path: pathlib.Path, argument: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        render(**{argument: value})
    assert caught.value.argument == argument
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.sampled_from(["480x480", "854x480", "480x854"]),
    fps=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    continue_from=st.integers(0, 1000),
    start=st.booleans(),
    strength=st.floats(0, 1),
)
def test_options_go_together(
    render: Render, luma: Luma, size: str, fps: int, seed: int, continue_from: int, start: bool, strength: float
) -> None:
    width, height = (int(side) for side in size.split("x"))
    image = gradient(width, height) if start else None
    video = render(
        size=size, fps=fps, seed=seed, continue_from=continue_from, image=image, strength=strength, exercise="drill",
        step_counter=True, forensic=(seed, b"a key of a test clip"),
    )  # fmt: skip
    assert luma(video).shape == (fps, height, width)
