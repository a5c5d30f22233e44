"""Towns: a skyline across water, and a street seen from its other side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from fake_model.effects import Mirror
from fake_model.elements import Cutout, Drift, Element, Stage
from fake_model.noise import Dice, fbm, mix
from fake_model.palette import RGB, Palette, Table, blend
from fake_model.scenes.silhouettes import FIGURES
from fake_model.scenes.sky import DARK, paint_sky, place_light
from fake_model.scenes.subjects import paint_subject
from fake_model.scenes.water import water_surface
from fake_model.text_encoder import PromptEmbeds

#: Palette indices of a building: walls, warm and cool windows, then a glow of `_SHADES` per neon colour.
_WALL, _WARM, _COOL, _NEON, _SHADES = 1, 64, 96, 128, 24
_SIGNS: tuple[RGB, ...] = ((255, 64, 150), (60, 220, 255), (255, 190, 60), (140, 90, 255), (90, 255, 170))


def paint_city(stage: Stage, embeds: PromptEmbeds, palette: Palette) -> Iterator[Element | None]:
    """Three rows of buildings whose lights stand in the water."""
    horizon = stage.even(0.71)
    light = place_light(stage, embeds, stage.even(0.62))
    yield from paint_sky(stage, embeds, palette, horizon, light)
    reach = stage.height * 0.36 + stage.width * 0.08
    for layer, (share, rate, haze) in enumerate(((0.92, 0.018, 0.62), (0.74, 0.040, 0.30), (0.50, 0.075, 0.0))):
        yield _row(stage, embeds, palette, layer, horizon, reach * share, stage.drift(rate), haze)
    yield from water_surface(stage, palette, horizon, stage.height, light, calm=True)
    if embeds.subject is not None and FIGURES[embeds.subject].home == "ground":
        yield _quay(stage, palette)
    yield from paint_subject(stage, embeds, palette)


def paint_street(stage: Stage, embeds: PromptEmbeds, palette: Palette) -> Iterator[Element | None]:
    """Roofs far away, fronts with shops, lamps, and a road that mirrors them when it is dark or wet."""
    ground = stage.even(0.78)
    light = place_light(stage, embeds, stage.even(0.5))
    yield from paint_sky(stage, embeds, palette, ground, light)
    reach = stage.height * 0.40 + stage.width * 0.06
    yield _row(stage, embeds, palette, 0, ground, reach * 1.15, stage.drift(0.03), 0.6)
    yield _fronts(stage, embeds, palette, ground, stage.drift(0.16))
    yield _lamps(stage, embeds, palette, ground, stage.drift(0.22))
    asphalt = blend(palette["near"], palette["wall"], 0.35)
    if embeds.time in DARK or embeds.weather == "rain" or embeds.time == "sunset":
        rows = stage.height - ground
        shade = palette.table([(0, asphalt), (255, palette["near"])])
        yield Mirror(stage, ground, stage.height, shade[np.linspace(0, 255, rows).astype(np.uint8)], 0.006)
        yield _markings(stage, palette, ground, stage.drift(0.32), None)
    else:
        yield _markings(stage, palette, ground, stage.drift(0.32), asphalt)
    yield from paint_subject(stage, embeds, palette)


def _quay(stage: Stage, palette: Palette) -> Cutout:
    """A pavement of slabs at the water, for who cannot walk on it: a remix may put a dog there."""
    drift = stage.drift(0.16)
    top, width = stage.even(0.915), stage.width + drift.travel
    rows = stage.height - top
    stone = fbm(mix(stage.seed, 84), rows, width, stage.unit * 0.02, stage.unit * 0.08, 4)
    tone = np.float32(90) + (stone - np.float32(0.5)) * np.float32(70)
    tone -= np.arange(rows, dtype=np.float32)[:, None] * np.float32(40 / max(1, rows))
    image = Image.fromarray(np.clip(tone, 1, 200).astype(np.uint8))
    pen, line = ImageDraw.Draw(image), max(1, stage.unit // 360)
    pen.rectangle((0, 0, width, stage.px(0.008)), fill=220)
    for x in range(0, width, stage.px(0.13)):
        pen.line((x, stage.px(0.008), x - rows // 2, rows), fill=24, width=line)
    pen.line((0, rows // 2, width, rows // 2), fill=24, width=line)
    wall = blend(palette["wall"], palette["haze"], 0.25)
    table = palette.table([(1, palette["near"]), (200, wall), (220, blend(wall, palette["glow"], 0.5))])
    return Cutout(np.array(image), table, top, drift)


def _table(embeds: PromptEmbeds, palette: Palette, haze: float) -> Table:
    """Colours of one row of buildings; distance pulls all of them toward the haze."""
    far = palette["haze"]
    lamp, cool = palette["lamp"], blend(palette["glint"], palette["middle"], 0.25)
    if embeds.time in ("day", "dawn"):
        lamp, cool = blend(palette["horizon"], palette["wall"], 0.25), blend(palette["middle"], palette["near"], 0.35)
    wall = blend(palette["wall"], far, haze)
    stops = [
        (_WALL, blend(palette["near"], wall, 0.25 + haze * 0.6)), (_WARM - 1, wall),
        (_WARM, blend(wall, lamp, 0.25)), (_COOL - 1, blend(lamp, far, haze * 0.45)),
        (_COOL, blend(wall, cool, 0.2)), (_NEON - 1, blend(cool, far, haze * 0.5)),
    ]  # fmt: skip
    table = palette.table(stops)
    for place, usual in enumerate(_SIGNS):
        sign = palette.own[place % len(palette.own)] if palette.own else usual
        start = _NEON + place * _SHADES
        ramp = [(start, wall), (start + _SHADES - 4, sign), (start + _SHADES - 1, blend(sign, (255, 255, 255), 0.7))]
        table[start : start + _SHADES] = palette.table(ramp)[start : start + _SHADES]
    return table


def _row(
    stage: Stage, embeds: PromptEmbeds, palette: Palette, layer: int, base: int, tall: float, drift: Drift, haze: float
) -> Cutout:
    """Buildings side by side on row `base`, taller in clusters."""
    seed = mix(stage.seed, 80, layer)
    dice = Dice(seed)
    width = stage.width + drift.travel
    top = max(0, int(base - tall * 1.16) // 2 * 2)
    image = Image.new("L", (width, base - top))
    pen = ImageDraw.Draw(image)
    cluster = fbm(mix(seed, 1), 1, width, 1, stage.unit * 0.5, 2)[0]
    x = -stage.px(0.05)
    while x < width:
        wide = int(stage.unit * dice.between(0.055, 0.125) * (0.8 + 0.22 * layer))
        rise = 0.30 + 0.75 * float(cluster[min(max(x, 0), width - 1)]) * dice.between(0.55, 1.25)
        roof = base - top - min(int(tall * rise), base - top - 2)
        _building(pen, dice, stage, embeds, layer, (x, roof, x + wide, base - top))
        x += wide + (0 if dice.unit() > 0.25 else int(wide * dice.between(0.05, 0.4)))
    return Cutout(np.array(image), _table(embeds, palette, haze), top, drift)


def _building(
    pen: ImageDraw.ImageDraw, dice: Dice, stage: Stage, embeds: PromptEmbeds, layer: int, box: tuple[int, int, int, int]
) -> None:
    left, roof, right, base = box
    wide = right - left
    shade = dice.whole(14, 46)
    kind = dice.whole(0, 5)
    pen.rectangle((left, roof, right, base), fill=shade)
    pen.rectangle((left, roof, left + wide // 7, base), fill=shade + 10)
    if kind == 0:
        step = wide // 5
        pen.rectangle((left + step, roof - step, right - step, roof), fill=shade)
        pen.rectangle((left + step * 2, roof - step * 5 // 2, right - step * 2, roof - step), fill=shade + 6)
    elif kind == 1:
        middle = (left + right) // 2
        pen.polygon([(left, roof), (middle, roof - wide // 2), (right, roof)], fill=shade + 4)
        pen.line((middle, roof - wide // 2, middle, roof - wide), fill=shade, width=max(1, stage.unit // 400))
    elif kind == 2:
        pen.polygon([(left, roof), (left, roof - wide // 3), (right, roof)], fill=shade + 5)
    elif kind == 3:
        mast = left + wide // 3
        pen.line((mast, roof, mast, roof - wide // 2), fill=shade, width=max(1, stage.unit // 360))
        pen.rectangle((mast - 1, roof - wide // 2 - 2, mast + 2, roof - wide // 2 + 1), fill=_NEON + _SHADES - 3)
    _windows(pen, dice, stage, embeds, layer, (left, roof, right, base))
    chance = {"neon": 0.6, "night": 0.25, "dusk": 0.2}.get(embeds.time, 0.0)
    if layer and wide > stage.px(0.05) and dice.unit() < chance:
        _sign(pen, dice, stage, left + wide // 2, roof + (base - roof) // 5, wide)


def _windows(
    pen: ImageDraw.ImageDraw, dice: Dice, stage: Stage, embeds: PromptEmbeds, layer: int, box: tuple[int, int, int, int]
) -> None:
    """A grid of panes; floors are lit in runs, as offices are."""
    left, roof, right, base = box
    pane = max(2, int(stage.unit * (0.0045, 0.0060, 0.0085)[layer]))
    across, down = pane * 2 + dice.whole(0, pane), pane * 2 + dice.whole(1, pane + 1)
    lit = {"neon": 0.42, "night": 0.40, "dusk": 0.36, "sunset": 0.30}.get(embeds.time, 0.75)
    lit *= dice.between(0.5, 1.25)
    warm = dice.unit() < (0.45 if embeds.time == "neon" else 0.8)
    first = _WARM if warm else _COOL
    margin = pane
    y = roof + pane * 2
    while y < base - pane * 2:
        run = dice.unit() < 0.5
        for x in range(left + margin, right - margin - pane + 1, across):
            roll = dice.unit()
            if roll > 0.86:
                run = not run
            if run and dice.unit() < lit * 1.4:
                pen.rectangle((x, y, x + pane - 1, y + pane), fill=first + dice.whole(10, 31))
            elif roll < 0.5:
                pen.rectangle((x, y, x + pane - 1, y + pane), fill=first + dice.whole(0, 4))
        y += down


def _sign(pen: ImageDraw.ImageDraw, dice: Dice, stage: Stage, x: int, y: int, wide: int) -> None:
    """A neon sign with its glow: upright with strokes, or a board with bars."""
    start = _NEON + dice.whole(0, len(_SIGNS) - 1) * _SHADES
    half_w, half_h = (wide // 9, int(wide * dice.between(0.5, 1.1))) if dice.unit() < 0.6 else (wide // 3, wide // 7)
    y += half_h
    glow = stage.px(0.012)
    for ring in range(8):
        reach = glow * (8 - ring) // 8
        pen.rounded_rectangle(
            (x - half_w - reach, y - half_h - reach, x + half_w + reach, y + half_h + reach),
            radius=reach,
            fill=start + ring * 3 // 2,
        )
    pen.rectangle((x - half_w, y - half_h, x + half_w, y + half_h), fill=start + 3)
    stroke = max(1, stage.unit // 400)
    pen.rectangle((x - half_w, y - half_h, x + half_w, y + half_h), outline=start + _SHADES - 2, width=stroke)
    size = min(half_w, half_h)
    count = max(1, max(half_w, half_h) // max(size, 1))
    for place in range(count):
        offset = int((place - (count - 1) / 2) * size * 2)
        cx, cy = (x, y + offset) if half_h > half_w else (x + offset, y)
        _glyph(pen, dice, cx, cy, max(2, int(size * 0.62)), start + _SHADES - 1, stroke)


def _glyph(pen: ImageDraw.ImageDraw, dice: Dice, x: int, y: int, size: int, fill: int, stroke: int) -> None:
    """A letter of no alphabet."""
    for _ in range(3):
        if dice.unit() < 0.5:
            row = y + dice.whole(-size, size)
            pen.line((x - size, row, x + size, row), fill=fill, width=stroke)
        else:
            column = x + dice.whole(-size, size)
            pen.line((column, y - size, column, y + size), fill=fill, width=stroke)


def _fronts(stage: Stage, embeds: PromptEmbeds, palette: Palette, ground: int, drift: Drift) -> Cutout:
    """House fronts wall to wall: windows above, a lit shop with an awning below, a pavement at their feet."""
    dice = Dice(mix(stage.seed, 82))
    width = stage.width + drift.travel
    tall = stage.height * 0.50 + stage.width * 0.05
    top = max(0, int(ground - tall) // 2 * 2)
    base = ground - top
    image = Image.new("L", (width, base))
    pen = ImageDraw.Draw(image)
    kerb = stage.px(0.03)
    x = -stage.px(0.1)
    while x < width:
        wide = int(stage.unit * dice.between(0.26, 0.46))
        roof = int(base * dice.between(0.02, 0.34))
        _front(pen, dice, stage, embeds, (x, roof, x + wide, base - kerb))
        x += wide
    pen.rectangle((0, base - kerb, width, base), fill=30)
    pen.line((0, base - kerb, width, base - kerb), fill=52, width=max(1, stage.unit // 360))
    return Cutout(np.array(image), _table(embeds, palette, 0.06), top, drift)


def _front(
    pen: ImageDraw.ImageDraw, dice: Dice, stage: Stage, embeds: PromptEmbeds, box: tuple[int, int, int, int]
) -> None:
    left, roof, right, base = box
    shade = dice.whole(18, 50)
    line = max(1, stage.unit // 300)
    # The dim end of a neon colour's ramp is a wall with a tinge of it: houses of different paint.
    paint = _NEON + dice.whole(0, len(_SIGNS) - 1) * _SHADES + dice.whole(1, 5)
    pen.rectangle((left, roof, right, base), fill=paint)
    pen.rectangle((left - line, roof, right + line, roof + stage.px(0.012)), fill=min(62, shade + 12))
    shop = base - stage.px(0.17)
    lit = {"day": 0.3, "dawn": 0.4}.get(embeds.time, 0.55)
    wide, high = stage.px(0.045), stage.px(0.075)
    gap = stage.px(dice.between(0.035, 0.055))
    columns = max(1, (right - left - gap) // (wide + gap))
    inset = (right - left - columns * (wide + gap) + gap) // 2
    y = roof + stage.px(0.05)
    while y + high < shop - stage.px(0.03):
        for column in range(columns):
            x = left + inset + column * (wide + gap)
            glow = dice.unit() < lit
            fill = _WARM + dice.whole(16, 30) if glow else _COOL + dice.whole(0, 6)
            pen.rectangle((x - line, y - line, x + wide + line, y + high + line * 3), fill=min(62, shade + 9))
            pen.rectangle((x, y, x + wide, y + high), fill=fill)
            pen.line((x + wide // 2, y, x + wide // 2, y + high), fill=shade, width=line)
            pen.line((x, y + high // 3, x + wide, y + high // 3), fill=shade, width=line)
        y += high + stage.px(0.055)
    _shop(pen, dice, stage, embeds, (left, shop, right, base))


def _shop(
    pen: ImageDraw.ImageDraw, dice: Dice, stage: Stage, embeds: PromptEmbeds, box: tuple[int, int, int, int]
) -> None:
    left, top, right, base = box
    edge, line = stage.px(0.016), max(1, stage.unit // 300)
    board = stage.px(0.035)
    warm = dice.unit() < 0.75
    first = (_WARM if warm else _COOL) + 14
    rows = base - top - board
    for row in range(rows):
        pen.line(
            (left + edge, top + board + row, right - edge, top + board + row),
            fill=first + 14 - row * 12 // max(rows, 1),
        )
    door = left + edge + int((right - left) * dice.between(0.1, 0.6))
    pen.rectangle(
        (door, top + board + line * 3, door + stage.px(0.07), base), fill=first + 4, outline=8, width=line * 2
    )
    for _ in range(dice.whole(3, 6)):
        x = dice.whole(left + edge * 2, max(left + edge * 2 + 1, right - edge * 4))
        size = stage.px(dice.between(0.015, 0.04))
        pen.rectangle((x, base - stage.px(0.02) - size, x + size * 2 // 3, base), fill=dice.whole(6, 26))
    sign = _NEON + dice.whole(0, len(_SIGNS) - 1) * _SHADES
    bright = _SHADES - 2 if embeds.time in (*DARK, "sunset") else _SHADES - 9
    pen.rectangle((left + edge // 2, top - line, right - edge // 2, top + board), fill=10)
    step, letter = board * 2 // 3, board // 4
    count = dice.whole(4, 8)
    start = (left + right - count * step) // 2
    for place in range(count):
        _glyph(pen, dice, start + place * step + step // 2, top + board // 2, letter, sign + bright, line)
    if dice.unit() < 0.55:
        _awning(pen, (left + edge, top + board, right - edge, top + board + stage.px(0.045)), sign)


def _awning(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], sign: int) -> None:
    left, top, right, bottom = box
    stripe = max(4, (right - left) // 14)
    lean = (bottom - top) // 3
    for place, x in enumerate(range(left, right - stripe + 1, stripe)):
        fill = sign + 12 if place % 2 else _WARM + 26
        pen.polygon([(x, top), (x + stripe, top), (x + stripe + lean, bottom), (x + lean, bottom)], fill=fill)


def _lamps(stage: Stage, embeds: PromptEmbeds, palette: Palette, ground: int, drift: Drift) -> Cutout:
    """Street lamps and a few trees on the kerb."""
    dice = Dice(mix(stage.seed, 83))
    width = stage.width + drift.travel
    tall = stage.px(0.40)
    top = (ground - tall - stage.px(0.03)) // 2 * 2
    base = ground - top
    image = Image.new("L", (width, base))
    pen = ImageDraw.Draw(image)
    post = max(2, stage.unit // 150)
    glowing = embeds.time not in ("day", "dawn")
    x = stage.px(0.2)
    while x < width:
        head = (x + stage.px(0.07), base - tall + stage.px(0.02))
        pen.rectangle((x - post // 2, base - tall + stage.px(0.03), x + post // 2, base), fill=6)
        pen.arc(
            (x - post // 2, base - tall, x + stage.px(0.14), base - tall + stage.px(0.12)), 180, 270, fill=6, width=post
        )
        pen.rectangle((x - post * 2, base - post * 4, x + post * 2, base), fill=6)
        if glowing:
            for ring in range(6):
                reach = stage.px(0.016) * (6 - ring) // 6 + 1
                pen.ellipse(
                    (head[0] - reach, head[1] - reach, head[0] + reach, head[1] + reach), fill=_WARM + 6 + ring * 5
                )
        else:
            pen.ellipse((head[0] - post * 2, head[1] - post, head[0] + post * 2, head[1] + post), fill=_WARM + 30)
        x += stage.px(dice.between(0.62, 0.85))
    return Cutout(np.array(image), _table(embeds, palette, 0.0), top, drift)


def _markings(stage: Stage, palette: Palette, ground: int, drift: Drift, asphalt: RGB | None) -> Cutout:
    """The kerb and the lane's dashes; on a dry road also the asphalt itself."""
    width = stage.width + drift.travel
    rows = stage.height - ground
    index = np.zeros((rows, width), dtype=np.uint8)
    if asphalt is not None:
        rough = fbm(mix(stage.seed, 84), rows, width, stage.unit * 0.012, stage.unit * 0.05, 3)
        index[...] = (np.float32(60) + rough * np.float32(70)).astype(np.uint8)
    image = Image.fromarray(index)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width, stage.px(0.012)), fill=180)
    middle, thick = rows * 11 // 20, stage.px(0.012)
    dash, lean = stage.px(0.20), stage.px(0.02)
    for x in range(-dash, width, dash * 2):
        pen.polygon(
            [(x, middle), (x + dash, middle), (x + dash - lean, middle + thick), (x - lean, middle + thick)], fill=215
        )
    dark = asphalt or palette["near"]
    light = blend(dark, palette["horizon"], 0.55)
    table = palette.table(
        [(1, blend(dark, palette["near"], 0.3)), (130, blend(dark, palette["haze"], 0.15)), (255, light)]
    )
    return Cutout(np.array(image), table, ground, drift)
