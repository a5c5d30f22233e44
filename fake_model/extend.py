"""An existing clip, made longer: its frames first, then new ones that go on from its last."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

from fake_model.inputs import MAX_MORE_SECONDS, MAX_TICKS, Options, StepCallback, whole
from fake_model.pipeline import VideoOutput


class VideoExtendPipeline:
    """Clip and prompt to a longer clip. Holds no state between calls and may be used from several threads."""

    def __call__(
        self,
        prompt: str,
        *,
        source: pathlib.Path,
        seconds: int,
        output: pathlib.Path,
        base_prompt: str | Sequence[str] | None = None,
        continue_from: int | None = None,
        size: str = "1280x720",
        fps: int = 30,
        model: str = "standard",
        style: str | None = None,
        seed: int = 0,
        negative_prompt: str = "",
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        strength: float = 0.8,
        colours: Sequence[tuple[int, int, int]] | None = None,
        watermark: str = "synthetic · leakdrill mock",
        encoder_threads: int = 1,
        forensic: tuple[int, bytes] | None = None,
        hash_frames: bool = False,
        exercise: str | None = None,
        step_counter: bool = False,
        created_at: float | None = None,
        thumbnail: pathlib.Path | None = None,
        spritesheet: pathlib.Path | None = None,
        on_preview: Callable[[bytes], None] | None = None,
        callback_on_step_end: StepCallback | None = None,
        on_frame: Callable[[int, int], None] | None = None,
        interrupt: Callable[[], bool] | None = None,
    ) -> VideoOutput:
        """Make a clip longer."""
        options = Options(
            prompt, output, size, fps, model, style, seed, negative_prompt, num_inference_steps, guidance_scale,
            strength, colours, watermark, encoder_threads, forensic, hash_frames, exercise, step_counter, created_at,
            thumbnail, spritesheet, on_preview, callback_on_step_end, on_frame, interrupt, base_prompt,
        )  # fmt: skip
        options.check()
        whole("seconds", seconds, 1, MAX_MORE_SECONDS)
        if continue_from is not None:
            whole("continue_from", continue_from, 0, MAX_TICKS)
        raise NotImplementedError
