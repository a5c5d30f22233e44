"""Water: a mirror with glints, and the open sea with swell."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from fake_model.effects import Glints, Mirror
from fake_model.elements import Cutout, Element, Plane, Stage
from fake_model.noise import Floats, fbm, hash_grid, mix, ridge
from fake_model.palette import Palette, blend
from fake_model.scenes.silhouettes import FIGURES
from fake_model.scenes.sky import Light, paint_sky, place_light
from fake_model.scenes.subjects import paint_subject
from fake_model.text_encoder import PromptEmbeds


def paint_sea(stage: Stage, embeds: PromptEmbeds, palette: Palette) -> Iterator[Element | None]:
    """Sky, a far headland, the sea, and swells that pass in front."""
    horizon = stage.even(0.53)
    light = place_light(stage, embeds, horizon)
    yield from paint_sky(stage, embeds, palette, horizon, light)
    yield _headland(stage, palette, horizon)
    yield from water_surface(stage, palette, horizon, stage.height, light, calm=False)
    ashore = embeds.subject is not None and FIGURES[embeds.subject].home == "ground"
    if not ashore:
        yield from paint_subject(stage, embeds, palette)
    for layer in range(2 if ashore else 3):
        yield _swell(stage, palette, layer)
    if ashore:
        yield _beach(stage, palette)
        yield from paint_subject(stage, embeds, palette)


def _beach(stage: Stage, palette: Palette) -> Cutout:
    """Sand in front of the water, with a wet and foaming edge."""
    drift = stage.drift(0.20)
    width = stage.width + drift.travel
    line = stage.height * 0.885 + (
        ridge(mix(stage.seed, 75), width, stage.unit * 0.9, 3, 0.0) - np.float32(0.5)
    ) * np.float32(stage.unit * 0.05)
    top = int(line.min()) // 2 * 2
    rows = stage.height - top
    below = np.arange(top, stage.height, dtype=np.float32)[:, None] - line.astype(np.float32)[None, :]
    grain = fbm(mix(stage.seed, 76), rows, width, stage.unit * 0.02, stage.unit * 0.12, 4)
    wet = np.clip(below * np.float32(60 / (stage.unit * 0.06)), 0, 60)
    tone = np.float32(70) + wet + (grain - np.float32(0.5)) * np.float32(70)
    foam = below < np.float32(stage.unit * 0.006) + grain * np.float32(stage.unit * 0.012)
    index = np.clip(tone, 1, 200).astype(np.uint8)
    index[foam] = 250
    index[below < 0] = 0
    table = palette.table(
        [
            (1, blend(palette["sand"], palette["near"], 0.7)),
            (150, palette["sand"]),
            (205, palette["sand"]),
            (250, palette["snow"]),
        ]
    )
    return Cutout(index, table, top, drift)


def water_surface(
    stage: Stage, palette: Palette, horizon: int, bottom: int, light: Light, *, calm: bool
) -> Iterator[Element]:
    """Mirrored surroundings, then light on the ripples."""
    rows = bottom - horizon
    far, near = palette["haze"], palette["water"]
    shade = palette.table([(0, blend(near, far, 0.5)), (60, near), (255, blend(near, palette["near"], 0.55))])
    tint = shade[np.linspace(0, 255, rows).astype(np.uint8)]
    yield Mirror(stage, horizon, bottom, tint, 0.012 if calm else 0.045)
    yield _glints(stage, horizon, rows, light, calm)


def _glints(stage: Stage, horizon: int, rows: int, light: Light, calm: bool) -> Glints:
    """Dashes of light whose length and height grow toward the viewer, brightest below the sun."""
    distance = np.arange(rows, dtype=np.float64)
    share = distance / max(rows, 1)
    slide = stage.unit * (0.010 + 0.075 * share) * (0.55 if calm else 1.0) * stage.pace
    room = int(slide[-1] * stage.turn_seconds) + 2
    cell = stage.unit * (0.012 + 0.085 * share)
    band = np.cumsum(1.0 / (1.2 + stage.unit * 0.011 * share)).astype(np.intp)
    fields = [_wave_field(mix(stage.seed, 70, turn), rows, stage.width + room, cell, band) for turn in range(2)]
    column = np.abs(np.arange(stage.width, dtype=np.float32) - np.float32(light.x))[None, :]
    spread = (stage.unit * (0.05 + 0.24 * share)).astype(np.float32)[:, None]
    path = np.float32(1) / (np.float32(1) + (column / spread) * (column / spread))
    shine = path * np.float32(58 if light.radius else 16) + np.float32(6 if calm else 13)
    fade = np.minimum(1.0, share * 18 + 0.25).astype(np.float32)[:, None]
    limit = np.clip(shine * fade, 0, 60).astype(np.uint8)
    return Glints(fields[0], fields[1], limit, horizon, slide, stage)


def _wave_field(
    seed: int, rows: int, width: int, cell: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    band: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
) -> Plane:  # fmt: skip
    """Noise whose cells have a height and a width per band of rows, sharpened to dashes of 0..60."""
    lattice = (hash_grid(seed, int(band[-1]) + 1, int(width / float(cell[0])) + 3) >> np.uint32(24)).astype(np.float32)
    out = np.empty((rows, width), dtype=np.uint8)
    columns = np.arange(width, dtype=np.float32)
    starts = [*np.flatnonzero(np.diff(band, prepend=-1)).tolist(), rows]
    for first, last in itertools.pairwise(starts):
        position = columns * np.float32(1.0 / cell[first])
        index = position.astype(np.intp)
        part = position - index.astype(np.float32)
        source = lattice[band[first]]
        left = source[index]
        value: Floats = left + (source[index + 1] - left) * part * part * (np.float32(3) - np.float32(2) * part)
        out[first:last] = np.clip((value - np.float32(112)) * np.float32(0.62), 0, 60).astype(np.uint8)
    return out


def _headland(stage: Stage, palette: Palette, horizon: int) -> Cutout:
    """A low coast that comes and goes along the horizon."""
    drift = stage.drift(0.010)
    width = stage.width + drift.travel
    line = ridge(mix(stage.seed, 71), width, stage.unit * 0.8, 6, 0.4)
    tall = np.clip((line - np.float32(0.42)) * np.float32(stage.unit * 0.34), 0, None)
    rows = max(2, int(tall.max()) // 2 * 2 + 2)
    height = np.arange(rows, 0, -1, dtype=np.float32)[:, None]
    texture = fbm(mix(stage.seed, 72), rows, width, stage.unit * 0.02, stage.unit * 0.04, 3)
    index = np.clip(np.float32(80) + texture * np.float32(90), 1, 255).astype(np.uint8)
    index[height > tall[None, :]] = 0
    table = palette.table([(1, palette["far"]), (255, blend(palette["far"], palette["haze"], 0.7))])
    return Cutout(index, table, horizon - rows, drift)


def _swell(stage: Stage, palette: Palette, layer: int) -> Cutout:
    """A near wave: a crest with light on its upper edge, darker water below, rising and falling."""
    drift = stage.drift((0.06, 0.11, 0.19)[layer])
    width = stage.width + drift.travel
    share = (0.76, 0.86, 0.96)[layer]
    bob = (stage.px((0.008, 0.014, 0.022)[layer]), max(2, stage.fps * (2, 4, 4)[layer]))
    line = ridge(mix(stage.seed, 73, layer), width, stage.unit * (0.34, 0.5, 0.8)[layer], 5, 0.75)
    crest = stage.height * share - (line - np.float32(0.5)) * np.float32(stage.unit * (0.05, 0.08, 0.13)[layer])
    top = int(crest.min()) // 2 * 2
    rows = stage.height - top + bob[0] + 4
    below = np.arange(rows, dtype=np.float32)[:, None] + np.float32(top) - crest.astype(np.float32)[None, :]
    streak = fbm(mix(stage.seed, 74, layer), rows, width, stage.unit * 0.022, stage.unit * 0.20, 4)
    rim = np.float32(1) / (np.float32(1) + np.abs(below) * np.float32(34 / stage.unit))
    tone = np.float32(60) + rim * np.float32(120) + (streak - np.float32(0.5)) * np.float32(120)
    tone -= np.clip(below * np.float32(70 / (stage.unit * 0.2)), 0, 50)
    index = np.clip(tone, 1, 255).astype(np.uint8)
    index[below < 0] = 0
    deep = blend(palette["water"], palette["near"], (0.45, 0.58, 0.7)[layer])
    table = palette.table(
        [
            (1, blend(deep, palette["near"], 0.5)),
            (70, deep),
            (150, palette["water"]),
            (255, blend(palette["water"], palette["glint"], 0.6)),
        ]
    )
    return Cutout(index, table, top, drift, bob=bob)
