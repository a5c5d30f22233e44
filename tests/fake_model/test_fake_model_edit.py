"""Edits: a clip's own frames, regraded and overlaid, coming out of noise."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest

from fake_model import EncoderError, InvalidInput, VideoEditPipeline, VideoOutput
from fake_model.blend import mix_into
from fake_model.elements import Planes
from fake_model.trace import trace
from fake_model.watermark import Watermark

Render = Callable[..., VideoOutput]
Foreign = Callable[..., pathlib.Path]
Frames = npt.NDArray[np.uint8]
Edit = Callable[..., VideoOutput]

KEY = b"a key of a test clip"


@pytest.fixture
def edit(tmp_path: pathlib.Path, foreign: Foreign) -> Edit:
    """Edit a test picture, or `source`, with cheap defaults; keywords as for the pipeline."""

    def call(prompt: str = "make it night", **arguments: Any) -> VideoOutput:
        defaults: dict[str, Any] = {"size": "480x480", "fps": 10, "output": tmp_path / "edit.mp4"}
        if "source" not in arguments:
            defaults["source"] = foreign(size="480x480")
        return VideoEditPipeline()(prompt, **(defaults | arguments))

    return call


def above_mark(frames: Frames) -> npt.NDArray[np.float64]:
    return frames[:, :350].astype(np.float64)


@pytest.mark.parametrize(
    "prompt", ["make it night", "a sunset, snow", "fog", "rain", "in teal", "zxqv", "at noon", "neon", "black and grey"]
)
def test_the_source_can_be_recognised_and_its_colours_differ(
    edit: Edit, render: Render, luma: Any, colours_of: Any, prompt: str, tmp_path: pathlib.Path
) -> None:
    source = render("a lake below mountains, day, clear", seconds=2, fps=10)
    video = edit(prompt, source=source.path)
    for before, after in zip(above_mark(luma(source))[12:], above_mark(luma(video))[12:], strict=True):
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.85
    change = colours_of(source.path, 1.3).astype(np.int16) - colours_of(video.path, 1.3).astype(np.int16)
    assert np.abs(change).mean() > 5


def test_the_change_comes_out_of_noise(edit: Edit, luma: Any, foreign: Foreign) -> None:
    source = foreign("flat.mp4", "480x480", 2, 10, "-vf", "drawbox=w=480:h=480:color=gray:t=fill")
    frames = above_mark(luma(edit(source=source, strength=0.8)))
    rough = np.abs(np.diff(frames, axis=2)).mean(axis=(1, 2))
    assert rough[0] > 15
    assert (rough[8:] < 1).all()
    weaker = above_mark(luma(edit(source=source, strength=0.3)))
    assert 2 < np.abs(np.diff(weaker[0], axis=1)).mean() < rough[0] / 2


def test_strength_0_leaves_the_source_as_it_is(edit: Edit, luma: Any, render: Render) -> None:
    source = render(fps=10, seconds=2)
    video = edit("neon snow", source=source.path, strength=0.0)
    assert np.abs(above_mark(luma(video)) - above_mark(luma(source)))[8:].mean() < 2.5


@pytest.mark.parametrize(("length", "seconds"), [(0.3, 1), (1.4, 1), (2.6, 3)])
def test_length_is_the_sources_in_whole_seconds(
    edit: Edit, luma: Any, foreign: Foreign, length: float, seconds: int
) -> None:
    video = edit(source=foreign("short.mp4", "320x180", length))
    assert (video.seconds, video.num_frames, video.next_tick) == (seconds, seconds * 10, 0)
    assert len(luma(video)) == seconds * 10


@pytest.mark.parametrize("size", ["854x480", "480x854"])
def test_other_shapes_rates_and_codecs_fit(edit: Edit, luma: Any, foreign: Foreign, size: str) -> None:
    source = foreign("clip.webm", "320x240", 1, 24, "-c:v", "libvpx", "-deadline", "realtime")
    video = edit("snow", source=source, size=size, fps=7)
    width, height = (int(side) for side in size.split("x"))
    assert luma(video).shape == (7, height, width)


def test_colours_and_subjects_are_put_on(edit: Edit, luma: Any, colours_of: Any, foreign: Foreign) -> None:
    source = foreign("flat.mp4", "480x480", 2, 10, "-vf", "drawbox=w=480:h=480:color=gray:t=fill")
    red = colours_of(edit("x", source=source, colours=[(230, 20, 30)]).path, 1.3).astype(np.int16)
    assert (red[:, 0] - red[:, 2]).mean() > 60
    without = above_mark(luma(edit("x", source=source)))[-1]
    robot = above_mark(luma(edit("x robot", source=source)))[-1]
    assert without.std() < 4
    assert robot.std() > 8


@pytest.mark.parametrize("prompt", ["night", "snow", "zxqv"])
def test_marks_are_on_every_frame_and_name_the_edit(
    edit: Edit, render: Render, luma: Any, prompt: str, tmp_path: pathlib.Path
) -> None:
    source = render("neon city in the rain", size="854x480", seconds=3, fps=12, forensic=(1 << 63 | 5, KEY))
    video = edit(prompt, source=source.path, size="854x480", fps=12, forensic=(77, KEY))
    assert trace(video.path, KEY).payload == 77
    mark = Watermark("synthetic · leakdrill mock", 854, 480)
    for frame in luma(video):
        assert mark.seen(Planes(frame, frame[::2, ::2], frame[::2, ::2]))


def test_a_mark_is_not_seen_where_it_is_not(foreign: Foreign, luma: Any, edit: Edit) -> None:
    source = foreign(size="480x480")
    plain = VideoOutput(**(vars(edit(source=source)) | {"path": source}))
    mark = Watermark("synthetic · leakdrill mock", 480, 480)
    assert not any(mark.seen(Planes(frame, frame[::2, ::2], frame[::2, ::2])) for frame in luma(plain))


def test_the_same_arguments_give_the_same_frames(edit: Edit, foreign: Foreign) -> None:
    source = foreign(size="480x480")
    calls: list[dict[str, Any]] = [{}, {}, {"seed": 1}, {"prompt": "snow"}, {"strength": 0.5}, {"style": "saltglass"}]
    calls += [{"colours": [(9, 99, 200)]}, {"model": "turbo"}, {"negative_prompt": "night"}, {"guidance_scale": 1.0}]
    hashes = [edit(**({"source": source} | call), hash_frames=True).frames_sha256 for call in calls]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == len(calls) - 1


def test_callbacks_and_stills_as_in_the_pipeline(edit: Edit, tmp_path: pathlib.Path) -> None:
    steps: list[tuple[int, dict[str, object]]] = []
    frames: list[tuple[int, int]] = []
    previews: list[bytes] = []
    video = edit(
        num_inference_steps=10, strength=0.5, thumbnail=tmp_path / "still.webp", spritesheet=tmp_path / "sheet.jpg",
        callback_on_step_end=lambda _pipeline, index, _timestep, state: steps.append((index, state)),
        on_frame=lambda done, total: frames.append((done, total)), on_preview=previews.append, step_counter=True,
        exercise="EXERCISE",
    )  # fmt: skip
    indices = [index for index, _ in steps]
    assert indices == list(range(indices[0], 10))
    assert 3 < indices[0] < 9
    assert all(state == {"num_inference_steps": 10} for _, state in steps)
    assert frames == [(done, 20) for done in range(1, 21)]
    assert all(picture[:2] == b"\xff\xd8" for picture in previews)
    assert video.bytes == video.path.stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {"foreign.mp4", "edit.mp4", "still.webp", "sheet.jpg"}


@pytest.mark.parametrize("after", [0.0, 0.03, 0.1, 0.2, None])
def test_an_interrupt_leaves_nothing(
    interrupted: Callable[..., float], foreign: Foreign, tmp_path: pathlib.Path, after: float | None
) -> None:
    source = foreign("long.mp4", "854x480", 20, 30, "-preset", "ultrafast")
    stop = partial(
        interrupted, VideoEditPipeline(), after, prompt="night, snow", source=source, output=tmp_path / "edit.mp4",
        size="1280x720", fps=30, forensic=(5, KEY), thumbnail=tmp_path / "still.webp",
    )  # fmt: skip
    # A machine with other work to do may be late once.
    assert any(stop() < 0.25 for _ in range(3))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("prompt", ""), ("size", "1x1"), ("fps", 0), ("strength", 1.5), ("colours", []), ("output", "edit.mp4"),
        ("forensic", (1, b"short")), ("source", "clip.mp4"), ("source", pathlib.Path("/nowhere/clip.mp4")),
    ],
)  # fmt: skip
def test_bad_input_names_the_argument(edit: Edit, tmp_path: pathlib.Path, argument: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        edit(**{argument: value})
    assert caught.value.argument == argument
    assert {path.name for path in tmp_path.iterdir()} <= {"foreign.mp4"}


def test_a_source_that_is_no_clip_is_named(edit: Edit, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("hello")
    with pytest.raises(InvalidInput) as caught:
        edit(source=path)
    assert caught.value.argument == "source"
    assert list(tmp_path.iterdir()) == [path]


def test_a_decoder_that_cannot_start_is_reported(
    edit: Edit, foreign: Foreign, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = foreign(size="480x480")

    def nowhere() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    with monkeypatch.context() as patch:
        patch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", nowhere)
        with pytest.raises(EncoderError, match="could not be started: No ffmpeg"):
            edit(source=source)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nothing"))
    with pytest.raises(EncoderError, match="could not be started"):
        edit(source=source)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("amount", [0, 1, 100, 255, 256])
def test_frames_are_mixed(amount: int) -> None:
    one, other = np.arange(256, dtype=np.uint8), np.full(256, 200, dtype=np.uint8)
    mixed = one.copy()
    mix_into(mixed, other, amount)
    expected = (one.astype(np.float64) * (256 - amount) + 200.0 * amount) / 256
    assert np.abs(mixed - expected).max() <= 0.5
