"""What the pipeline accepts."""

from __future__ import annotations

import pathlib

from fake_model.errors import InvalidInput
from fake_model.variants import models, styles

SIZES: tuple[str, ...] = (
    "854x480", "480x854", "480x480",
    "1280x720", "720x1280", "720x720",
    "1920x1080", "1080x1920", "1080x1080",
    "1024x1792", "1792x1024", "1024x1024",
)  # fmt: skip
MODELS: tuple[str, ...] = models()
STYLES: tuple[str, ...] = styles()

MAX_PROMPT = 32_000
MAX_SECONDS = 12
MAX_FPS = 60
MAX_STEPS = 100
MAX_GUIDANCE = 20.0
MAX_WATERMARK = 80
MAX_EXERCISE = 40
#: Frames of motion that may lie before a clip: more than an hour at the highest rate.
MAX_TICKS = 1 << 18
#: The end of the year 2105, which is where an MP4's clock ends too, almost.
MAX_UNIX_SECONDS = float(2**32)


def check_inputs(
    prompt: str,
    output: pathlib.Path,
    size: str,
    seconds: int,
    fps: int,
    model: str,
    style: str | None,
    seed: int,
    negative_prompt: str,
    num_inference_steps: int | None,
    guidance_scale: float | None,
    watermark: str,
    encoder_threads: int,
    *,
    strength: float,
    continue_from: int,
    exercise: str | None,
    created_at: float | None,
    thumbnail: pathlib.Path | None,
    spritesheet: pathlib.Path | None,
) -> None:
    """Raise `InvalidInput` for the first argument that `__call__` would not accept.

    Arguments that are a thing of their own are checked where that thing is made: `forensic`, `image`.
    """
    _text("prompt", prompt, MAX_PROMPT)
    _file("output", output)
    _one_of("size", size, SIZES)
    _whole("seconds", seconds, 1, MAX_SECONDS)
    _whole("fps", fps, 1, MAX_FPS)
    _one_of("model", model, MODELS)
    if style is not None:
        _one_of("style", style, STYLES)
    _whole("seed", seed, 0, 2**32 - 1)
    if not isinstance(negative_prompt, str) or len(negative_prompt) > MAX_PROMPT:
        raise InvalidInput("negative_prompt", f"a text of at most {MAX_PROMPT} characters")
    if num_inference_steps is not None:
        _whole("num_inference_steps", num_inference_steps, 1, MAX_STEPS)
    if guidance_scale is not None:
        _number("guidance_scale", guidance_scale, MAX_GUIDANCE)
    _text("watermark", watermark, MAX_WATERMARK)
    _whole("encoder_threads", encoder_threads, 1, 64)
    _number("strength", strength, 1.0)
    _whole("continue_from", continue_from, 0, MAX_TICKS)
    if exercise is not None:
        _text("exercise", exercise, MAX_EXERCISE)
    if created_at is not None:
        _number("created_at", created_at, MAX_UNIX_SECONDS)
    for argument, path in (("thumbnail", thumbnail), ("spritesheet", spritesheet)):
        if path is not None:
            _file(argument, path)


def _file(argument: str, path: pathlib.Path) -> None:
    if not isinstance(path, pathlib.Path) or not path.name or path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(argument, "a pathlib.Path of a file in a folder that exists")


def _number(argument: str, value: float, most: float) -> None:
    # NaN fails both comparisons.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= most:
        raise InvalidInput(argument, f"a number from 0 to {most:g}")


def _text(argument: str, value: str, most: int) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise InvalidInput(argument, f"a text of 1 to {most} characters")


def _whole(argument: str, value: int, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInput(argument, f"a whole number from {least} to {most}")


def _one_of(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidInput(argument, f"one of {', '.join(allowed)}")
