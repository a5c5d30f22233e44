"""A look that is put on frames somebody else made: colours by brightness, weather, and a subject.

Colour is decided on tables of 256 entries, as everywhere in this package: a curve for luma, and for chroma what is left
of its own plus a tint that depends on the luma beneath it, as in split toning. The curve never falls, so that what was
brighter stays brighter and the picture can be recognised.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fake_model.elements import Element, Plane, Planes, Sprite, Stage
from fake_model.palette import RGB, Grade, Palette, blend, look_up
from fake_model.scenes import named_tints, variation_grade
from fake_model.scenes.subjects import paint_subject
from fake_model.scenes.weather import paint_weather
from fake_model.studio import Studio, collect
from fake_model.text_encoder import PromptEmbeds

Curve = npt.NDArray[np.float64]

#: By time of day: factor on luma above black, exponent on it, and how much of the tint.
_LIGHT = {
    "dawn": (0.96, 1.0, 0.60), "day": (1.10, 0.86, 0.42), "sunset": (0.90, 1.08, 0.72),
    "dusk": (0.68, 1.12, 0.70), "night": (0.52, 1.18, 0.74), "neon": (0.74, 1.16, 0.78),
}  # fmt: skip


@dataclass(frozen=True)
class _Tone:
    """How colours are changed: stops of a tint by luma, its share, and the share of a picture's own chroma."""

    stops: tuple[tuple[int, RGB], ...] = ()
    tint: float = 0.0
    own: float = 1.0


class Look:
    """The look of a prompt over foreign frames; only what it names.

    Args:
        studio: of a scene whose subject, weather, time and colours are wanted as far as `topics` has them.
        topics: as from `named_topics`.
        cancelled: ends the painting early once set.
    """

    def __init__(self, studio: Studio, topics: frozenset[str], cancelled: threading.Event) -> None:
        embeds = studio.embeds
        weather = embeds.weather if "weather" in topics else "clear"
        tone, grade = _tone(embeds, topics, studio.palette), studio.palette.grade
        if tone == _Tone() and weather == "clear" and embeds.subject is None and studio.options.style is None:
            grade = variation_grade(embeds.key).then(grade)
        self._luma = _luma_curve(embeds, topics, weather, grade, studio.palette)
        self._tints, self._turns = _chroma_curves(tone, weather, grade, studio.palette)
        # A street has ground everywhere; whose home is elsewhere has a path of its own.
        layers = replace(embeds, weather=weather, composition="sea" if embeds.subject in _AFLOAT else "street")
        painting = [_beside(element, studio.stage) for element in paint_subject(studio.stage, layers, studio.palette)]
        painting += paint_weather(studio.stage, layers, studio.palette)
        self._layers: list[Element] = collect(iter(painting), cancelled)

    def put(self, planes: Planes, tick: int) -> None:
        """Change a frame in place; `tick` counts frames, for what moves."""
        small = np.ascontiguousarray(planes.y[::2, ::2])
        u, v = planes.u.copy(), planes.v.copy()
        for plane, tint, (own, other) in zip(planes[1:], self._tints, self._turns, strict=True):
            total = _signed(tint, small)
            total += _signed(own, u if plane is planes.u else v)
            if other.any():
                total += _signed(other, v if plane is planes.u else u)
            total += np.int16(128)
            np.clip(total, 16, 240, out=total)
            plane[...] = total
        planes.y[...] = look_up(self._luma, np.ascontiguousarray(planes.y))
        for layer in self._layers:
            layer.draw(planes, tick)


#: How far from its usual place a subject is put, as a share of the width: the source may have one there.
_ASIDE = 0.27


def _beside(element: Element | None, stage: Stage) -> Element | None:
    if not isinstance(element, Sprite):
        return element
    place, aside = element.place, round(stage.width * _ASIDE) * (1 if stage.backwards else -1)

    def beside(tick: int) -> tuple[int, int]:
        top, left = place(tick)
        return top, left + aside

    return replace(element, place=beside)


_AFLOAT = ("boat", "whale")


def _signed(curve: npt.NDArray[np.int8], index: Plane) -> npt.NDArray[np.int16]:
    return look_up(curve.view(np.uint8), index).view(np.int8).astype(np.int16)


def _tone(embeds: PromptEmbeds, topics: frozenset[str], palette: Palette) -> _Tone:
    """What is named last in this order decides: time of day, colour words, colours from outside."""
    tone = _Tone()
    if "time" in topics:
        names = ((16, "near"), (70, "rock"), (120, "middle"), (175, "horizon"), (225, "core"))
        tone = _Tone(tuple((place, palette[name]) for place, name in names), _LIGHT[embeds.time][2], 0.5)
    tints = named_tints(embeds.colours)
    if tints:
        dark, light = blend(tints[0], (0, 0, 0), 0.6), blend(tints[-1], (255, 255, 255), 0.5)
        places = [60 + 120 * place // max(1, len(tints) - 1) for place in range(len(tints))]
        stops = ((16, dark), *zip(places, tints, strict=True), (225, light))
        tone = _Tone(stops, 0.62, 0.4)
    if "grey" in embeds.colours:
        tone = _Tone(tone.stops, tone.tint * 0.4, 0.12)
    if palette.own:
        count = len(palette.own)
        places = [30 + 180 * place // max(1, count - 1) if count > 1 else 128 for place in range(count)]
        tone = _Tone(tuple(zip(places, palette.own, strict=True)), 0.9, 0.2)
    return tone


def _luma_curve(
    embeds: PromptEmbeds, topics: frozenset[str], weather: str, grade: Grade, palette: Palette
) -> npt.NDArray[np.uint8]:
    light = (np.arange(256, dtype=np.float64) - 16).clip(0, 219) / 219
    if "time" in topics:
        gain, bend, _ = _LIGHT[embeds.time]
        light = np.minimum(1.0, gain * light**bend)
    haze = palette.yuv(palette["haze"])[0]
    luma: Curve = 16 + light * 219
    amount = {"fog": 0.42, "rain": 0.14, "snow": 0.2, "clouds": 0.1}.get(weather, 0.0)
    luma += (haze - luma) * amount
    luma = 118 + (luma - 118) * grade.contrast + grade.lift
    if grade.levels:
        step = 219 / grade.levels
        luma = 16 + (np.floor((luma - 16) / step) + 0.5) * step
    return _whole(luma, 16, 235).astype(np.uint8)


def _chroma_curves(
    tone: _Tone, weather: str, grade: Grade, palette: Palette
) -> tuple[list[npt.NDArray[np.int8]], list[tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]]]:
    """Tints of U and V by luma, and for U and V the curves of their own and of the other's old value; signed."""
    # The palette's table passes its colours through the grade.
    table = palette.table(tone.stops).astype(np.float64) - 128 if tone.stops else np.zeros((256, 3))
    amounts = [grade.tint[part] * (1 - tone.tint) for part in range(2)]
    tints = [_whole(table[:, part + 1] * tone.tint + amounts[part], -112, 112).astype(np.int8) for part in range(2)]
    keep = tone.own * grade.saturation * {"fog": 0.55, "rain": 0.75, "snow": 0.75, "clouds": 0.85}.get(weather, 1.0)
    turn, value = math.radians(grade.hue), np.arange(256, dtype=np.float64) - 128
    own = _whole(value * keep * math.cos(turn), -112, 112).astype(np.int8)
    other = value * keep * math.sin(turn)
    return tints, [(own, _whole(-other, -112, 112).astype(np.int8)), (own, _whole(other, -112, 112).astype(np.int8))]


def _whole(values: Curve, least: int, most: int) -> Curve:
    """Rounded; to 1/64 first, so that a last-bit difference between two libm does not flip a level."""
    return np.clip(np.floor(np.round(values * 64) / 64 + 0.5), least, most)
