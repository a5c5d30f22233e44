"""Clips, looked into: length, size, refinement, mark, scene, determinism."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fake_model
from fake_model import MODELS, SIZES, STYLES, VideoOutput, VideoPipeline
from fake_model.elements import Planes
from fake_model.forensic import ForensicMark
from fake_model.sources import probe
from fake_model.watermark import CLEARANCE, Watermark

Render = Callable[..., VideoOutput]
Luma = Callable[[VideoOutput], npt.NDArray[np.uint8]]

#: Hashes of two small renders. They change only when the look is changed on purpose.
GOLDEN = {
    "a lake below mountains at sunset": "bf791b3f40c210278fe8e28da9a8bd4098fb0d4caedd59c3b317cb67f6d0fb4a",
    "a dog on a skateboard in a neon street, rain": "733389dff05f4d52d8dcbb8aa08adc2e0ab281b173eff5277411c3ead1777b7f",
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seconds", [16, 20])
def test_the_longest_clips_have_every_frame_and_both_stills(
    render: Render, luma: Luma, tmp_path: pathlib.Path, seconds: int, model: str
) -> None:
    stills = {"thumbnail": tmp_path / "thumbnail.webp", "spritesheet": tmp_path / "spritesheet.jpg"}
    video = render(seconds=seconds, fps=5, model=model, **stills)
    assert (video.seconds, video.num_frames) == (seconds, seconds * 5)
    assert len(luma(video)) == seconds * 5
    assert stills["thumbnail"].read_bytes()[8:12] == b"WEBP"
    assert stills["spritesheet"].read_bytes()[:3] == b"\xff\xd8\xff"
    assert probe(video.path).seconds == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize(("prompt", "expected"), GOLDEN.items())
def test_golden_frames(render: Render, prompt: str, expected: str) -> None:
    assert render(prompt, seed=7, hash_frames=True).frames_sha256 == expected


def test_output_describes_the_file(render: Render, probe: Callable[[pathlib.Path], str], luma: Luma) -> None:
    video = render("a sailing boat", size="854x480", seconds=2, fps=5, seed=3, style=STYLES[0], model="turbo")
    assert video == VideoOutput(
        path=video.path, width=854, height=480, fps=5, seconds=2, num_frames=10, seed=3, model="turbo",
        style=STYLES[0], frames_sha256=None, bytes=video.path.stat().st_size, next_tick=6,
    )  # fmt: skip
    said = probe(video.path)
    assert "h264" in said
    assert "yuv420p(tv, bt709" in said
    assert "854x480" in said
    assert "5 fps" in said
    assert "Duration: 00:00:02.00" in said
    assert len(luma(video)) == 10
    head = video.path.read_bytes()[:200_000]
    assert head.index(b"moov") < head.index(b"mdat")


@pytest.mark.parametrize("size", ["480x854", "480x480", "1024x1024"])
def test_every_shape_has_all_frames(render: Render, luma: Luma, size: str) -> None:
    frames = luma(render("a street in the rain", size=size, fps=3))
    width, height = (int(side) for side in size.split("x"))
    assert frames.shape == (3, height, width)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.sampled_from([size for size in SIZES if "480" in size]),
    seconds=st.integers(1, 3),
    fps=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
    model=st.sampled_from(MODELS),
    prompt=st.text(min_size=1, max_size=20).filter(str.strip),
)
def test_frames_are_seconds_times_fps(
    render: Render, luma: Luma, size: str, seconds: int, fps: int, seed: int, model: str, prompt: str
) -> None:
    video = render(prompt, size=size, seconds=seconds, fps=fps, seed=seed, model=model)
    assert video.num_frames == seconds * fps == len(luma(video))
    assert f"{video.width}x{video.height}" == size


def test_other_process_hash_seed_and_threads_give_the_same_clip(tmp_path: pathlib.Path) -> None:
    script = (
        "import json, pathlib, sys; from fake_model import VideoPipeline\n"
        "out = VideoPipeline()('neon city in the rain', output=pathlib.Path(sys.argv[1]), size='480x480', seconds=1, "
        "fps=8, encoder_threads=int(sys.argv[2]), hash_frames=True)\n"
        "print(json.dumps([out.frames_sha256]))"
    )
    results = []
    for name, hash_seed, threads in (("a.mp4", "1", "1"), ("b.mp4", "4242", "3")):
        root = str(pathlib.Path(fake_model.__file__).parents[1])
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": root}
        command = [sys.executable, "-c", script, str(tmp_path / name), threads]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        results.append((json.loads(done.stdout), (tmp_path / name).read_bytes()))
    assert results[0] == results[1]


def test_refinement_starts_as_noise_and_ends_in_the_scene(render: Render, luma: Luma) -> None:
    video = render("a calm sea at dawn", seconds=2, fps=15)
    frames = luma(video).astype(np.float64)
    sky = frames[:, 40:120, 40:440]
    roughness = np.abs(np.diff(sky, axis=2)).mean(axis=(1, 2))
    refined = 12
    assert roughness[0] > 10 * roughness[refined]
    assert all(later <= earlier * 1.03 for earlier, later in itertools.pairwise(roughness[:refined]))
    assert abs(frames[0].mean() - 128) < 6
    assert 35 < frames[0].std() < 75


def test_scene_moves_after_the_refinement(render: Render, luma: Luma) -> None:
    frames = luma(render("a horse in a meadow", seconds=2, fps=15)).astype(np.int16)
    changes = np.abs(np.diff(frames[14:], axis=0)).mean(axis=(1, 2))
    assert (changes > 0.05).all()
    assert (changes < 12).all()


@pytest.mark.parametrize("size", ["480x480", "854x480", "480x854"])
def test_mark_is_in_every_frame(render: Render, luma: Luma, size: str) -> None:
    video = render("a sunny street with snow", size=size, seconds=2, fps=4)
    mark = Watermark("synthetic · leakdrill mock", video.width, video.height)
    assert mark.bottom <= video.height * (1 - CLEARANCE)
    assert mark.right < video.width
    area = (slice(mark.top, mark.bottom), slice(mark.left, mark.right))
    frames = luma(video)
    black = grey_planes(video.width, video.height)
    mark.put(black)
    pattern = black.y[area].astype(np.float64).ravel()
    for frame in frames:
        assert np.corrcoef(frame[area].astype(np.float64).ravel(), pattern)[0, 1] > 0.85


def test_forensic_mark_is_in_every_frame(render: Render, luma: Luma) -> None:
    """Two clips that differ in nothing else differ by the pattern, in the refinement and in the motion."""
    prompt, key = "a calm sea at dawn", b"a key of a test clip"
    plain = luma(render(prompt, fps=5)).astype(np.float64)
    marked = luma(render(prompt, fps=5, forensic=(2**63 + 5, key))).astype(np.float64)
    pattern = ForensicMark(2**63 + 5, key, 480, 480).pattern.astype(np.float64)
    mark = Watermark("synthetic · leakdrill mock", 480, 480)
    for before, after in zip(plain, marked, strict=True):
        change = (after - before)[: mark.top]
        assert np.corrcoef(change.ravel(), pattern[: mark.top].ravel())[0, 1] > 0.3


def grey_planes(width: int, height: int) -> Planes:
    return Planes.over(np.full(width * height * 3 // 2, 110, dtype=np.uint8), width, height)


def test_prompts_seeds_and_styles_give_different_scenes(render: Render) -> None:
    calls: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"prompt": "a lake below mountains at night"},
        {"style": "saltglass"},
    ]
    calls += [{"model": "turbo"}, {"negative_prompt": "sunset"}, {"guidance_scale": 1.0}, {"num_inference_steps": 3}]
    hashes = [
        render(**({"prompt": "a lake below mountains at sunset"} | call), fps=12, hash_frames=True).frames_sha256
        for call in calls
    ]
    assert len(set(hashes)) == len(calls)


@pytest.mark.parametrize(
    ("darker", "lighter"), [("city at night", "city at noon"), ("a dark forest, night", "forest, day")]
)
def test_time_of_day_decides_the_light(render: Render, luma: Luma, darker: str, lighter: str) -> None:
    night, day = luma(render(darker, fps=3))[-1], luma(render(lighter, fps=3))[-1]
    assert night.mean() + 20 < day.mean()


@pytest.mark.parametrize(
    "prompt", ["a rocket in space", "abstract waves", "desert", "balloon over fields", "train, fog, forest"]
)
def test_every_composition_renders(render: Render, prompt: str) -> None:
    assert render(prompt, fps=2).bytes > 1000


@pytest.mark.parametrize(
    "prompt",
    ["forest in fog", "a meadow with a horse", "desert", "a whale in the sea", "a dog on the beach", "street, snow",
     "city at noon", "a boat on a lake"],
)  # fmt: skip
def test_rows_that_are_not_drawn_are_hidden(render: Render, monkeypatch: pytest.MonkeyPatch, prompt: str) -> None:
    arguments: dict[str, Any] = {"fps": 3, "seconds": 2, "hash_frames": True}
    trimmed = render(prompt, **arguments).frames_sha256
    monkeypatch.setattr("fake_model.autoencoder.trim_hidden", lambda _elements, _height: None)
    assert render(prompt, **arguments).frames_sha256 == trimmed


def test_callbacks_tell_the_story(render: Render) -> None:
    steps: list[tuple[int, float, dict[str, object]]] = []
    frames: list[tuple[int, int]] = []

    def on_step(pipeline: VideoPipeline, index: int, timestep: float, state: dict[str, object]) -> None:
        assert isinstance(pipeline, VideoPipeline)
        steps.append((index, timestep, state))

    render(
        callback_on_step_end=on_step, on_frame=lambda done, total: frames.append((done, total)), num_inference_steps=5
    )
    assert [index for index, _, _ in steps] == [0, 1, 2, 3, 4]
    assert steps[0][1] == 1000.0
    assert all(state == {"num_inference_steps": 5} for _, _, state in steps)
    assert frames == [(done, 6) for done in range(1, 7)]


def test_importing_the_package_loads_no_numpy() -> None:
    root = str(pathlib.Path(fake_model.__file__).parents[1])
    script = "import sys, fake_model; assert not {'numpy', 'PIL', 'yaml'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": root}, check=True)


def test_ten_seconds_at_full_size_are_light_enough_for_a_room(render: Render) -> None:
    """Thirty people watch at once: at most 10 MB each, the noise of the refinement included."""
    clip = render(size="1920x1080", seconds=10, fps=30)
    assert 500_000 < clip.bytes <= 10_000_000
