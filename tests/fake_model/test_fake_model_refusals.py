"""What the pipeline refuses, how it stops, and what it leaves behind: nothing."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import imageio_ffmpeg
import pytest
from PIL import Image

from fake_model import (
    EncoderError,
    Interrupted,
    InvalidInput,
    PipelineError,
    VideoOutput,
    export_spritesheet,
    export_thumbnail,
)
from processes import children

Render = Callable[..., VideoOutput]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("prompt", ""), ("prompt", "  \n"), ("prompt", "x" * 32_001), ("prompt", 5),
        ("size", "1281x720"), ("size", "big"), ("size", None),
        ("seconds", 0), ("seconds", 13), ("seconds", 21), ("seconds", 2.0), ("seconds", True), ("seconds", "4"),
        ("fps", 0), ("fps", 61), ("fps", 29.97),
        ("model", "sora"), ("model", None), ("style", "unknown"), ("style", ""),
        ("seed", -1), ("seed", 2**32), ("seed", None),
        ("negative_prompt", None), ("negative_prompt", "x" * 32_001),
        ("num_inference_steps", 0), ("num_inference_steps", 101), ("num_inference_steps", 1.5),
        ("guidance_scale", -0.1), ("guidance_scale", 20.5), ("guidance_scale", "7"), ("guidance_scale", float("nan")),
        ("watermark", ""), ("watermark", " "), ("watermark", "x" * 81), ("watermark", None),
        ("forensic", 5), ("forensic", (1,)), ("forensic", (-1, b"k" * 16)), ("forensic", (1, b"short")),
        ("encoder_threads", 0), ("encoder_threads", 65),
        ("output", pathlib.Path("/nowhere/at/all/clip.mp4")), ("output", "clip.mp4"), ("output", pathlib.Path("/")),
    ],
)  # fmt: skip
def test_bad_input_names_the_argument(render: Render, tmp_path: pathlib.Path, argument: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        render(**{argument: value})
    assert caught.value.argument == argument
    assert str(caught.value).startswith(f"{argument}: ")
    assert isinstance(caught.value, PipelineError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("after", [0, 1, 3, 25, 59, 60])
def test_interrupt_leaves_nothing(render: Render, tmp_path: pathlib.Path, after: int) -> None:
    written = 0

    def count(done: int, total: int) -> None:
        nonlocal written
        written = done

    with pytest.raises(Interrupted):
        render(fps=60, on_frame=count, interrupt=lambda: written >= after)
    assert written == after
    assert list(tmp_path.iterdir()) == []
    assert "ffmpeg" not in children()


def test_interrupt_during_the_painting_leaves_nothing(render: Render, tmp_path: pathlib.Path) -> None:
    asked = 0

    def third() -> bool:
        nonlocal asked
        asked += 1
        return asked == 3

    with pytest.raises(Interrupted):
        render(interrupt=third)
    assert asked == 3
    assert list(tmp_path.iterdir()) == []
    assert "ffmpeg" not in children()


def test_interrupt_spares_a_clip_of_the_same_name(render: Render, tmp_path: pathlib.Path) -> None:
    first = render().path.read_bytes()
    with pytest.raises(Interrupted):
        render("something else", interrupt=lambda: True)
    assert (tmp_path / "clip.mp4").read_bytes() == first


def test_error_in_a_callback_passes_and_cleans_up(render: Render, tmp_path: pathlib.Path) -> None:
    def fail(done: int, total: int) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        render(on_frame=fail)
    assert list(tmp_path.iterdir()) == []
    assert "ffmpeg" not in children()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo 'no room left' >&2; exit 3", "exit code 3.*no room left"),
        ("head -c 1000000 >/dev/null; kill -9 $$", "code -9"),
    ],
)
def test_encoder_that_dies_is_reported(
    render: Render, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    encoder = tmp_path / "encoder"
    encoder.write_text(f"#!/bin/sh\n{body}\n")
    encoder.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(encoder))
    with pytest.raises(EncoderError, match=words):
        render()
    assert list(tmp_path.iterdir()) == [encoder]


def test_encoder_that_cannot_start_is_reported(
    render: Render, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = tmp_path / "encoder"
    encoder.write_text("not a program")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(encoder))
    with pytest.raises(EncoderError, match="could not be started"):
        render()
    assert list(tmp_path.iterdir()) == [encoder]


def test_missing_encoder_is_reported(render: Render, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", nowhere)
    with pytest.raises(EncoderError, match="could not be started: No ffmpeg"):
        render()
    monkeypatch.undo()
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nothing"))
    with pytest.raises(EncoderError, match="could not be started"):
        render(model="turbo", seconds=9)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_full_disk_is_reported(tmp_path: pathlib.Path) -> None:
    script = (
        "import pathlib, resource, sys; from fake_model import EncoderError, VideoPipeline\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try: VideoPipeline()('sea', output=pathlib.Path(sys.argv[1]), size='480x480', seconds=1, fps=30)\n"
        "except EncoderError as error: print(error)"
    )
    root = pathlib.Path(__file__).parents[2]
    command = [sys.executable, "-c", script, str(tmp_path / "clip.mp4")]
    done = subprocess.run(command, cwd=root, capture_output=True, check=True)
    assert b"ffmpeg failed" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_stills(render: Render, tmp_path: pathlib.Path) -> None:
    video = render(size="854x480", seconds=2)
    thumbnail = export_thumbnail(video.path, tmp_path / "still.webp", at=1.5, width=320)
    sheet = export_spritesheet(video.path, tmp_path / "sheet.webp", columns=4, seconds=2)
    with Image.open(thumbnail) as picture:
        assert (picture.format, picture.size) == ("WEBP", (320, 180))
    with Image.open(sheet) as picture:
        assert (picture.format, picture.size) == ("WEBP", (960, 134))
    with pytest.raises(EncoderError):
        export_thumbnail(video.path, tmp_path / "late.webp", at=50.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "sheet.webp", "still.webp"]
