"""An existing clip, made longer: its frames first, then new ones that go on from its last."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

from fake_model.errors import InvalidInput
from fake_model.inputs import (
    MAX_MORE_SECONDS,
    MAX_TICKS,
    MAX_TOTAL_SECONDS,
    PREVIEW_SECONDS,
    Options,
    StepCallback,
    whole,
)
from fake_model.joining import Head, Tail
from fake_model.pipeline import VideoOutput
from fake_model.reel import Reel
from fake_model.sources import probe, whole_seconds
from fake_model.stills import Stills
from fake_model.studio import Studio
from fake_model.text_encoder import encode_remix


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
        preview_seconds: float = PREVIEW_SECONDS,
        callback_on_step_end: StepCallback | None = None,
        on_frame: Callable[[int, int], None] | None = None,
        interrupt: Callable[[], bool] | None = None,
    ) -> VideoOutput:
        """Make a clip longer.

        Args:
            prompt: what the new frames show.
            source: an MP4, MOV or WebM; of another shape than `size` it is cropped at its middle.
            seconds: of new frames, 1 to 20; at most 120 in all.
            base_prompt: of the source, as for `VideoPipeline`; what `prompt` names beyond it comes in by a cross-fade.
                None for a scene of the prompt's own.
            continue_from: `VideoOutput.next_tick` of the source, which is then a clip of this package of the same seed,
                size, fps, model and style: its motion goes on, and its packets are copied. None for a foreign clip: it
                is encoded again, with the marks, and the scene emerges from its last frame.
            strength: 0 to 1; how much noise the last frame of a foreign clip is given.
            output, size, fps, model, style, seed, negative_prompt, num_inference_steps, guidance_scale, colours,
                watermark, encoder_threads, forensic, hash_frames, exercise, step_counter, created_at, thumbnail,
                spritesheet, on_preview, preview_seconds, callback_on_step_end, on_frame, interrupt: as for
                `VideoPipeline`. Copied frames are not hashed; `on_frame` counts them as written.

        Returns:
            The whole clip; `seconds` and `num_frames` are those of both parts.

        Raises:
            InvalidInput: an argument is outside the above; `source` as for `probe`.
            Interrupted, EncoderError: as for `VideoPipeline`.
        """
        options = Options(
            prompt, output, size, fps, model, style, seed, negative_prompt, num_inference_steps, guidance_scale,
            strength, colours, watermark, encoder_threads, forensic, hash_frames, exercise, step_counter, created_at,
            thumbnail, spritesheet, on_preview, callback_on_step_end, on_frame, interrupt, base_prompt, preview_seconds,
        )  # fmt: skip
        # 1. Check inputs
        options.check()
        whole("seconds", seconds, 1, MAX_MORE_SECONDS)
        if continue_from is not None:
            whole("continue_from", continue_from, 0, MAX_TICKS)
        clip = probe(source, argument="source", stop=options.stop)
        first = whole_seconds(clip)
        if first + seconds > MAX_TOTAL_SECONDS:
            raise InvalidInput("seconds", f"at most {MAX_TOTAL_SECONDS - first} more: the source has {first} s of "
                               f"{MAX_TOTAL_SECONDS}")  # fmt: skip

        # 2. Encode prompt
        head = Head.of(clip, options, continue_from is not None)
        studio = Studio(options, encode_remix(options.bases, prompt, negative_prompt), qp=head.qp)
        hidden, labels = studio.forensic_mark(), studio.labels()
        num_frames = head.num_frames + seconds * fps

        stills = Stills(thumbnail, spritesheet, num_frames)
        with stills, head.writer(studio.settings()) as writer:
            tail = Tail(studio, seconds * fps, continue_from)
            reel = Reel(
                writer, tail.autoencoder, hidden, labels, num_frames, options.stop, on_frame,
                stills=stills, loop=None, hash_frames=hash_frames, written=head.num_frames if head.copied else 0,
            )  # fmt: skip
            last = head.show(reel, tail.autoencoder, stills)
            # 3. to 6. As in the pipeline, or the motion goes on
            if continue_from is None:
                for index, timestep in tail.emerge(reel, last):
                    if callback_on_step_end is not None:
                        callback_on_step_end(self, index, timestep, {"num_inference_steps": options.steps})
            else:
                tail.go_on(reel, last)
            stills.write()
            writer.close()
            stills.publish()
        return VideoOutput(
            output, *options.frame, fps, first + seconds, num_frames, seed, model, style, reel.frames_sha256,
            output.stat().st_size, tail.next_tick,
        )  # fmt: skip
