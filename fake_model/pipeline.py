"""The pipeline: one call, numbered stages, one clip.

The words are those of diffusers' pipelines; the arithmetic of the noise is real, the network is not (see denoiser.py).
"""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from fake_model.autoencoder import Autoencoder
from fake_model.denoiser import Denoiser
from fake_model.elements import Element, Stage
from fake_model.errors import Interrupted, InvalidInput
from fake_model.export import POLL_SECONDS, VideoWriter
from fake_model.forensic import ForensicMark
from fake_model.noise import mix
from fake_model.palette import Grade
from fake_model.reel import Reel, check
from fake_model.scenes import busyness, paint, palette_for
from fake_model.scheduler import FlowMatchEulerScheduler
from fake_model.text_encoder import encode_prompt
from fake_model.variants import Variant, document, models, styles, variant
from fake_model.watermark import Watermark

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

T = TypeVar("T")
StepCallback = Callable[["VideoPipeline", int, float, dict[str, object]], None]


@dataclass(frozen=True)
class VideoOutput:
    """A finished clip.

    Args:
        path: the MP4.
        width, height: pixels.
        fps: frames per second.
        seconds: length; num_frames is exactly seconds * fps.
        num_frames: frames in the file.
        seed, model, style: as asked for.
        frames_sha256: hex digest over all raw yuv420p frames, in order; None unless asked for.
        bytes: size of the file.
    """

    path: pathlib.Path
    width: int
    height: int
    fps: int
    seconds: int
    num_frames: int
    seed: int
    model: str
    style: str | None
    frames_sha256: str | None
    bytes: int


class VideoPipeline:
    """Prompt to clip. Holds no state between calls and may be used from several threads."""

    def __call__(
        self,
        prompt: str,
        *,
        output: pathlib.Path,
        size: str = "1280x720",
        seconds: int = 4,
        fps: int = 30,
        model: str = "standard",
        style: str | None = None,
        seed: int = 0,
        negative_prompt: str = "",
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        watermark: str = "synthetic · leakdrill mock",
        encoder_threads: int = 1,
        forensic: tuple[int, bytes] | None = None,
        hash_frames: bool = False,
        callback_on_step_end: StepCallback | None = None,
        on_frame: Callable[[int, int], None] | None = None,
        interrupt: Callable[[], bool] | None = None,
    ) -> VideoOutput:
        """Make a clip.

        Args:
            prompt: what to show, 1 to 32000 characters, any language.
            output: final path of the MP4; its folder exists. Written to a temporary name beside it and renamed at the
                end.
            size: "WIDTHxHEIGHT", one of `SIZES`.
            seconds: 1 to 12.
            fps: frames per second, 1 to 60.
            model: one of `MODELS`.
            style: one of `STYLES`, or None for the palette as it is.
            seed: 0 to 2**32 - 1; another seed gives another layout of the same prompt.
            negative_prompt: words that shall not count, at most 32000 characters.
            num_inference_steps: 1 to 100; None for the model's own.
            guidance_scale: 0 to 20; how strongly colours follow the prompt. None for the model's own.
            watermark: words of the visible mark, 1 to 80 characters.
            encoder_threads: 1 to 64; changes speed, never the frames.
            forensic: (payload, key) of the invisible mark, as for `ForensicMark`; None for none.
            hash_frames: whether to fill `VideoOutput.frames_sha256`; it costs as much time as drawing does.
            callback_on_step_end: called after each step with (pipeline, step index, timestep, {"num_inference_steps":
                n}).
            on_frame: called after each frame with (frames written, num_frames).
            interrupt: asked at least once per frame; True ends the call.

        Raises:
            InvalidInput: an argument is outside the above; nothing was started.
            Interrupted: `interrupt` said so; ffmpeg and the temporary file are gone.
            EncoderError: ffmpeg failed or the file could not be written; the temporary file is gone.
        """
        stop = interrupt or _never
        # 1. Check inputs
        self.check_inputs(
            prompt, output, size, seconds, fps, model, style, seed, negative_prompt, num_inference_steps,
            guidance_scale, watermark, encoder_threads,
        )  # fmt: skip
        width, height = (int(side) for side in size.split("x"))
        chosen = variant(model)
        steps = chosen.num_inference_steps if num_inference_steps is None else num_inference_steps
        guidance = chosen.guidance_scale if guidance_scale is None else guidance_scale
        num_frames = seconds * fps
        refine_frames = _refine_frames(chosen, num_frames, fps)

        # 2. Encode prompt, and paint the scene it asks for
        embeds = encode_prompt(prompt, negative_prompt)
        grade = Grade(saturation=_saturation(guidance, chosen)).then(_style_grade(style))
        stage = Stage(
            width, height, fps, num_frames - refine_frames, mix(embeds.key, seed), embeds.pace, embeds.backwards
        )
        hidden = None if forensic is None else _forensic_mark(forensic, width, height)
        mark = Watermark(watermark, width, height)

        painting = paint(stage, embeds, palette_for(embeds, grade))
        autoencoder, denoiser = _while_asking(partial(_first_frame, painting, width, height), stop)

        # 3. Prepare timesteps
        scheduler = FlowMatchEulerScheduler(shift=chosen.shift)
        scheduler.set_timesteps(steps)

        # 4. Prepare latents
        latents = autoencoder.noise(stage.seed)
        with VideoWriter(
            output,
            width=width,
            height=height,
            fps=fps,
            qp=chosen.qp + busyness(embeds),
            threads=encoder_threads,
            interrupt=stop,
        ) as writer:
            reel = Reel(writer, autoencoder, hidden, (mark,), num_frames, stop, on_frame, hash_frames=hash_frames)

            # 5. Denoise: each step is shown for as many frames as the refinement has room for
            for index, timestep in enumerate(scheduler.timesteps):
                sigma = scheduler.sigmas[index]
                showing = _frames_of_step(index, steps, refine_frames)
                if showing:
                    autoencoder.decode(latents, sigma)
                    reel.show(showing)
                check(stop)
                latents = scheduler.step(denoiser(latents, sigma), index, latents)
                if callback_on_step_end is not None:
                    callback_on_step_end(self, index, timestep, {"num_inference_steps": steps})

            # 6. Decode: the latents have arrived at the scene, which now moves
            for tick in range(num_frames - refine_frames):
                autoencoder.render(tick)
                reel.show()
            writer.close()
        size_of_frames = (width, height, fps, seconds, num_frames)
        return VideoOutput(output, *size_of_frames, seed, model, style, reel.frames_sha256, output.stat().st_size)

    @staticmethod
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
    ) -> None:
        """Raise `InvalidInput` for the first argument that `__call__` would not accept."""
        _text("prompt", prompt, MAX_PROMPT)
        if not isinstance(output, pathlib.Path) or not output.name or output.is_dir() or not output.parent.is_dir():
            raise InvalidInput("output", "a pathlib.Path of a file in a folder that exists")
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
            number = isinstance(guidance_scale, (int, float)) and not isinstance(guidance_scale, bool)
            if not number or not 0 <= guidance_scale <= MAX_GUIDANCE:
                raise InvalidInput("guidance_scale", f"a number from 0 to {MAX_GUIDANCE:g}, or None")
        _text("watermark", watermark, MAX_WATERMARK)
        _whole("encoder_threads", encoder_threads, 1, 64)


def _never() -> bool:
    return False


def _forensic_mark(forensic: tuple[int, bytes], width: int, height: int) -> ForensicMark:
    try:
        payload, key = forensic
        return ForensicMark(payload, key, width, height)
    except (TypeError, ValueError) as exc:  # InvalidInput is a ValueError; its argument is a part of this one
        raise InvalidInput("forensic", f"a pair of payload and key ({exc}), or None") from exc


def _first_frame(
    painting: Iterator[Element | None], width: int, height: int, cancelled: threading.Event
) -> tuple[Autoencoder, Denoiser]:
    """The scene in place, its first frame drawn, and what pulls latents toward that frame."""
    autoencoder = Autoencoder(width, height, _collect(painting, cancelled))
    autoencoder.render(0)
    return autoencoder, Denoiser(autoencoder.encode())


def _collect(painting: Iterator[Element | None], cancelled: threading.Event) -> list[Element]:
    """The scene's elements; gives up early once cancelled."""
    elements = []
    for element in painting:
        if cancelled.is_set():
            raise Interrupted("interrupted while painting")
        if element is not None:
            elements.append(element)
    return elements


def _while_asking(work: Callable[[threading.Event], T], stop: Callable[[], bool]) -> T:
    """Run `work` in a thread while this one asks whether to stop.

    Painting a large scene takes longer than an interrupt may, and `stop` belongs to the caller's thread. A cancelled
    thread ends by itself at its next element; it holds no file and no process.
    """
    cancelled = threading.Event()
    executor = ThreadPoolExecutor(1, thread_name_prefix="fake_model")
    try:
        future = executor.submit(work, cancelled)
        while not future.done():
            check(stop)
            wait([future], POLL_SECONDS)
        return future.result()
    finally:
        cancelled.set()
        executor.shutdown(wait=False)


def _refine_frames(chosen: Variant, num_frames: int, fps: int) -> int:
    """Frames given to the refinement: the variant's time, at most 40 % of the clip, and one of two at the least."""
    return max(min(round(chosen.refine_seconds * fps), num_frames * 2 // 5), min(1, num_frames - 1))


def _frames_of_step(index: int, steps: int, frames: int) -> int:
    """How many of `frames` show the latents before step `index`; frame i shows step i * steps // frames."""
    return -(-frames * (index + 1) // steps) - -(-frames * index // steps)


def _saturation(guidance: float, chosen: Variant) -> float:
    """Colour strength: 1 at the variant's own guidance, weaker below, somewhat stronger above."""
    return max(0.35, min(1.35, 1.0 + (guidance - chosen.guidance_scale) * 0.07))


def _style_grade(style: str | None) -> Grade:
    return Grade() if style is None else Grade(**document("styles")[style])


def _text(argument: str, value: str, most: int) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise InvalidInput(argument, f"a text of 1 to {most} characters")


def _whole(argument: str, value: int, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInput(argument, f"a whole number from {least} to {most}")


def _one_of(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidInput(argument, f"one of {', '.join(allowed)}")
