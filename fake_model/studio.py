"""What the pipelines share: a prompt's scene set up once, its marks, and the settings of its encoder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

from fake_model.autoencoder import Autoencoder
from fake_model.denoiser import Denoiser
from fake_model.elements import Element, Stage
from fake_model.errors import Interrupted, InvalidInput
from fake_model.export import POLL_SECONDS, EncoderSettings
from fake_model.forensic import ForensicMark
from fake_model.inputs import Options
from fake_model.noise import mix
from fake_model.palette import Grade, Palette
from fake_model.reel import check
from fake_model.scenes import busyness, paint, palette_for
from fake_model.scheduler import FlowMatchEulerScheduler
from fake_model.text_encoder import PromptEmbeds
from fake_model.variants import Variant, document
from fake_model.watermark import Label, Watermark

T = TypeVar("T")


@dataclass(frozen=True)
class Studio:
    """A scene and what its frames are given, for one call of a pipeline.

    Args:
        options: the call's arguments, checked.
        embeds: what the scene shows.
        qp: the encoder's constant quantiser; None for what suits model and scene.
    """

    options: Options
    embeds: PromptEmbeds
    qp: int | None = None

    @property
    def quantiser(self) -> int:
        """The encoder's constant quantiser."""
        return self.options.variant.qp + busyness(self.embeds) if self.qp is None else self.qp

    @cached_property
    def stage(self) -> Stage:
        """The frame's geometry and time; `stage.seed` decides the layout."""
        width, height = self.options.frame
        seed, turn = mix(self.embeds.key, self.options.seed), self.options.variant.turn_seconds
        return Stage(width, height, self.options.fps, seed, self.embeds.pace, self.embeds.backwards, turn)

    @cached_property
    def palette(self) -> Palette:
        """The scene's colours, graded."""
        grade = grade_of(self.options.guidance_scale, self.options.variant, self.options.style)
        return palette_for(self.embeds, grade, self.options.palette)

    def forensic_mark(self) -> ForensicMark | None:
        """The invisible mark asked for.

        Raises:
            InvalidInput: naming `forensic`.
        """
        if self.options.forensic is None:
            return None
        try:
            payload, key = self.options.forensic
            return ForensicMark(payload, key, *self.options.frame, qp=self.quantiser)
        except (TypeError, ValueError) as exc:  # InvalidInput is a ValueError; its argument is a part of this one
            raise InvalidInput("forensic", f"a pair of payload and key ({exc}), or None") from exc

    def labels(self) -> list[Watermark | Label]:
        """The visible marks of every frame."""
        width, height = self.options.frame
        labels: list[Watermark | Label] = [Watermark(self.options.watermark, width, height)]
        if self.options.exercise is not None:
            labels.append(Label(self.options.exercise, width, height, right=False))
        return labels

    def scheduler(self) -> FlowMatchEulerScheduler:
        """With its timesteps set."""
        scheduler = FlowMatchEulerScheduler(shift=self.options.variant.shift)
        scheduler.set_timesteps(self.options.steps)
        return scheduler

    def settings(self) -> EncoderSettings:
        """What ffmpeg is told."""
        width, height = self.options.frame
        return EncoderSettings(
            width, height, self.options.fps, self.quantiser, self.options.encoder_threads, self.options.created_at,
            f"synthetic · leakdrill mock · model {self.options.model} · seed {self.options.seed}",
        )  # fmt: skip

    def painted(self) -> Autoencoder:
        """The scene in place; returns as soon as the caller wants to stop."""
        return while_asking(self._autoencoder, self.options.stop)

    def painted_with_denoiser(self) -> tuple[Autoencoder, Denoiser]:
        """The scene in place, its first frame drawn, and what pulls latents toward that frame."""
        return while_asking(self._first_frame, self.options.stop)

    def refine_frames(self, num_frames: int) -> int:
        """Frames given to the refinement: the variant's time, at most 40 % of the clip, one of two at the least."""
        wanted = round(self.options.variant.refine_seconds * self.options.fps)
        return max(min(wanted, num_frames * 2 // 5), min(1, num_frames - 1))

    def _autoencoder(self, cancelled: threading.Event) -> Autoencoder:
        painting = paint(self.stage, self.embeds, self.palette)
        return Autoencoder(*self.options.frame, collect(painting, cancelled))

    def _first_frame(self, cancelled: threading.Event) -> tuple[Autoencoder, Denoiser]:
        autoencoder = self._autoencoder(cancelled)
        autoencoder.render(0)
        return autoencoder, Denoiser(autoencoder.encode())


def collect(painting: Iterator[Element | None], cancelled: threading.Event) -> list[Element]:
    """The scene's elements; gives up early once cancelled."""
    elements = []
    for element in painting:
        if cancelled.is_set():
            raise Interrupted("interrupted while painting")
        if element is not None:
            elements.append(element)
    return elements


def while_asking(work: Callable[[threading.Event], T], stop: Callable[[], bool]) -> T:
    """Run `work` in a thread while this one asks whether to stop.

    Painting a large scene takes longer than an interrupt may, and `stop` belongs to the caller's thread. A cancelled
    thread ends by itself at its next element; it holds no file and no process.
    """
    cancelled = threading.Event()
    executor = ThreadPoolExecutor(1, thread_name_prefix="fake_model")
    try:
        future = executor.submit(partial(work, cancelled))
        while not future.done():
            check(stop)
            wait([future], POLL_SECONDS)
        return future.result()
    finally:
        cancelled.set()
        executor.shutdown(wait=False)


def grade_of(guidance: float | None, chosen: Variant, style: str | None) -> Grade:
    """The style's grade over colours of full strength at the variant's own guidance, weaker below, stronger above."""
    beyond = 0.0 if guidance is None else guidance - chosen.guidance_scale
    saturation = max(0.35, min(1.35, 1.0 + beyond * 0.07))
    own = Grade() if style is None else Grade(**document("styles")[style])
    return Grade(saturation=saturation).then(own)
