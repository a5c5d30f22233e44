"""Landscapes: mountains over a lake, a forest, a desert, a meadow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from fake_model.elements import Cutout, Drift, Element, Plane, Stage
from fake_model.noise import Dice, Floats, fbm, mix, ridge, value_noise
from fake_model.palette import RGB, Palette, Table, blend
from fake_model.scenes.silhouettes import FIGURES
from fake_model.scenes.sky import Light, paint_sky, place_light
from fake_model.scenes.subjects import paint_subject
from fake_model.scenes.water import water_surface
from fake_model.text_encoder import PromptEmbeds


def paint_land(stage: Stage, embeds: PromptEmbeds, palette: Palette) -> Iterator[Element | None]:
    """Sky, ranges, then water or ground, then what grows on it."""
    kind = embeds.composition
    horizon = stage.even({"lake": 0.60, "forest": 0.70, "desert": 0.56, "meadow": 0.60}[kind])
    light = place_light(stage, embeds, horizon)
    yield from paint_sky(stage, embeds, palette, horizon, light)
    if kind == "desert":
        yield from _dunes(stage, palette, horizon, light)
        yield from paint_subject(stage, embeds, palette)
        return
    reach = (
        min(stage.height * 0.42 + stage.width * 0.14, stage.unit * 0.78)
        * {"lake": 0.66, "forest": 0.5, "meadow": 0.36}[kind]
    )
    fog = 0.25 if embeds.weather == "fog" else 0.0
    snowy = kind == "lake" or embeds.weather == "snow"
    yield mountains(stage, palette, 1, horizon, reach, stage.drift(0.018), light, snow=snowy, haze=0.55 + fog)
    yield mountains(stage, palette, 2, horizon, reach * 0.52, stage.drift(0.040), light, snow=False, haze=0.38 + fog)
    if kind == "lake":
        yield from water_surface(stage, palette, horizon, stage.height, light, calm=True)
        if embeds.subject is not None and FIGURES[embeds.subject].home == "water":
            yield from paint_subject(stage, embeds, palette)
            embeds = replace(embeds, subject=None)
        foot = stage.even(0.90)
        yield grove(stage, palette, 3, foot, stage.px(0.25), stage.drift(0.12), embeds, sparse=True)
    elif kind == "forest":
        for layer, (foot_share, tall, rate) in enumerate(((0.72, 0.26, 0.05), (0.83, 0.36, 0.10), (0.95, 0.52, 0.19))):
            foot, mist = stage.even(foot_share), (0.50, 0.24, 0.0)[layer] + fog * (1.6, 1.4, 0.4)[layer]
            yield grove(
                stage, palette, 5 + layer, foot, stage.px(tall), stage.drift(rate), embeds, sparse=layer == 2, mist=mist
            )
    else:
        for layer, (top, rate) in enumerate(((0.575, 0.06), (0.70, 0.12), (0.84, 0.21))):
            yield _hill(stage, palette, 11 + layer, stage.even(top), stage.drift(rate), embeds, layer)
    yield from paint_subject(stage, embeds, palette)


def mountains(
    stage: Stage,
    palette: Palette,
    layer: int,
    base: int,
    tall: float,
    drift: Drift,
    light: Light,
    *,
    snow: bool,
    haze: float,
) -> Cutout:
    """A range standing on row `base`: a skyline, rock lit from the side of the light, snow above, haze below."""
    seed = mix(stage.seed, 40, layer)
    width = stage.width + drift.travel
    line = ridge(seed, width, stage.unit * (0.95 if layer == 1 else 0.7), 7, 0.75 if layer == 1 else 0.35)
    # Stretched to its own range, and bent so that valleys are wide and peaks are few.
    line = (line - line.min()) / np.float32(max(1e-6, float(line.max() - line.min())))
    line = np.float32(0.06) + line * (np.float32(0.45) + line * np.float32(0.49))
    crest = (np.float32(base) - line * np.float32(tall)).astype(np.float32)
    top = max(0, int(crest.min()) // 2 * 2)
    rows = base - top
    depth = np.arange(top, base, dtype=np.float32)[:, None] - crest[None, :]
    cell = stage.unit * (0.20 if layer == 1 else 0.16)
    rough = fbm(mix(seed, 1), rows, width + 16, cell, cell * 0.8, 6)
    # Folding the noise at its middle makes gullies, which is what eroded rock looks like from afar.
    gully = np.abs(rough - np.float32(0.5))
    side = 10 if light.x < stage.width // 2 else -10
    slope = gully[:, 8 - side // 2 : 8 - side // 2 + width] - gully[:, 8 + side // 2 : 8 + side // 2 + width]
    slope *= np.float32(16.0 * (stage.unit / 1080.0 + 0.25))
    face = np.gradient(crest).astype(np.float32) * np.float32(0.30 if side > 0 else -0.30)
    tone = np.float32(96) + (np.clip(slope + face[None, :], -0.9, 1.1)) * np.float32(78)
    tone -= gully[:, 8 : 8 + width] * np.float32(60)
    if snow:
        line_of_snow = np.float32(tall * 0.24) + (rough[:, 8 : 8 + width] - np.float32(0.5)) * np.float32(tall * 0.95)
        white = np.clip((line_of_snow - depth) * np.float32(0.10), 0, 1)
        tone += (np.float32(206) + np.clip(slope, -0.8, 0.5) * np.float32(58) - tone) * white
    index = np.clip(tone, 2, 255).astype(np.uint8)
    index[depth < 0] = 0
    table = palette.table(
        [(1, palette["rock"]), (150, palette["rock_lit"]), (185, palette["snow"]), (255, palette["snow"])]
    )
    fall = np.arange(rows, dtype=np.float32) / np.float32(max(rows, 1))
    weights = ((np.float32(haze * 0.45) + fall * fall * np.float32(haze)) * np.float32(256)).astype(np.uint16)
    return Cutout(index, table, top, drift, haze=(np.minimum(weights, 240), palette.yuv(palette["haze"])))


def _foliage_table(palette: Palette, embeds: PromptEmbeds, mist: float) -> Table:
    dark, lit = palette["near"], palette["leaf_lit"]
    if embeds.weather == "snow":
        lit = blend(palette["leaf_lit"], palette["snow"], 0.7)
    middle = blend(palette["leaf"], palette["haze"], mist)
    return palette.table(
        [
            (1, blend(dark, palette["haze"], mist)),
            (90, middle),
            (200, blend(lit, palette["haze"], mist * 0.8)),
            (255, lit),
        ]
    )


def grove(
    stage: Stage, palette: Palette, layer: int, foot: int, tall: int, drift: Drift, embeds: PromptEmbeds, *,
    sparse: bool, mist: float = 0.0,
) -> Cutout:  # fmt: skip
    """Conifers on a bank that reaches the frame's lower edge; `foot` is the row where trees stand, about."""
    seed = mix(stage.seed, 60, layer)
    dice = Dice(seed)
    width = stage.width + drift.travel
    bank = ridge(mix(seed, 1), width, stage.unit * 0.8, 5, 0.0)
    line = (foot + (np.float32(0.5) - bank) * np.float32(stage.unit * 0.09)).astype(np.int32)
    top = max(0, (int(line.min()) - tall) // 2 * 2)
    image = Image.new("L", (width, stage.height - top))
    pen = ImageDraw.Draw(image)
    x = -tall * 0.2
    while x < width + tall * 0.2:
        size = tall * dice.between(0.42, 1.0)
        column = min(max(int(x), 0), width - 1)
        conifer(pen, dice, x, float(line[column] - top + size * 0.03), size)
        gap = dice.between(0.25, 1.7) * (1.5 if dice.unit() > 0.8 else 0.7) if sparse else dice.between(0.16, 0.34)
        x += tall * gap
    index = np.array(image)
    rows = np.arange(top, stage.height, dtype=np.int32)[:, None]
    grass = value_noise(mix(seed, 2), 1, width, 1, max(2.0, stage.unit / 240))[0] * np.float32(stage.unit * 0.012)
    ground = rows >= line[None, :] - grass.astype(np.int32)[None, :]
    depth = np.clip((rows - line[None, :]) * (70.0 / max(1, stage.height - foot)), 0, 60).astype(np.uint8)
    index = np.where(ground, np.uint8(66) - depth, index)
    return Cutout(index, _foliage_table(palette, embeds, mist), top, drift)


def conifer(pen: ImageDraw.ImageDraw, dice: Dice, x: float, foot: float, size: float) -> None:
    """One tree as palette indices: jagged tiers, lighter on one side."""
    pen.rectangle((x - size * 0.018, foot - size * 0.2, x + size * 0.018, foot + size * 0.04), fill=20)
    tiers = 8
    lean = dice.between(-0.02, 0.02) * size
    for tier in range(tiers):
        low = foot - size * (0.08 + 0.80 * tier / tiers)
        high = min(low - size * 0.22, foot - size * 0.97 if tier == tiers - 1 else low)
        half = size * 0.21 * (1.0 - tier / (tiers + 0.6)) * dice.between(0.84, 1.12)
        peak = (x + lean * tier / tiers, high)
        droop = size * 0.03
        left = [peak, (x - half, low + droop), (x - half * 0.55, low - droop * 0.4), (x, low + droop * 0.4)]
        right = [peak, (x + half, low + droop), (x + half * 0.5, low - droop * 0.4), (x, low + droop * 0.4)]
        pen.polygon(left, fill=64 + tier * 5)
        pen.polygon(right, fill=26 + tier * 3)
        pen.polygon([peak, (x - half, low + droop), (x - half * 0.62, low - droop * 0.1)], fill=118 + tier * 8)


def _hill(
    stage: Stage, palette: Palette, layer: int, crest: int, drift: Drift, embeds: PromptEmbeds, depth: int
) -> Cutout:
    """A grassy rise with blades along its edge and flowers in the nearest."""
    seed = mix(stage.seed, 61, layer)
    width = stage.width + drift.travel
    line = crest + (np.float32(0.5) - ridge(seed, width, stage.unit * 1.2, 4, 0.0)) * np.float32(stage.unit * 0.14)
    top = max(0, (int(line.min()) - stage.px(0.05)) // 2 * 2)
    rows = stage.height - top
    below = np.arange(top, stage.height, dtype=np.float32)[:, None] - line[None, :].astype(np.float32)
    blades = value_noise(mix(seed, 3), 1, width, 1, max(2.0, stage.unit / (400 - depth * 90)))[0]
    edge = blades * np.float32(stage.unit * (0.006 + 0.012 * depth))
    stripes = fbm(mix(seed, 4), rows, width, stage.unit * 0.05, stage.unit * (0.10 + 0.1 * depth), 5)
    tone = np.float32(168) - np.clip(below * np.float32(190 / (stage.unit * (0.16 + 0.1 * depth))), 0, 95)
    tone += (stripes - np.float32(0.5)) * np.float32(110)
    index = np.clip(tone, 2, 250).astype(np.uint8)
    index[below < -edge[None, :]] = 0
    image = Image.fromarray(index)
    pen, dice = ImageDraw.Draw(image), Dice(mix(seed, 5))
    if depth < 2:
        _bushes(pen, dice, line, top, width, stage.px(0.03 + 0.05 * depth))
    else:
        _flowers(pen, dice, rows, width, stage)
    grass: RGB = palette["grass"]
    if embeds.weather == "snow":
        grass = blend(grass, palette["snow"], 0.72)
    far = blend(grass, palette["haze"], (0.45, 0.2, 0.0)[depth])
    shade = blend(palette["near"], palette["haze"], (0.4, 0.16, 0.0)[depth])
    lit = blend(far, palette["glow"], 0.35)
    table = palette.table([(1, shade), (70, blend(shade, far, 0.6)), (150, far), (250, lit)])
    table[251:256] = palette.table([(251, palette["snow"]), (253, palette["disc_low"]), (255, palette["cloud"])])[
        251:256
    ]
    return Cutout(np.array(image), table, top, drift)


def _bushes(pen: ImageDraw.ImageDraw, dice: Dice, line: Floats, top: int, width: int, size: int) -> None:
    """Clumps of round trees on the crest."""
    x = 0.0
    while x < width:
        x += size * dice.between(1.5, 9.0)
        for _ in range(dice.whole(1, 5)):
            x += size * dice.between(0.5, 0.9)
            column = min(int(x), width - 1)
            foot, radius = float(line[column]) - top, size * dice.between(0.4, 0.75)
            pen.rectangle((x - radius * 0.09, foot - radius, x + radius * 0.09, foot + 3), fill=12)
            for ball, shade in ((1.0, 34), (0.8, 58), (0.5, 96)):
                reach, lift = radius * ball, radius * (1.1 + (1 - ball) * 0.4)
                pen.ellipse((x - reach, foot - lift - reach, x + reach * 0.9, foot - lift + reach * 0.8), fill=shade)


def _flowers(pen: ImageDraw.ImageDraw, dice: Dice, rows: int, width: int, stage: Stage) -> None:
    for _ in range(width * 34 // stage.unit):
        x, share = dice.between(0, width), dice.unit()
        y = rows * (0.25 + 0.75 * share)
        radius = stage.unit * (0.003 + 0.006 * share)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius * 0.8), fill=dice.whole(251, 255))


def _dunes(stage: Stage, palette: Palette, horizon: int, light: Light) -> Iterator[Element]:
    """Ranges of sand: a lit and a shadowed side divided by the crest line, with ripples near by."""
    for layer in range(4):
        yield _dune(stage, palette, horizon, layer, 1 if light.x < stage.width // 2 else -1)


def _dune(stage: Stage, palette: Palette, horizon: int, layer: int, lit_side: int) -> Cutout:
    seed = mix(stage.seed, 62, layer)
    drift = stage.drift((0.015, 0.035, 0.07, 0.13)[layer])
    width = stage.width + drift.travel
    room = stage.height - horizon
    base = horizon + room * (0.02, 0.13, 0.36, 0.72)[layer]
    line = ridge(seed, width, stage.unit * (0.7, 0.8, 1.0, 1.3)[layer], 2 + layer // 2, 0.85)
    crest = (
        np.float32(base) - (line - np.float32(0.35)) * np.float32(stage.unit * (0.13, 0.17, 0.22, 0.22)[layer])
    ).astype(np.float32)
    top = max(0, int(crest.min()) // 2 * 2)
    below = np.arange(top, stage.height, dtype=np.float32)[:, None] - crest[None, :]
    # The shadow's edge wanders down from each crest: the slope of the line, carried sideways with depth.
    slope = np.gradient(crest).astype(np.float32)
    smooth = np.convolve(slope, np.full(9, 1 / 9), mode="same").astype(np.float32)
    shear = np.clip(np.arange(width)[None, :] + (below * np.float32(-0.9 * lit_side)).astype(np.intp), 0, width - 1)
    side = np.clip(smooth[shear] * np.float32(lit_side * 2.6), -1, 1)
    ripple = value_noise(mix(seed, 2), below.shape[0], width, 3 + layer * 2.5, stage.unit * 0.10)
    tone: Floats = np.float32(140) + side * np.float32(74) + (ripple - np.float32(0.5)) * np.float32(10 + 10 * layer)
    tone -= np.clip(below * np.float32(44 / stage.unit), 0, 40)
    index: Plane = np.clip(tone, 2, 255).astype(np.uint8)
    index[below < 0] = 0
    far = (0.6, 0.35, 0.14, 0.0)[layer]
    dark = blend(palette["sand"], palette["near"], 0.72)
    table = palette.table(
        [
            (1, blend(dark, palette["haze"], far)),
            (140, blend(palette["sand"], palette["haze"], far)),
            (255, blend(blend(palette["sand"], palette["glow"], 0.55), palette["haze"], far)),
        ]
    )
    return Cutout(index, table, top, drift)
