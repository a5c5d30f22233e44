"""Real renders, small: what a test needs to look into a clip."""

from __future__ import annotations

import pathlib
import subprocess
import time
from collections.abc import Callable
from typing import Any

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest

from fake_model import Interrupted, VideoOutput, VideoPipeline
from processes import children

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


@pytest.fixture
def colours_of() -> Callable[[pathlib.Path, float], Frames]:
    """Pixels of a clip from a second on, reduced to 120 x 120, uint8 of shape (n, 3)."""

    def decode(path: pathlib.Path, start: float) -> Frames:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-ss", str(start), "-i", str(path)]
        command += ["-vf", "scale=120:120:flags=area", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
        raw = subprocess.run(command, capture_output=True, check=True).stdout
        return np.frombuffer(raw, dtype=np.uint8).reshape(-1, 3)

    return decode


@pytest.fixture
def foreign(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """A clip that another program made: ffmpeg's moving test picture."""

    def make(name: str = "foreign.mp4", size: str = "640x360", seconds: float = 2, fps: float = 10, *more: str
             ) -> pathlib.Path:  # fmt: skip
        path = tmp_path / name
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi"]
        command += ["-i", f"testsrc2=size={size}:rate={fps}:duration={seconds}", *more]
        subprocess.run([*command, str(path)], capture_output=True, check=True)
        return path

    return make


@pytest.fixture
def interrupted(tmp_path: pathlib.Path) -> Callable[..., float]:
    """Call a pipeline, say stop when told to, and see that nothing is left; seconds from there to the return."""

    def call(work: Callable[..., VideoOutput], after: float | None = None, **arguments: Any) -> float:
        """`after`: seconds from the start, or None for the tenth frame."""
        before = sorted(tmp_path.iterdir())
        begun, said, frames = time.monotonic(), 0.0, 0

        def stop() -> bool:
            nonlocal said
            now = time.monotonic()
            if not said and (frames >= 10 if after is None else now - begun >= after):
                said = now
            return said > 0

        def count(done: int, _total: int) -> None:
            nonlocal frames
            frames += 1

        with pytest.raises(Interrupted):
            work(interrupt=stop, on_frame=count, **arguments)
        lag = time.monotonic() - said
        assert sorted(tmp_path.iterdir()) == before
        assert "ffmpeg" not in children()
        return lag

    return call
