"""What the pipelines accept."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fake_model.errors import InvalidInput
from fake_model.variants import Variant, models, styles, variant

SIZES: tuple[str, ...] = (
    "854x480", "480x854", "480x480",
    "1280x720", "720x1280", "720x720",
    "1920x1080", "1080x1920", "1080x1080",
    "1024x1792", "1792x1024", "1024x1024",
)  # fmt: skip
MODELS: tuple[str, ...] = models()
STYLES: tuple[str, ...] = styles()

MAX_PROMPT = 32_000
#: Of a new clip: every length up to 12, and two longer ones.
SECONDS: tuple[int, ...] = (*range(1, 13), 16, 20)
#: Of one extension, and of a clip that was edited or extended.
MAX_MORE_SECONDS = 20
MAX_TOTAL_SECONDS = 120
MAX_FPS = 60
MAX_STEPS = 100
MAX_GUIDANCE = 20.0
MAX_WATERMARK = 80
MAX_EXERCISE = 40
MAX_COLOURS = 10
#: Earlier prompts that a remix of a remix may have.
MAX_BASES = 32
PREVIEW_SECONDS, MAX_PREVIEW_SECONDS = 0.2, 60.0
#: Frames of motion that may lie before a clip: more than an hour at the highest rate.
MAX_TICKS = 1 << 18
#: The end of the year 2105, which is where an MP4's clock ends too, almost.
MAX_UNIX_SECONDS = float(2**32)

RGB8 = tuple[int, int, int]
#: Called with (pipeline, step index, timestep, {"num_inference_steps": n}).
StepCallback = Callable[[Any, int, float, dict[str, object]], None]


@dataclass(frozen=True)
class Options:
    """The arguments that all pipelines have, as described at `VideoPipeline.__call__`."""

    prompt: str
    output: pathlib.Path
    size: str
    fps: int
    model: str
    style: str | None
    seed: int
    negative_prompt: str
    num_inference_steps: int | None
    guidance_scale: float | None
    strength: float
    colours: Sequence[RGB8] | None
    watermark: str
    encoder_threads: int
    forensic: tuple[int, bytes] | None
    hash_frames: bool
    exercise: str | None
    step_counter: bool
    created_at: float | None
    thumbnail: pathlib.Path | None
    spritesheet: pathlib.Path | None
    on_preview: Callable[[bytes], None] | None
    on_step: StepCallback | None
    on_frame: Callable[[int, int], None] | None
    interrupt: Callable[[], bool] | None
    base_prompt: str | Sequence[str] | None = None
    preview_seconds: float = PREVIEW_SECONDS

    @property
    def frame(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width, height = self.size.split("x")
        return int(width), int(height)

    @property
    def variant(self) -> Variant:
        """Of `model`."""
        return variant(self.model)

    @property
    def steps(self) -> int:
        """Denoising steps: those asked for, or the model's."""
        return self.num_inference_steps or self.variant.num_inference_steps

    @property
    def palette(self) -> tuple[RGB8, ...]:
        """`colours`, or none."""
        return () if self.colours is None else tuple(self.colours)

    @property
    def bases(self) -> tuple[str, ...]:
        """`base_prompt`, oldest first, or none."""
        if self.base_prompt is None:
            return ()
        return (self.base_prompt,) if isinstance(self.base_prompt, str) else tuple(self.base_prompt)

    @property
    def stop(self) -> Callable[[], bool]:
        """`interrupt`, or what never interrupts."""
        return self.interrupt or _never

    def check(self) -> None:
        """Raise `InvalidInput` for the first argument that is not accepted.

        Arguments that are a thing of their own are checked where that thing is made: `forensic`, `image`, `source`.
        """
        _text("prompt", self.prompt, MAX_PROMPT)
        _file("output", self.output)
        _one_of("size", self.size, SIZES)
        whole("fps", self.fps, 1, MAX_FPS)
        _one_of("model", self.model, MODELS)
        if self.style is not None:
            _one_of("style", self.style, STYLES)
        whole("seed", self.seed, 0, 2**32 - 1)
        if not isinstance(self.negative_prompt, str) or len(self.negative_prompt) > MAX_PROMPT:
            raise InvalidInput("negative_prompt", f"a text of at most {MAX_PROMPT} characters")
        if self.num_inference_steps is not None:
            whole("num_inference_steps", self.num_inference_steps, 1, MAX_STEPS)
        if self.guidance_scale is not None:
            _number("guidance_scale", self.guidance_scale, MAX_GUIDANCE)
        _text("watermark", self.watermark, MAX_WATERMARK)
        whole("encoder_threads", self.encoder_threads, 1, 64)
        _number("strength", self.strength, 1.0)
        _number("preview_seconds", self.preview_seconds, MAX_PREVIEW_SECONDS)
        if self.exercise is not None:
            _text("exercise", self.exercise, MAX_EXERCISE)
        if self.created_at is not None:
            _number("created_at", self.created_at, MAX_UNIX_SECONDS)
        for argument, path in (("thumbnail", self.thumbnail), ("spritesheet", self.spritesheet)):
            if path is not None:
                _file(argument, path)
        _colours(self.colours)
        _bases(self.base_prompt)


def whole(argument: str, value: int, least: int, most: int) -> None:
    """Raise `InvalidInput` for what is not a whole number from `least` to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInput(argument, f"a whole number from {least} to {most}")


def length(seconds: int) -> None:
    """Raise `InvalidInput` for what is not the length of a new clip."""
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds not in SECONDS:
        raise InvalidInput("seconds", "a whole number from 1 to 12, or 16 or 20")


def _never() -> bool:
    return False


def _file(argument: str, path: pathlib.Path) -> None:
    if not isinstance(path, pathlib.Path) or not path.name or path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(argument, "a pathlib.Path of a file in a folder that exists")


def _number(argument: str, value: float, most: float) -> None:
    # NaN fails both comparisons.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= most:
        raise InvalidInput(argument, f"a number from 0 to {most:g}")


def _text(argument: str, value: object, most: int) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise InvalidInput(argument, f"a text of 1 to {most} characters")


def _one_of(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidInput(argument, f"one of {', '.join(allowed)}")


def _bases(value: object) -> None:
    if value is None:
        return
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not 1 <= len(texts) <= MAX_BASES:
        raise InvalidInput("base_prompt", f"a text, 1 to {MAX_BASES} texts from the oldest on, or None")
    for text in texts:
        _text("base_prompt", text, MAX_PROMPT)


def _colours(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= MAX_COLOURS or not all(map(_is_rgb, value)):
        raise InvalidInput("colours", f"1 to {MAX_COLOURS} triples of whole numbers from 0 to 255, or None")


def _is_rgb(value: object) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return False
    return all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in value)
