"""An existing clip, changed: its frames regraded and overlaid by what a prompt names, coming out of noise."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np

from fake_model.autoencoder import Autoencoder
from fake_model.blend import mix_into
from fake_model.errors import InvalidInput
from fake_model.export import VideoWriter
from fake_model.footage import Footage
from fake_model.forensic import ForensicMark
from fake_model.inputs import PREVIEW_SECONDS, Options, StepCallback
from fake_model.look import Look
from fake_model.pipeline import VideoOutput
from fake_model.reel import Reel, check
from fake_model.refine import step_label, steps_shown
from fake_model.scheduler import Latents
from fake_model.sources import probe, whole_seconds
from fake_model.stills import Preview, Stills
from fake_model.studio import Studio, while_asking
from fake_model.text_encoder import PromptEmbeds, encode_prompt, named_topics
from fake_model.unmark import earlier_mark

#: The strength from which on the change is a whole one.
FULL_STRENGTH = 0.6
#: Of so many frames one keeps an earlier forensic mark: the codec has kept about 80 % of it, and taking off all of it
#: from every frame would turn the rest against the new mark, which has its pilot in common with the old one.
SPARED = 5


class VideoEditPipeline:
    """Clip and prompt to clip. Holds no state between calls and may be used from several threads."""

    def __call__(
        self,
        prompt: str,
        *,
        source: pathlib.Path,
        output: pathlib.Path,
        size: str = "1280x720",
        fps: int = 30,
        model: str = "standard",
        style: str | None = None,
        seed: int = 0,
        negative_prompt: str = "",
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        strength: float = 0.6,
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
        """Change a clip.

        Args:
            prompt: what to change: time of day, weather, colours and subject that it names by known words are put on
                the source. One that names none of them changes the colours by its hash.
            source: an MP4, MOV or WebM, at most 120 s; of another shape it is cropped at its middle.
            output, size, fps, model, style, seed, negative_prompt, num_inference_steps, guidance_scale, watermark,
                encoder_threads, forensic, hash_frames, exercise, step_counter, created_at, thumbnail, spritesheet,
                on_preview, preview_seconds, callback_on_step_end, on_frame, interrupt: as for `VideoPipeline`.
            strength: 0 to 1; how much noise the source is given first. Below 0.6 the change is weaker too; 0 leaves
                the source as it is, but for the marks.
            colours: 1 to 10 RGB triples that the source is coloured with.

        Returns:
            A clip as long as the source, in whole seconds, at least 1: a rest of less than half a second is left out,
            and the last frame is held where there is too little. `next_tick` is 0: no scene goes on from it.

        Raises:
            InvalidInput: an argument is outside the above; `source` as for `probe`.
            Interrupted, EncoderError: as for `VideoPipeline`.
        """
        options = Options(
            prompt, output, size, fps, model, style, seed, negative_prompt, num_inference_steps, guidance_scale,
            strength, colours, watermark, encoder_threads, forensic, hash_frames, exercise, step_counter, created_at,
            thumbnail, spritesheet, on_preview, callback_on_step_end, on_frame, interrupt,
            preview_seconds=preview_seconds,
        )  # fmt: skip
        # 1. Check inputs
        options.check()
        width, height = options.frame
        clip = probe(source, argument="source", stop=options.stop)
        seconds = whole_seconds(clip)
        num_frames = seconds * fps

        # 2. Encode prompt
        topics = named_topics(prompt, negative_prompt)
        studio = Studio(options, _embeds(prompt, negative_prompt, topics), qp=options.variant.qp)
        hidden, labels = studio.forensic_mark(), studio.labels()
        old = None if forensic is None else earlier_mark(clip, forensic[1], width, height, options.stop)

        # 3. Prepare timesteps
        scheduler, refine_frames = studio.scheduler(), studio.refine_frames(num_frames)
        stills = Stills(thumbnail, spritesheet, num_frames)
        writer = VideoWriter(output, interrupt=options.stop, **asdict(studio.settings()))
        with stills, writer, Footage(source, options.frame, fps, num_frames, options.stop) as footage:
            look = while_asking(partial(Look, studio, topics), options.stop)
            autoencoder = Autoencoder(width, height, [])
            reel = Reel(
                writer, autoencoder, hidden, labels, num_frames, options.stop, on_frame,
                stills=stills, loop=None, hash_frames=hash_frames,
            )  # fmt: skip
            development = _Development(footage, look, autoencoder, min(1.0, strength / FULL_STRENGTH), old)

            # 4. and 5. Prepare latents, and denoise them
            preview = Preview(on_preview, watermark, width, height, preview_seconds)
            noise = autoencoder.noise(studio.stage.seed)
            shown = steps_shown(scheduler, strength, refine_frames)
            for index, sigma, frames in shown:
                counter = (step_label(index, options.steps, width, height),) if step_counter else ()
                for _ in range(frames):
                    preview.offer(development.noisy(noise, sigma, shown[0][1]))
                    reel.show(1, *counter)
                check(options.stop)
                if callback_on_step_end is not None:
                    callback_on_step_end(
                        self, index, scheduler.timesteps[index], {"num_inference_steps": options.steps}
                    )

            # 6. Decode
            for _ in range(refine_frames, num_frames):
                development.clean()
                reel.show()
            stills.write()
            writer.close()
            stills.publish()
        return VideoOutput(
            output, width, height, fps, seconds, num_frames, seed, model, style, reel.frames_sha256,
            output.stat().st_size, 0,
        )  # fmt: skip


class _Development:
    """Frames of the source, changed, in the autoencoder's buffer.

    Args:
        amount: 0 to 1, of the change.
        old: a forensic mark that the source carries.
    """

    def __init__(
        self, footage: Footage, look: Look, autoencoder: Autoencoder, amount: float, old: ForensicMark | None
    ) -> None:
        self._footage, self._look, self._autoencoder, self._amount, self._old = footage, look, autoencoder, amount, old
        self._source = autoencoder.buffer.copy()
        self._tick = 0

    def clean(self, amount: float = 1.0) -> None:
        """The next frame, changed by that share; the last one again where the source has no more.

        Raises:
            InvalidInput: the source has no frame at all.
        """
        buffer = self._autoencoder.buffer
        if self._footage.frame_into(buffer):
            if self._old is not None and self._tick % SPARED:
                self._old.take_off(self._autoencoder.planes.y)
            self._source[...] = buffer
        elif self._tick == 0:
            raise InvalidInput("source", "a clip with a frame that can be decoded")
        else:
            buffer[...] = self._source
        self._look.put(self._autoencoder.planes, self._tick)
        mix_into(buffer, self._source, round(256 * (1 - amount * self._amount)))
        self._tick += 1

    def noisy(self, noise: Latents, sigma: float, first: float) -> Latents:
        """The next frame with noise of level sigma: x = (1 - sigma) * x0 + sigma * noise, and x0 on its way from the
        source, at level `first`, to the change, at 0. Returns its latents."""
        self.clean(1.0 - sigma / first if first > 0 else 1.0)
        if sigma <= 0:
            return self._autoencoder.latents()
        latents: Latents = self._autoencoder.encode() * np.float32(1 - sigma) + noise * np.float32(sigma)
        self._autoencoder.decode(latents, sigma)
        return latents


def _embeds(prompt: str, negative_prompt: str, topics: frozenset[str]) -> PromptEmbeds:
    """What a prompt names, on a clear day where it does not say."""
    embeds = encode_prompt(prompt, negative_prompt)
    time = embeds.time if "time" in topics else "day"
    return replace(embeds, time=time, weather=embeds.weather if "weather" in topics else "clear")
