"""The two parts of an extended clip: what there is, and what comes behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np

from fake_model.autoencoder import Autoencoder
from fake_model.blend import mix_into
from fake_model.elements import Plane, Planes
from fake_model.errors import InvalidInput
from fake_model.export import EncoderSettings, VideoWriter
from fake_model.footage import Footage
from fake_model.inputs import Options
from fake_model.reel import Reel
from fake_model.refine import Refinement
from fake_model.sources import Source, whole_seconds
from fake_model.splice import SpliceWriter, expected_sets, parameter_sets, quantiser_of
from fake_model.stills import Preview, Stills
from fake_model.studio import Studio
from fake_model.text_encoder import encode_remix
from fake_model.watermark import Watermark

#: How long a change of the prompt takes to come in, in seconds and as a share of the new frames.
_FADE_SECONDS, _FADE_SHARE = 2.5, 0.6
#: The same for a source whose last frame is not where its motion was said to be.
_BRIDGE_SECONDS = 0.8
#: The `difference` between a decoded frame and the drawing it was made from, at most.
_SAME = 6.0
#: Sides of its areas in pixels.
_AREA = 12


@dataclass(frozen=True)
class Head:
    """The source's part.

    Args:
        clip: the source.
        options: of the call.
        num_frames: that it gives to the clip, whole seconds.
        copied: whether its packets are copied; else its frames are encoded again, with the marks.
        last: its last frame if copied, else None.
        qp: of its encoder if copied; None for whatever suits.
    """

    clip: Source
    options: Options
    num_frames: int
    copied: bool = False
    last: Plane | None = None
    qp: int | None = None

    @classmethod
    def of(cls, clip: Source, options: Options, own: bool) -> Head:
        """The part of a source.

        Args:
            own: whether the caller knows it as a clip of this package. That alone would not do: to be copied it must
                be encoded as the new frames are, frame by frame, and its last frame must carry the mark.
        """
        head = cls(clip, options, whole_seconds(clip) * options.fps)
        fits = clip.codec == "h264" and clip.steady and clip.num_frames == head.num_frames
        fits = fits and clip.fps == options.fps and (clip.width, clip.height) == options.frame
        if not own or not fits:
            return head
        sets = parameter_sets(clip.path, options.stop)
        qp, last = quantiser_of(sets), head.frame(clip.num_frames - 1)
        if qp is None or last is None or sets != expected_sets(_plain(options, qp)):
            return head
        width, height = options.frame
        if not Watermark(options.watermark, width, height).seen(Planes.over(last, width, height)):
            return head
        return replace(head, copied=True, last=last, qp=qp)

    def writer(self, settings: EncoderSettings) -> VideoWriter | SpliceWriter:
        """What takes the frames that are not copied."""
        output, stop = self.options.output, self.options.stop
        if self.copied:
            return SpliceWriter(self.clip.path, output, stop, settings)
        return VideoWriter(output, interrupt=stop, **asdict(settings))

    def show(self, reel: Reel, autoencoder: Autoencoder, stills: Stills) -> Plane:
        """See to the source's frames; returns the last one.

        Raises:
            InvalidInput: the source has no frame at all.
        """
        if self.copied and self.last is not None:
            for place in stills.wanted(range(self.num_frames)):
                still = self.frame(place)
                if still is not None:
                    stills.take(Planes.over(still, *self.options.frame), range(place, place + 1))
            return self.last
        last: Plane | None = None
        options, buffer = self.options, autoencoder.buffer
        with Footage(self.clip.path, options.frame, options.fps, self.num_frames, options.stop) as footage:
            for _ in range(self.num_frames):
                if footage.frame_into(buffer):
                    last = buffer.copy()
                elif last is not None:
                    buffer[...] = last
                else:
                    raise InvalidInput("source", "a clip with a frame that can be decoded")
                reel.show()
        assert last is not None
        return last

    def frame(self, place: int) -> Plane | None:
        """One frame of a source that has the clip's size and rate, decoded; None if there is none."""
        width, height = self.options.frame
        buffer = np.zeros(width * height * 3 // 2, dtype=np.uint8)
        start = max(0.0, (place - 0.25) / self.options.fps)
        with Footage(
            self.clip.path, self.options.frame, self.options.fps, 1, self.options.stop, start=start
        ) as footage:
            return buffer if footage.frame_into(buffer) else None


class Tail:
    """The new frames.

    Args:
        studio: of the scene that the prompt asks for, in the end.
        count: how many frames.
        continue_from: the tick of the first one, or None for a scene that emerges.

    Attributes:
        autoencoder: whose buffer the frames are drawn into.
        next_tick: of the frame that would come next.
    """

    def __init__(self, studio: Studio, count: int, continue_from: int | None) -> None:
        self._studio, self._count, self._begin = studio, count, continue_from or 0
        self._options = studio.options
        self._coming: Autoencoder | None = None
        if continue_from is None:
            self._refine_frames = studio.refine_frames(count)
            self.autoencoder, self._denoiser = studio.painted_with_denoiser()
            self.next_tick = count - self._refine_frames
            return
        options = self._options
        *older, base = options.bases or (options.prompt,)
        earlier = encode_remix(older, base, options.negative_prompt)
        if options.bases and earlier != studio.embeds:
            self.autoencoder, self._coming = replace(studio, embeds=earlier).painted(), studio.painted()
        else:
            self.autoencoder = studio.painted()
        self.next_tick = continue_from + count

    def emerge(self, reel: Reel, last: Plane) -> Iterator[tuple[int, float]]:
        """The scene out of noise over the source's last frame; (step index, timestep) after each step."""
        studio, options = self._studio, self._options
        refinement = Refinement(
            studio.scheduler(), self.autoencoder, self._denoiser, reel, self._refine_frames, options.stop,
            options.step_counter,
            Preview(options.on_preview, options.watermark, *options.frame, options.preview_seconds),
        )  # fmt: skip
        if self._refine_frames:
            yield from refinement.run(self.autoencoder.noise(studio.stage.seed), last, options.strength)
        for frame in range(self._refine_frames, self._count):
            self.autoencoder.render(frame - self._refine_frames)
            reel.show()

    def go_on(self, reel: Reel, last: Plane) -> None:
        """The scene where the source left it, then what the prompt changes."""
        bridge = 0 if self._follows(last) else self._frames(_BRIDGE_SECONDS)
        fade = self._frames(_FADE_SECONDS)
        buffer = self.autoencoder.buffer
        for frame in range(self._count):
            tick = self._begin + frame
            if self._coming is None or frame < fade:
                self.autoencoder.render(tick)
            if self._coming is not None:
                self._coming.render(tick)
                mix_into(buffer, self._coming.buffer, _eased(frame + 1, fade + 1))
            if frame < bridge:
                mix_into(buffer, last, 256 - _eased(frame + 1, bridge + 1))
            reel.show()

    def _follows(self, last: Plane) -> bool:
        """Whether the source ends where the scene was a frame before `continue_from`."""
        if not self._begin:
            return False
        self.autoencoder.render(self._begin - 1)
        return difference(self.autoencoder.buffer, last, self._options) < _SAME

    def _frames(self, seconds: float) -> int:
        return max(1, min(round(seconds * self._options.fps), round(self._count * _FADE_SHARE)))


def difference(one: Plane, other: Plane, options: Options) -> float:
    """Mean difference in levels of two frames' areas above the mark, luma and chroma; noise and marks average out."""
    width, height = options.frame
    mark = Watermark(options.watermark, width, height)
    total = 0.0
    for first, second in zip(Planes.over(one, width, height), Planes.over(other, width, height), strict=True):
        rows, columns = mark.top * first.shape[0] // height // _AREA, first.shape[1] // _AREA
        whole = (slice(rows * _AREA), slice(columns * _AREA))
        change = first[whole].astype(np.int16) - second[whole]
        total += float(np.abs(change.reshape(rows, _AREA, columns, _AREA).mean(axis=(1, 3))).mean())
    return total


def _eased(done: int, whole: int) -> int:
    """How far a fade has come, 0 to 256: slow at both ends."""
    part = min(done, whole) * 256 // whole
    return part * part * (768 - 2 * part) >> 16


def _plain(options: Options, qp: int) -> EncoderSettings:
    width, height = options.frame
    return EncoderSettings(width, height, options.fps, qp, 1)
