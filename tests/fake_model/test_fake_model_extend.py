"""Extensions: the source's frames, then new ones that go on from its last."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest

from fake_model import InvalidInput, VideoExtendPipeline, VideoOutput, sources
from fake_model.elements import Planes
from fake_model.export import EncoderSettings
from fake_model.splice import expected_sets, parameter_sets, quantiser_of, stream_command
from fake_model.trace import trace
from fake_model.watermark import Watermark

Render = Callable[..., VideoOutput]
Foreign = Callable[..., pathlib.Path]
Extend = Callable[..., VideoOutput]
Floats = npt.NDArray[np.float64]

BASE = "a lake below mountains at sunset"
KEY = b"a key of a test clip"


@pytest.fixture
def extend(tmp_path: pathlib.Path) -> Extend:
    """Extend a clip with cheap defaults; keywords as for the pipeline."""

    def call(source: pathlib.Path, prompt: str = BASE, **arguments: Any) -> VideoOutput:
        defaults: dict[str, Any] = {"size": "480x480", "fps": 10, "seconds": 1, "output": tmp_path / "longer.mp4"}
        return VideoExtendPipeline()(prompt, source=source, **(defaults | arguments))

    return call


def packets(path: pathlib.Path) -> bytes:
    """A clip's bare H.264 stream."""
    return subprocess.run(stream_command(path), capture_output=True, check=True).stdout


def steps(frames: npt.NDArray[np.uint8]) -> Floats:
    """Mean differences of luma from frame to frame."""
    changes: Floats = np.abs(np.diff(frames.astype(np.float64), axis=0)).mean(axis=(1, 2))
    return changes


def stays_smooth(frames: npt.NDArray[np.uint8], at: int) -> bool:
    changes = steps(frames)
    return bool(changes[at - 1] < 3 * changes[at - 6 : at + 5].max(initial=0, where=np.arange(11) != 5) + 1)


@pytest.mark.parametrize("model", ["standard", "turbo"])
@pytest.mark.parametrize("prompt", ["a horse in a meadow", "neon city in the rain", "abstract ink", "a dog, snow"])
def test_the_motion_goes_on_without_a_jump(render: Render, extend: Extend, luma: Any, model: str, prompt: str) -> None:
    first = render(prompt, fps=10, seconds=2, model=model)
    video = extend(first.path, prompt, base_prompt=prompt, continue_from=first.next_tick, model=model)
    frames = luma(video)
    assert (video.seconds, video.num_frames, len(frames)) == (3, 30, 30)
    assert video.next_tick == first.next_tick + 10
    assert stays_smooth(frames, 20)
    np.testing.assert_array_equal(frames[:20], luma(first))


@pytest.mark.parametrize(("model", "fps"), [("standard", 30), ("turbo", 30), ("turbo", 7), ("standard", 1)])
def test_packets_are_copied_twice(
    render: Render, extend: Extend, probe: Any, tmp_path: pathlib.Path, model: str, fps: int
) -> None:
    arguments: dict[str, Any] = {"fps": fps, "model": model}
    first = render(seconds=6, **arguments)
    second = extend(first.path, base_prompt=BASE, continue_from=first.next_tick, **arguments)
    video = extend(
        second.path, base_prompt=BASE, continue_from=second.next_tick, output=tmp_path / "longest.mp4", **arguments
    )
    assert packets(second.path).startswith(packets(first.path))
    assert packets(video.path).startswith(packets(second.path))
    source = sources.probe(video.path)
    assert (source.steady, source.fps, source.seconds, source.num_frames) == (True, fps, 8.0, 8 * fps)
    assert "Duration: 00:00:08.00" in probe(video.path)
    head = video.path.read_bytes()[:100_000]
    assert head.index(b"moov") < head.index(b"mdat")


def test_extensions_of_extensions(render: Render, extend: Extend, luma: Any, tmp_path: pathlib.Path) -> None:
    """Six in a row, the second one into the night."""
    video, prompts = render(fps=10, seconds=1, output=tmp_path / "0.mp4"), [BASE]
    for turn in range(1, 7):
        prompt = "at night" if turn == 2 else prompts[-1]
        video = extend(
            video.path, prompt, base_prompt=prompts, continue_from=video.next_tick, output=tmp_path / f"{turn}.mp4"
        )
        prompts.append(prompt)
        frames = luma(video)
        assert len(frames) == video.num_frames == (turn + 1) * 10
        assert stays_smooth(frames, turn * 10)
    assert frames[15].mean() > frames[-1].mean() + 20
    assert sources.probe(video.path).steady


def test_what_is_new_comes_in_gradually(render: Render, extend: Extend, luma: Any) -> None:
    first = render(fps=10, seconds=2)
    video = extend(first.path, "at night", base_prompt=BASE, continue_from=first.next_tick, seconds=4)
    light = luma(video)[20:].mean(axis=(1, 2))
    assert light[0] > light[12] + 5 > light[-1] + 10
    assert np.abs(np.diff(light)).max() < (light[0] - light[-1]) / 6


@pytest.mark.parametrize("wrong", ["base_prompt", "continue_from", "seed", "style"])
def test_a_wrong_account_of_the_source_makes_no_jump(render: Render, extend: Extend, luma: Any, wrong: str) -> None:
    first = render(fps=10, seconds=2)
    arguments: dict[str, Any] = {"base_prompt": BASE, "continue_from": first.next_tick}
    others = {"base_prompt": "a snowy street at night", "continue_from": 200, "seed": 9, "style": "night-ink"}
    video = extend(first.path, seconds=2, **(arguments | {wrong: others[wrong]}))
    frames = luma(video)
    assert steps(frames)[19] < 3
    assert steps(frames)[20:].max() < 16


def test_a_foreign_clip_is_encoded_again(extend: Extend, foreign: Foreign, luma: Any) -> None:
    source = foreign("clip.webm", "480x480", 2, 25, "-c:v", "libvpx", "-deadline", "realtime")
    video = extend(source, "a calm sea at dawn", seconds=2, forensic=(5, KEY))
    frames = luma(video)
    assert (video.seconds, video.num_frames, len(frames)) == (4, 40, 40)
    # The last frame is the start image of what follows, and the noise comes behind it.
    assert steps(frames)[19] < steps(frames)[10:18].max()
    assert steps(frames)[20] > 15
    assert steps(frames)[30:].max() < 6
    assert video.next_tick == 12
    mark = Watermark("synthetic · leakdrill mock", 480, 480)
    assert all(mark.seen(Planes(frame, frame[::2, ::2], frame[::2, ::2])) for frame in frames)


def test_what_only_claims_to_be_ours_gets_the_mark(extend: Extend, foreign: Foreign, luma: Any) -> None:
    settings = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-qp",
        "26",
        "-g",
        "20",
        "-pix_fmt",
        "yuv420p",
        "-vf",
        "setsar=0",
    ]
    colour = ["-x264-params", "colorprim=bt709:transfer=bt709:colormatrix=bt709:fullrange=off"]
    source = foreign("fake.mp4", "480x480", 2, 10, *settings, *colour)
    assert parameter_sets(source, lambda: False) == expected_sets(EncoderSettings(480, 480, 10, 26, 1))
    video = extend(source, base_prompt=BASE, continue_from=12)
    mark = Watermark("synthetic · leakdrill mock", 480, 480)
    frames = luma(video)
    assert len(frames) == 30
    assert all(mark.seen(Planes(frame, frame[::2, ::2], frame[::2, ::2])) for frame in frames)


@pytest.mark.parametrize("change", [{"size": "480x854"}, {"fps": 5}, {"watermark": "another mark"}])
def test_what_cannot_be_copied_is_encoded_again(
    render: Render, extend: Extend, luma: Any, change: dict[str, Any]
) -> None:
    first = render(fps=10, seconds=2)
    video = extend(first.path, base_prompt=BASE, continue_from=first.next_tick, **change)
    frames = luma(video)
    assert video.seconds == 3
    assert frames.shape == (3 * video.fps, video.height, video.width)


def test_the_forensic_mark_is_on_new_frames(render: Render, extend: Extend, tmp_path: pathlib.Path) -> None:
    arguments: dict[str, Any] = {"size": "854x480", "fps": 12}
    first = render(seconds=2, **arguments)
    video = extend(
        first.path, base_prompt=BASE, continue_from=first.next_tick, seconds=4, forensic=(9, KEY), **arguments
    )
    tail = tmp_path / "tail.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-ss", "2", "-i", str(video.path), "-c", "copy"]
    subprocess.run([*command, str(tail)], check=True)
    assert trace(first.path, KEY).payload is None
    assert trace(tail, KEY).payload == 9


def test_callbacks_and_stills_as_in_the_pipeline(render: Render, extend: Extend, tmp_path: pathlib.Path) -> None:
    first, frames = render(fps=10, seconds=2), []
    stills = {"thumbnail": tmp_path / "still.webp", "spritesheet": tmp_path / "sheet.jpg"}
    extend(
        first.path, base_prompt=BASE, continue_from=first.next_tick, **stills,
        on_frame=lambda done, total: frames.append((done, total)),
    )  # fmt: skip
    assert frames == [(done, 30) for done in range(21, 31)]
    assert all(path.stat().st_size > 500 for path in stills.values())
    indices: list[int] = []
    extend(
        first.path, "snow", on_frame=lambda done, total: frames.append((done, total)), num_inference_steps=6,
        callback_on_step_end=lambda _pipeline, index, _timestep, _state: indices.append(index), step_counter=True,
    )  # fmt: skip
    assert frames[10:] == [(done, 30) for done in range(1, 31)]
    assert indices[-1] == 5
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "longer.mp4", "still.webp", "sheet.jpg"}


def test_the_same_arguments_give_the_same_file(render: Render, extend: Extend, tmp_path: pathlib.Path) -> None:
    first = render(fps=10, seconds=2)
    arguments: dict[str, Any] = {"base_prompt": BASE, "continue_from": first.next_tick, "hash_frames": True}
    one = extend(first.path, **arguments)
    before = one.path.read_bytes()
    assert extend(first.path, **arguments, encoder_threads=3) == one
    assert one.path.read_bytes() == before


def test_a_clip_may_be_extended_in_place(render: Render, extend: Extend, luma: Any) -> None:
    first = render(fps=10, seconds=1)
    video = extend(first.path, base_prompt=BASE, continue_from=first.next_tick, output=first.path)
    assert len(luma(video)) == 20


@pytest.mark.parametrize("after", [0.0, 0.02, 0.1, 0.3, None])
@pytest.mark.parametrize("own", [True, False])
def test_an_interrupt_leaves_nothing(
    interrupted: Callable[..., float], render: Render, tmp_path: pathlib.Path, after: float | None, own: bool
) -> None:
    first = render(size="1280x720", fps=30, seconds=4)
    stop = partial(
        interrupted, VideoExtendPipeline(), after, prompt="night, snow", source=first.path, size="1280x720", fps=30,
        output=tmp_path / "longer.mp4", seconds=20, base_prompt=BASE, thumbnail=tmp_path / "still.webp",
        continue_from=first.next_tick if own else None, spritesheet=tmp_path / "sheet.jpg",
    )  # fmt: skip
    # A machine with other work to do may be late once.
    assert any(stop() < 0.25 for _ in range(3))


def test_an_interrupt_at_the_end_leaves_nothing(render: Render, extend: Extend, tmp_path: pathlib.Path) -> None:
    """While the two parts are put together."""
    first, done = render(fps=10, seconds=1), 0

    def count(written: int, _total: int) -> None:
        nonlocal done
        done = written

    with pytest.raises(Exception, match="interrupted"):
        extend(
            first.path, base_prompt=BASE, continue_from=first.next_tick, on_frame=count, interrupt=lambda: done == 20
        )
    assert list(tmp_path.iterdir()) == [first.path]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("seconds", 0), ("seconds", 21), ("seconds", 1.5), ("continue_from", -1), ("continue_from", 1 << 20),
        ("base_prompt", ""), ("strength", 2), ("source", "clip.mp4"), ("source", pathlib.Path("/nowhere/clip.mp4")),
    ],
)  # fmt: skip
def test_bad_input_names_the_argument(tmp_path: pathlib.Path, render: Render, argument: str, value: Any) -> None:
    arguments: dict[str, Any] = {
        "prompt": "x",
        "source": render().path,
        "seconds": 1,
        "output": tmp_path / "longer.mp4",
    }
    with pytest.raises(InvalidInput) as caught:
        VideoExtendPipeline()(**(arguments | {argument: value}))
    assert caught.value.argument == argument
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_whole_has_120_seconds_at_most(extend: Extend, foreign: Foreign, tmp_path: pathlib.Path) -> None:
    source = foreign("long.mp4", "64x64", 118, 1)
    with pytest.raises(InvalidInput, match="at most 2 more") as caught:
        extend(source, seconds=3)
    assert caught.value.argument == "seconds"
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("qp", [1, 23, 26, 31, 38, 51])
def test_the_quantiser_is_read_from_the_stream(qp: int) -> None:
    settings = EncoderSettings(480, 480, 10, qp, 1)
    assert quantiser_of(expected_sets(settings)) == qp
    assert expected_sets(settings) != expected_sets(replace(settings, fps=11))


@pytest.mark.parametrize(
    "sets", [(), (b"x",), (b"", b""), (b"g", b"h"), (b"g", b"h\0\0\0\0"), (b"g", b"h" + bytes(30))]
)
def test_a_stream_without_a_quantiser_has_none(sets: tuple[bytes, ...]) -> None:
    assert quantiser_of(sets) is None
