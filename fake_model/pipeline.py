"""The pipeline: one call, numbered stages, one clip.

The words are those of diffusers' pipelines; the arithmetic of the noise is real, the network is not (see denoiser.py).
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from PIL import Image

from fake_model.export import EncoderSettings, VideoWriter
from fake_model.inputs import (
    MAX_TICKS,
    MODELS,
    PREVIEW_SECONDS,
    SIZES,
    STYLES,
    Options,
    StepCallback,
    length,
    whole,
)
from fake_model.loop import LoopWriter
from fake_model.reel import Reel
from fake_model.refine import Refinement
from fake_model.start import first_picture
from fake_model.stills import Preview, Stills
from fake_model.studio import Studio
from fake_model.text_encoder import encode_remix
from fake_model.variants import Variant

__all__ = ["MODELS", "SIZES", "STYLES", "VideoOutput", "VideoPipeline"]


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
        frames_sha256: hex digest over all raw yuv420p frames that were drawn, in order; those
            that a loop repeats count once. None unless asked for.
        bytes: size of the file.
        next_tick: what `continue_from` has to be for a clip that goes on where this one ends.
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
    next_tick: int


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
        image: Image.Image | pathlib.Path | None = None,
        strength: float = 0.8,
        continue_from: int = 0,
        step_counter: bool = False,
        exercise: str | None = None,
        created_at: float | None = None,
        thumbnail: pathlib.Path | None = None,
        spritesheet: pathlib.Path | None = None,
        on_preview: Callable[[bytes], None] | None = None,
        preview_seconds: float = PREVIEW_SECONDS,
        callback_on_step_end: StepCallback | None = None,
        on_frame: Callable[[int, int], None] | None = None,
        interrupt: Callable[[], bool] | None = None,
        base_prompt: str | Sequence[str] | None = None,
        colours: Sequence[tuple[int, int, int]] | None = None,
    ) -> VideoOutput:
        """Make a clip.

        Args:
            prompt: what to show, 1 to 32000 characters, any language.
            output: final path of the MP4; its folder exists. Written to a temporary name beside it and renamed at the
                end.
            size: "WIDTHxHEIGHT", one of `SIZES`.
            seconds: 1 to 12, 16 or 20.
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
            image: the picture of exactly this size that the clip starts from, or its path (PNG, JPEG or WebP); it is
                the first frame, and the refinement starts from it instead of from pure noise.
            strength: 0 to 1; how much noise the image is given first. 1 leaves nothing of it after the first frame.
            continue_from: `VideoOutput.next_tick` of an earlier clip of the same prompt, seed, size, fps and style; the
                clip then goes on with its motion, without a refinement.
            step_counter: show "step 12/30" in the upper right corner while the clip is refined.
            exercise: a line for the upper left corner of every frame, 1 to 40 characters.
            created_at: the file's creation time in Unix seconds; None for none, so that equal calls give equal files.
            thumbnail: where to put a WebP of a frame from the motion.
            spritesheet: where to put a JPEG of five evenly spaced frames side by side.
            on_preview: given a JPEG, 320 pixels wide, of the latents of a step.
            preview_seconds: 0 to 60; at least so much time passes between two previews. 0 for one of each step.
            callback_on_step_end: called after each step with (pipeline, step index, timestep, {"num_inference_steps":
                n}).
            on_frame: called after each frame with (frames written, num_frames).
            interrupt: asked at least once per frame; True ends the call.
            base_prompt: the prompt of an earlier clip that this one is a remix of: its scene with the same seed and
                negative prompt, changed only in what `prompt` names. Several, oldest first, for a remix of a remix.
            colours: 1 to 10 RGB triples that the scene is coloured with, as from `palette_of` a character's clip.

        Raises:
            InvalidInput: an argument is outside the above; nothing was started.
            Interrupted: `interrupt` said so; ffmpeg and the temporary file are gone.
            EncoderError: ffmpeg failed or the file could not be written; the temporary file is gone.
        """
        options = Options(
            prompt, output, size, fps, model, style, seed, negative_prompt, num_inference_steps, guidance_scale,
            strength, colours, watermark, encoder_threads, forensic, hash_frames, exercise, step_counter, created_at,
            thumbnail, spritesheet, on_preview, callback_on_step_end, on_frame, interrupt, base_prompt, preview_seconds,
        )  # fmt: skip
        # 1. Check inputs
        options.check()
        length(seconds)
        whole("continue_from", continue_from, 0, MAX_TICKS)
        width, height = options.frame
        num_frames = seconds * fps
        start = None if image is None else first_picture(image, width, height)

        # 2. Encode prompt
        studio = Studio(options, encode_remix(options.bases, prompt, negative_prompt))
        refine_frames = 0 if continue_from else studio.refine_frames(num_frames)
        hidden, labels = studio.forensic_mark(), studio.labels()

        # 3. Prepare timesteps
        scheduler = studio.scheduler()
        stills = Stills(thumbnail, spritesheet, num_frames)
        loop = _loop(options.variant, refine_frames, num_frames, fps)
        with stills, _writer(output, loop, num_frames, options.stop, studio.settings()) as writer:
            # ffmpeg starts up while the scene is painted.
            autoencoder, denoiser = studio.painted_with_denoiser()
            reel = Reel(
                writer, autoencoder, hidden, labels, num_frames, options.stop, on_frame,
                stills=stills, loop=loop, hash_frames=hash_frames,
            )  # fmt: skip
            if refine_frames:
                # 4. and 5. Prepare latents, and denoise them
                preview = Preview(on_preview, watermark, width, height, preview_seconds)
                refinement = Refinement(
                    scheduler, autoencoder, denoiser, reel, refine_frames, options.stop, step_counter, preview
                )
                for index, timestep in refinement.run(autoencoder.noise(studio.stage.seed), start, strength):
                    if callback_on_step_end is not None:
                        callback_on_step_end(self, index, timestep, {"num_inference_steps": options.steps})

            # 6. Decode: the latents have arrived at the scene, which now moves
            for frame in loop or range(refine_frames, num_frames):
                autoencoder.render(continue_from + frame - refine_frames)
                reel.show()
            reel.repeat()
            stills.write()
            writer.close()
            stills.publish()
        return VideoOutput(
            output, width, height, fps, seconds, num_frames, seed, model, style, reel.frames_sha256,
            output.stat().st_size, continue_from + num_frames - refine_frames,
        )  # fmt: skip


def _loop(chosen: Variant, first: int, num_frames: int, fps: int) -> range | None:
    """The frames of the loop, from `first` on, if the model loops and the clip is longer than that."""
    length = 2 * chosen.turn_seconds * fps
    return range(first, first + length) if chosen.loop and num_frames - first > length else None


def _writer(
    output: pathlib.Path, loop: range | None, num_frames: int, stop: Callable[[], bool], settings: EncoderSettings
) -> VideoWriter | LoopWriter:
    if loop is not None:
        return LoopWriter(output, loop.start, num_frames, stop, settings)
    return VideoWriter(output, interrupt=stop, **asdict(settings))
