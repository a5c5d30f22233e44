"""Scenes: what the decisions of the text encoder look like.

A painter is a generator of elements, back to front; between two of them the pipeline asks whether to stop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fake_model.elements import Element, Stage
from fake_model.noise import mix
from fake_model.palette import RGB, Grade, Palette, blend, lit, luma, rgb
from fake_model.scenes.abstract import paint_abstract, paint_space
from fake_model.scenes.land import paint_land
from fake_model.scenes.town import paint_city, paint_street
from fake_model.scenes.water import paint_sea
from fake_model.scenes.weather import paint_weather
from fake_model.text_encoder import PromptEmbeds
from fake_model.variants import document

_TINTS: dict[str, RGB] = {
    "red": (214, 38, 44), "orange": (240, 128, 30), "yellow": (246, 206, 60), "green": (44, 160, 84),
    "teal": (24, 176, 176), "blue": (36, 92, 220), "purple": (128, 54, 200), "pink": (240, 84, 160),
}  # fmt: skip
_TINTED = ("zenith", "middle", "horizon", "cloud", "haze", "far", "rock_lit", "water", "sand")
#: What fills most of a picture, and so shows a character's colours as they are.
_SURFACES = ("zenith", "middle", "horizon", "cloud", "haze", "far", "water", "sand", "grass", "wall")


def palette_for(embeds: PromptEmbeds, grade: Grade, own: Sequence[tuple[int, int, int]] = ()) -> Palette:
    """The palette of the prompt's time of day, bent by its weather and colour words, and by its hash a little.

    Args:
        own: RGB triples that take the place of the palette's own colours, as far as light and shade allow.
    """
    colours = {name: rgb(text) for name, text in document("palettes")[embeds.time].items()}
    named = named_tints(embeds.colours)
    for place, name in enumerate(_TINTED if named else ()):
        colour = named[place % len(named)]
        light = sum(colours[name]) / max(sum(colour), 1.0)
        level: RGB = (min(255.0, colour[0] * light), min(255.0, colour[1] * light), min(255.0, colour[2] * light))
        colours[name] = blend(colours[name], level, 0.55)
    if embeds.weather in ("rain", "fog", "snow") and embeds.time != "neon":
        grey = sum(colours["middle"]) / 3
        soft: RGB = (grey * 0.94, grey, grey * 1.06)
        for name in ("zenith", "middle", "horizon", "haze", "far"):
            colours[name] = blend(colours[name], soft, 0.35)
    if own:
        return _recoloured(colours, own, grade)
    shade = Grade(hue=(mix(embeds.key, 11) % 13) - 6.0)
    if embeds.variation:
        shade = shade.then(variation_grade(embeds.variation))
    if "grey" in embeds.colours:
        shade = shade.then(Grade(saturation=0.18))
    if embeds.weather == "fog":
        shade = shade.then(Grade(contrast=0.86, saturation=0.85))
    return Palette(colours, shade.then(grade))


def named_tints(words: Sequence[str]) -> list[RGB]:
    """The colours of colour words; grey has none."""
    return [_TINTS[name] for name in words if name in _TINTS]


def variation_grade(number: int) -> Grade:
    """A shade that can be told from the original, in monochrome styles too."""
    turn, light = 16 + mix(number, 1) % 20, 7 + mix(number, 2) % 5
    return Grade(
        hue=turn if number & 1 else -turn, lift=light if number & 2 else -light,
        saturation=0.8 + (mix(number, 3) % 9) / 20,
    )  # fmt: skip


def _recoloured(colours: dict[str, RGB], own: Sequence[tuple[int, int, int]], grade: Grade) -> Palette:
    """Each colour as the given one of its rank in brightness; what gives depth stays about as bright as it was."""
    given = sorted(((float(red), float(green), float(blue)) for red, green, blue in own), key=luma)
    for names, keep in ((_SURFACES, 0.08), ([name for name in colours if name not in _SURFACES], 0.45)):
        ranked = sorted(names, key=lambda name: luma(colours[name]))
        for place, name in enumerate(ranked):
            colour = given[place * len(given) // len(ranked)]
            goal = luma(colour) + (luma(colours[name]) - luma(colour)) * keep
            colours[name] = blend(colours[name], lit(colour, goal), 0.95)
    return Palette(colours, grade, tuple(given))


def busyness(embeds: PromptEmbeds) -> int:
    """Steps of the encoder's quantiser a scene can give up: lit windows and rain hide the loss, and cost the most."""
    return (3 if embeds.composition in ("city", "street") else 0) + (3 if embeds.weather in ("rain", "snow") else 0)


def paint(stage: Stage, embeds: PromptEmbeds, palette: Palette) -> Iterator[Element | None]:
    """The whole scene, back to front; together the elements cover every pixel. None is only an occasion to stop."""
    match embeds.composition:
        case "sea":
            yield from paint_sea(stage, embeds, palette)
        case "city":
            yield from paint_city(stage, embeds, palette)
        case "street":
            yield from paint_street(stage, embeds, palette)
        case "abstract":
            yield from paint_abstract(stage, embeds, palette)
        case "space":
            yield from paint_space(stage, embeds, palette)
        case _:
            yield from paint_land(stage, embeds, palette)
    yield from paint_weather(stage, embeds, palette)
