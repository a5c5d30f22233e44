"""Skies: a graded still with its sun or moon and stars, and the clouds that cross it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fake_model.elements import Drift, Element, Plane, Planes, Sky, Stage
from fake_model.noise import Dice, Floats, fbm, hash_grid, mix, value_noise
from fake_model.palette import Palette, Table, blend, look_up
from fake_model.text_encoder import PromptEmbeds

DARK = ("night", "neon", "dusk")


@dataclass(frozen=True)
class Light:
    """Where the light comes from.

    Args:
        x, y: centre in pixels.
        radius: of the disc in pixels; 0 for an overcast sky.
        moon: whether it is one.
    """

    x: int
    y: int
    radius: int
    moon: bool


def place_light(stage: Stage, embeds: PromptEmbeds, horizon: int) -> Light:
    """The disc's place: near the horizon when the day begins or ends, high otherwise; a third from one side."""
    dice = Dice(mix(stage.seed, 21))
    side = dice.between(0.27, 0.42)
    x = stage.width * (side if mix(stage.seed, 22) % 2 else 1 - side)
    height = {"sunset": 0.90, "dawn": 0.84, "dusk": 0.62, "neon": 0.70}.get(embeds.time, 0.36)
    radius = stage.px({"sunset": 0.085, "dawn": 0.070, "neon": 0.12, "day": 0.05}.get(embeds.time, 0.052))
    hidden = embeds.weather in ("rain", "snow", "fog") and embeds.time not in ("neon", "sunset")
    return Light(int(x), int(horizon * height), 0 if hidden else radius, embeds.time in ("night", "dusk"))


def sky_table(palette: Palette) -> Table:
    """Zenith at 0, horizon at 190, the light's glow above."""
    return palette.table(
        [
            (0, palette["zenith"]),
            (105, palette["middle"]),
            (190, palette["horizon"]),
            (228, palette["glow"]),
            (255, blend(palette["glow"], palette["core"], 0.75)),
        ]
    )


def paint_sky(
    stage: Stage, embeds: PromptEmbeds, palette: Palette, horizon: int, light: Light
) -> Iterator[Element | None]:
    """The still sky down to the horizon, then its clouds."""
    table = sky_table(palette)
    # Some way below the horizon too: what stands there has an uneven upper edge.
    rows = min(stage.height, horizon + stage.px(0.16)) // 2 * 2
    fall = np.minimum(np.arange(rows, dtype=np.float32) / np.float32(max(horizon, 1)), 1)
    base = 190 * (fall * np.float32(0.45) + fall * fall * np.float32(0.55))
    tone = np.broadcast_to(base.astype(np.float32)[:, None], (rows, stage.width)).copy()
    glow = _glow(stage, rows, light, embeds.time)
    tone += (np.float32(255) - tone) * glow
    # One level of dither, or dark gradients show as bands on a projector.
    tone += (hash_grid(mix(stage.seed, 23), rows, stage.width) >> np.uint32(24)).astype(np.float32) * np.float32(
        1 / 256
    )
    index = np.clip(tone, 0, 255).astype(np.uint8)
    small = np.ascontiguousarray(index[::2, ::2])
    picture = Planes(look_up(table[:, 0], index), look_up(table[:, 1], small), look_up(table[:, 2], small))
    if embeds.time in DARK and embeds.weather in ("clear", "clouds"):
        _stars(stage, picture.y, fall, light, 1.0 if embeds.time == "night" else 0.55)
    if light.radius:
        _disc(stage, palette, picture, light)
    yield None
    row_index = np.clip(base, 0, 255).astype(np.uint8)[:horizon]
    cover = {"clear": 0.60, "clouds": 0.46, "rain": 0.36, "snow": 0.42, "fog": 0.50}[embeds.weather]
    drift = stage.drift(0.022)
    yield Sky(picture, _clouds(stage, palette, table[row_index], cover, light, drift), drift)


def _glow(stage: Stage, rows: int, light: Light, time: str) -> Floats:
    """Weight 0..1 of the light around its disc, (rows, width) float32: a wide and a narrow falloff."""
    y = (np.arange(rows, dtype=np.float32) - np.float32(light.y))[:, None]
    x = (np.arange(stage.width, dtype=np.float32) - np.float32(light.x))[None, :]
    reach = {"sunset": 0.52, "dawn": 0.5, "neon": 0.5, "day": 0.34}.get(time, 0.22) * stage.unit
    square = (x * x * np.float32(0.55) + y * y) * np.float32(1 / (reach * reach))
    wide = np.float32(1) / (np.float32(1) + square)
    strength = {"sunset": 0.80, "dawn": 0.70, "day": 0.55, "neon": 0.62}.get(time, 0.42)
    if not light.radius:
        strength *= 0.3
    glow: Floats = wide * wide * np.float32(strength)
    return glow


def _stars(stage: Stage, y: Plane, fall: Floats, light: Light, share: float) -> None:
    dice = Dice(mix(stage.seed, 24))
    rows, width = y.shape
    count = int(260 * share * width * rows / (stage.unit * stage.unit))
    size = max(1, stage.unit // 540)
    for _ in range(count):
        row, column = int(rows * dice.unit() * 0.92), int((width - 4) * dice.unit())
        bright, big = dice.unit(), dice.unit() > 0.86
        if (row - light.y) ** 2 + (column - light.x) ** 2 < (light.radius * 2.2) ** 2:
            continue
        value = int((90 + 145 * bright * bright) * (1.0 - 0.75 * float(fall[row])))
        side = size + (1 if big else 0)
        spot = y[row : row + side, column : column + side]
        np.maximum(spot, np.uint8(value), out=spot)


def _disc(stage: Stage, palette: Palette, picture: Planes, light: Light) -> None:
    """The sun, brighter above and with bands of haze below, or a moon with its seas."""
    reach = light.radius + 2
    top, left = (light.y - reach) // 2 * 2, (light.x - reach) // 2 * 2
    bottom, right = min(top + reach * 2 + 2, picture.y.shape[0]), left + reach * 2 + 2
    top = max(top, 0)
    y = (np.arange(top, bottom, dtype=np.float32) - np.float32(light.y))[:, None]
    x = (np.arange(left, right, dtype=np.float32) - np.float32(light.x))[None, :]
    distance = np.sqrt(x * x + y * y)
    cover = np.clip(np.float32(light.radius) - distance + np.float32(0.5), 0, 1)
    down = np.clip((y + light.radius) / np.float32(2 * light.radius), 0, 1) + x * np.float32(0)
    if light.moon:
        seas = value_noise(mix(stage.seed, 25), bottom - top, right - left, light.radius / 2.2, light.radius / 2.2)
        rim = np.clip(distance / np.float32(light.radius), 0, 1)
        down = np.clip((seas - np.float32(0.42)) * np.float32(2.2), 0, 0.8) + rim * rim * rim * np.float32(0.3)
    else:
        stripe = np.clip((down - np.float32(0.45)) * np.float32(1.6), 0, 1)
        bands = value_noise(mix(stage.seed, 26), bottom - top, 2, max(2.0, light.radius * 0.13), 64)[:, :1]
        cover *= np.float32(1) - stripe * np.clip(bands * np.float32(2.4) - np.float32(0.9), 0, 0.85)
    table = palette.table([(0, palette["core"]), (255, palette["disc_low"])])
    index = np.clip(down * np.float32(255), 0, 255).astype(np.uint8)
    for part, (plane, step) in enumerate(((picture.y, 1), (picture.u, 2), (picture.v, 2))):
        area = plane[top // step : bottom // step, left // step : right // step]
        weight = cover[::step, ::step]
        colour = table[:, part][index[::step, ::step]].astype(np.float32)
        area[...] = np.floor(area + (colour - area) * weight + np.float32(0.5)).astype(np.uint8)


def _clouds(stage: Stage, palette: Palette, sky: Table, cover: float, light: Light, drift: Drift) -> Planes:
    """Banks of cloud, lit from the side of the light; stretched and thinned toward the horizon; see `Sky`.

    Args:
        sky: (rows, 3) the sky's YUV colour by row.
        cover: noise above this is cloud; lower covers more.
    """
    rows, columns = sky.shape[0] * 9 // 10 // 2 * 2, stage.width + drift.travel
    shape = fbm(mix(stage.seed, 27), rows, columns, stage.unit * 0.17, stage.unit * 0.46, 6)
    edge = np.clip((shape - np.float32(cover - 0.06)) * np.float32(1 / 0.24), 0, 1)
    edge *= edge * (np.float32(3) - np.float32(2) * edge)
    near = np.arange(rows, dtype=np.float32) / np.float32(rows)
    edge *= np.minimum(np.float32(1), (np.float32(1) - near) * np.float32(5))[:, None] * np.float32(0.86)
    offset = max(2, stage.unit // 60)
    lit = np.zeros_like(shape)
    lit[offset:] = (shape[offset:] - shape[:-offset]) * np.float32(2.2)
    bright = palette.yuv(blend(palette["cloud"], palette["glow"], 0.25))
    luma = np.float32(bright[0]) + np.clip(lit, -0.5, 0.4) * np.float32(70)
    sky_luma = sky[:rows, 0].astype(np.float32)[:, None]
    y = np.clip(sky_luma + (luma - sky_luma) * edge, 0, 235).astype(np.uint8)
    half = edge[::2, ::2]
    chroma = []
    for part in (1, 2):
        own = sky[:rows:2, part].astype(np.float32)[:, None]
        chroma.append(np.rint((np.float32(bright[part]) - own) * half * np.float32(0.8)).astype(np.int8).view(np.uint8))
    return Planes(y, chroma[0], chroma[1])
