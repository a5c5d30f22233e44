"""Subjects in their scene: poses drawn once, with soft edges and a rim of light, on a path of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from fake_model.elements import PERIOD_SECONDS, SINE, Element, Sprite, Stage, Stamp
from fake_model.noise import mix
from fake_model.palette import RGB, Palette, Table, blend
from fake_model.scenes.silhouettes import ACCENT, BACK, BODY, FIGURES, LIGHT, SOFT, Figure, Pen, skateboard
from fake_model.text_encoder import PromptEmbeds

_POSES = 8
_RIM = 7
_ACCENTS: tuple[RGB, ...] = ((226, 74, 62), (240, 178, 52), (54, 160, 196), (232, 96, 150), (98, 178, 96))

#: Row of the feet as a share of the height, by composition; water and air have their own.
_FEET = {"street": 0.905, "meadow": 0.93, "desert": 0.90, "lake": 0.955, "forest": 0.965, "sea": 0.955, "city": 0.96}


def paint_subject(stage: Stage, embeds: PromptEmbeds, palette: Palette) -> Iterator[Element | None]:
    """The prompt's subject, if it has one."""
    if embeds.subject is None:
        return
    figure = FIGURES[embeds.subject]
    size = figure.size * (0.8 if embeds.composition in ("space", "lake") and figure.home != "ground" else 1.0)
    scale = stage.unit * size / 100
    riding = embeds.mount is not None and figure.home == "ground"
    table = _table(embeds, palette)
    # Poses are drawn when the motion first shows them: the encoder is at work by then, on another core.
    pose = functools.cache(lambda place: _pose(figure, scale, place / _POSES, riding, embeds.backwards, table))
    rows, columns = pose(0).shape
    place = _path(stage, embeds, figure, rows, columns, scale)
    cycles = figure.beat * (1.0 if figure.home != "ground" else embeds.pace) * PERIOD_SECONDS
    yield Sprite(pose, _POSES, max(1, round(cycles)) * _POSES / PERIOD_SECONDS, stage.fps, place)


def _table(embeds: PromptEmbeds, palette: Palette) -> Table:
    """Colours of the tones: a dark body that still parts from a dark ground, and one accent."""
    bright = embeds.time in ("day", "dawn")
    accent = _ACCENTS[mix(embeds.key, 41) % len(_ACCENTS)]
    if palette.own:
        accent = max(palette.own, key=lambda colour: max(colour) - min(colour))
    body = blend(palette["near"], palette["haze"], 0.16 if bright else 0.24)
    colours: dict[int, RGB] = {
        BACK: blend(palette["near"], (0, 0, 0), 0.35),
        BODY: body,
        SOFT: blend(palette["cloud"], palette["near"], 0.25 if bright else 0.5),
        ACCENT: blend(accent, palette["near"], 0.05 if bright else 0.22),
        LIGHT: palette["lamp"],
        _RIM: palette["glow"],
    }
    table = palette.table([(0, body), (255, body)])
    for tone, colour in colours.items():
        table[tone] = palette.yuv(colour)
    return table


def _pose(figure: Figure, scale: float, phase: float, riding: bool, mirrored: bool, table: Table) -> Stamp:
    # Large drawings have enough pixels of their own for a soft edge.
    finer = 2 if scale > 2.5 else 3
    pen = Pen(scale * finer, figure.tall + (12 if riding else 0))
    if riding:
        pen.lift = skateboard(pen, phase)
    figure.draw(pen, phase, riding)
    image = pen.image
    image = image.crop((0, 0, image.width // (2 * finer) * 2 * finer, image.height // (2 * finer) * 2 * finer))
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    thick, step = max(2, round(scale * finer * 1.1)), 2 * finer
    box = image.getbbox() or (0, 0, step, step)
    left, top = ((side - thick) // step * step for side in box[:2])
    left, top = max(left, 0), max(top, 0)
    # Everything outside the drawing is air, which costs as much per pixel as the drawing does.
    shape = image.height // finer, image.width // finer
    image = image.crop((left, top, -(-box[2] // step) * step, -(-box[3] // step) * step))
    tones = np.array(image)
    _light_rim(tones, thick, -1 if mirrored else 1)
    image = Image.fromarray(tones)
    cover = np.asarray(image.point([0] + [255] * 255).reduce(finer)).astype(np.int32)
    colour = []
    for part in range(3):
        total = np.asarray(image.point([0, *table[1:, part].tolist()]).reduce(finer)).astype(np.int32)
        mean = np.minimum(total * 255 // np.maximum(cover, 1), 255)
        # Chroma is taken from every second pixel: filling the empty ones keeps the colour of edges.
        colour.append(np.where(cover == 0, int(table[BODY, part]), mean))
    return Stamp(cover * 256 // 255, colour, (top // finer, left // finer), shape)


def _light_rim(tones: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], thick: int, side: int) -> None:
    """Turn the upper edge of dark parts into the rim tone, in place: light from behind."""
    dark = (tones == BODY) | (tones == BACK)
    open_above = np.zeros_like(dark)
    open_above[thick:] = tones[:-thick] == 0
    open_above[:thick] = True
    shifted = np.roll(open_above, -side * (thick // 2), axis=1)
    tones[dark & open_above & shifted] = _RIM


def _path(
    stage: Stage, embeds: PromptEmbeds, figure: Figure, rows: int, columns: int, scale: float
) -> Callable[[int], tuple[int, int]]:
    """Where a pose's corner is at a frame: the camera follows, so the subject drifts and sways within the picture."""
    home = "air" if embeds.composition in ("space", "abstract") else figure.home
    if home == "water" and embeds.composition not in ("sea", "lake", "city"):
        home = "air"
    floor = round(scale * 6)
    if home == "ground":
        feet = _FEET[embeds.composition]
        if stage.height > stage.width and embeds.composition in ("street", "meadow", "desert"):
            feet = 0.845  # above the mark, which is as wide as a narrow frame
        top = round(stage.height * feet) - rows + floor
        rate, sway, bob = 0.012, 0.012, 0.0
    elif home == "water":
        share = {"sea": 0.70, "lake": 0.74, "city": 0.84}[embeds.composition]
        sink = scale * (22 if embeds.subject == "whale" else 2)
        top = round(stage.height * share + sink) - rows + floor
        rate, sway, bob = 0.030, 0.004, 0.007
    else:
        middle = 0.46 if embeds.composition in ("space", "abstract") else 0.30
        top = max(8, round(stage.height * middle) - rows // 2)
        rate, sway, bob = 0.045, 0.008, 0.014
    ahead = -1 if embeds.backwards else 1
    anchor = stage.width * (0.42 if ahead > 0 else 0.58) - columns / 2
    anchor -= ahead * rate * stage.unit * stage.turn_seconds / 2

    def place(tick: int) -> tuple[int, int]:
        wave = int(SINE[tick * 1024 // (stage.fps * PERIOD_SECONDS) & 1023])
        left = (
            anchor
            + ahead * rate * stage.unit * stage.camera(tick) / (256 * stage.fps)
            + sway * stage.unit * wave / 32768
        )
        return top + round(bob * stage.unit * wave / 32768), round(left)

    return place
