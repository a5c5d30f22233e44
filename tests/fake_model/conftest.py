"""Real renders, small: what a test needs to look into a clip."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest

from fake_model import VideoOutput, VideoPipeline

Frames = npt.NDArray[np.uint8]


@pytest.fixture
def render(tmp_path: pathlib.Path) -> Callable[..., VideoOutput]:
    """Render with cheap defaults; keywords as for the pipeline."""

    def call(prompt: str = "a lake below mountains at sunset", **arguments: Any) -> VideoOutput:
        defaults: dict[str, Any] = {"size": "480x480", "seconds": 1, "fps": 6, "output": tmp_path / "clip.mp4"}
        return VideoPipeline()(prompt, **(defaults | arguments))

    return call


@pytest.fixture
def luma() -> Callable[[VideoOutput], Frames]:
    """Decode a clip to its luma planes, (frames, height, width)."""

    def decode(video: VideoOutput) -> Frames:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(video.path)]
        command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1"]
        raw = subprocess.run(command, capture_output=True, check=True).stdout
        planes = np.frombuffer(raw, dtype=np.uint8).reshape(-1, video.width * video.height * 3 // 2)
        return planes[:, : video.width * video.height].reshape(-1, video.height, video.width)

    return decode


@pytest.fixture
def probe() -> Callable[[pathlib.Path], str]:
    """What ffmpeg says about a file."""

    def ask(path: pathlib.Path) -> str:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
        return subprocess.run(command, capture_output=True, check=False).stderr.decode()

    return ask
