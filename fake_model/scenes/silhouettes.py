"""Subjects as drawings: each faces right in a box 100 wide, with y = 0 at its feet and growing upward.

A drawing takes a pen and a phase in 0..1 of its cycle. Tones: BODY and BACK for near and far limbs, SOFT for a lighter
part, ACCENT for a coloured one, LIGHT for lamps and eyes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

BACK, BODY, SOFT, ACCENT, LIGHT = 1, 2, 3, 4, 5
Point = tuple[float, float]


class Pen:
    """Draws tones in the units of the box onto a canvas of pixels."""

    def __init__(self, scale: float, height: float, lift: float = 0.0) -> None:
        self.image = Image.new("L", (int(112 * scale), int((height + 10) * scale)))
        self._draw = ImageDraw.Draw(self.image)
        self._scale, self._floor, self.lift = scale, height + 4, lift

    def _at(self, point: Point) -> Point:
        return ((point[0] + 6) * self._scale, (self._floor - point[1] - self.lift) * self._scale)

    def shape(self, points: Sequence[Point], tone: int) -> None:
        """A filled polygon."""
        self._draw.polygon([self._at(point) for point in points], fill=tone)

    def oval(self, x: float, y: float, across: float, up: float, tone: int) -> None:
        """An ellipse by its centre and half axes."""
        left, top = self._at((x - across, y + up))
        right, bottom = self._at((x + across, y - up))
        self._draw.ellipse((left, top, right, bottom), fill=tone)

    def limb(self, points: Sequence[Point], widths: Sequence[float], tone: int) -> None:
        """A tapering line with round joints; one width per point."""
        for (first, second), (thick, thin) in zip(pairwise(points), pairwise(widths), strict=True):
            length = math.hypot(second[0] - first[0], second[1] - first[1]) or 1.0
            nx, ny = (second[1] - first[1]) / length / 2, (first[0] - second[0]) / length / 2
            corners = [
                (first[0] + nx * thick, first[1] + ny * thick), (second[0] + nx * thin, second[1] + ny * thin),
                (second[0] - nx * thin, second[1] - ny * thin), (first[0] - nx * thick, first[1] - ny * thick),
            ]  # fmt: skip
            self.shape(corners, tone)
        for point, width in zip(points, widths, strict=True):
            self.oval(point[0], point[1], width / 2, width / 2, tone)


def _turn(phase: float, shift: float = 0.0) -> float:
    return math.sin(2 * math.pi * (phase + shift))


def skateboard(pen: Pen, phase: float) -> float:
    """The board under a rider; returns the height of its deck."""
    for x in (28.0, 74.0):
        pen.limb([(x - 4, 5.5), (x + 4, 5.5)], [2.2, 2.2], BACK)
        for side in (-3.6, 3.6):
            pen.oval(x + side, 3.4, 3.4, 3.4, BODY)
            angle = 2 * math.pi * phase
            pen.oval(x + side + 1.5 * math.cos(angle), 3.4 - 1.5 * math.sin(angle), 0.9, 0.9, SOFT)
    pen.limb([(8, 12.5), (16, 8.6), (86, 8.6), (94, 12.5)], [2.4, 3.0, 3.0, 2.4], ACCENT)
    return 9.8


def _leg(pen: Pen, hip: Point, reach: float, swing: float, width: float, tone: int, bend: float) -> None:
    """A leg of two segments; the foot lifts while it swings forward."""
    foot = (hip[0] + swing * reach * 0.62, max(0.0, swing * bend) * reach * 0.26 + width * 0.35)
    knee = ((hip[0] + foot[0]) / 2 + bend * reach * 0.14, (hip[1] + foot[1]) / 2)
    pen.limb([hip, knee, foot], [width * 1.7, width, width * 0.8], tone)
    pen.oval(foot[0] + width * 0.35, foot[1], width * 0.75, width * 0.42, tone)


@dataclass(frozen=True)
class _Animal:
    """Proportions of a four-legged body: heights and lengths in box units."""

    leg: float
    hip: float
    shoulder: float
    girth: float
    limb: float
    head: tuple[float, float, float]
    snout: float


_DOG = _Animal(31, 30, 65, 19, 5.0, (81, 58, 9.2), 15)
_CAT = _Animal(26, 32, 64, 15, 4.0, (79, 47, 8.4), 6)
_HORSE = _Animal(40, 28, 66, 20, 4.4, (86, 74, 6.8), 14)


def _quadruped(pen: Pen, phase: float, kind: _Animal, riding: bool) -> None:
    low = pen.lift
    crouch = 0.94 + 0.03 * _turn(phase) if riding else 1.0 + 0.03 * _turn(phase, 0.1)
    back = kind.leg * crouch + kind.girth * 0.35
    swings = (0.10, -0.10, 0.16, -0.16) if riding else tuple(_turn(phase, s) for s in (0.0, 0.45, 0.25, 0.70))
    hips = ((kind.hip, 1), (kind.hip, 0), (kind.shoulder, 1), (kind.shoulder, 0))
    for near in (False, True):
        for (x, bend), swing in list(zip(hips, swings, strict=True))[0 if near else 1 :: 2]:
            offset = 2.5 if near else -2.5
            knee = -0.7 if x < 50 else 0.5 + bend * 0.1
            _leg(
                pen,
                (x + offset, back - kind.girth * 0.2),
                kind.leg * 0.9,
                swing,
                kind.limb,
                BODY if near else BACK,
                knee,
            )
        if not near:
            chest, loin = kind.girth, kind.girth * 0.80
            pen.limb(
                [(kind.hip, back + 1), (48, back - 0.5), (kind.shoulder, back + 1)],
                [loin * 1.08, loin * 0.94, chest],
                BODY,
            )
    pen.lift = low


def dog(pen: Pen, phase: float, riding: bool) -> None:
    """A dog with a flying ear, a wagging tail and a collar."""
    _quadruped(pen, phase, _DOG, riding)
    wag, nod = _turn(phase), 1.0 * _turn(phase, 0.2)
    pen.limb([(23, 41), (14, 49 + wag * 3), (11, 60 + wag * 6)], [6.0, 4.4, 2.2], BODY)
    pen.limb([(66, 43), (75, 54 + nod)], [17, 12.5], BODY)
    pen.limb([(69.5, 54 + nod), (79, 47.5 + nod)], [3.2, 3.2], ACCENT)
    x, y = 81.0, 59 + nod
    pen.oval(x, y, 9.0, 8.2, BODY)
    pen.shape([(x + 3, y + 5.5), (x + 16.5, y + 0.6), (x + 16.5, y - 3.6), (x + 4, y - 7.4)], BODY)
    pen.oval(x + 15.6, y - 1.4, 2.6, 2.8, BODY)
    pen.oval(x + 17.0, y + 0.4, 1.8, 1.5, BACK)
    pen.limb([(x + 10, y - 5.4), (x + 6.5, y - 10.5 - wag)], [3.0, 2.4], ACCENT)
    pen.limb([(x - 3, y + 6), (x - 10, y + 4 + wag * 2), (x - 17, y + 1 + wag * 4)], [6.5, 6.0, 3.0], BACK)
    pen.oval(x + 4.4, y + 2.6, 1.35, 1.35, LIGHT)


def cat(pen: Pen, phase: float, riding: bool) -> None:
    """A cat, tail up."""
    _quadruped(pen, phase, _CAT, riding)
    wag = _turn(phase)
    pen.limb([(25, 34), (15, 40), (12, 54 + wag), (17 + wag * 2, 66)], [5, 4, 3.6, 3.0], BODY)
    pen.limb([(65, 36), (75, 44)], [13, 10], BODY)
    x, y = 79.0, 49.0
    pen.oval(x, y, 9.4, 8.2, BODY)
    for side in (-5.5, 4.5):
        pen.shape([(x + side - 3.6, y + 5), (x + side - 0.6, y + 14), (x + side + 3.8, y + 5)], BODY)
    pen.oval(x + 7.6, y - 2.2, 4.2, 3.4, BODY)
    pen.oval(x + 3.6, y + 1.6, 1.5, 1.7, LIGHT)
    pen.oval(x + 9.4, y + 1.4, 1.0, 1.5, LIGHT)
    pen.limb([(69, 43), (76, 40)], [2.6, 2.6], ACCENT)


def horse(pen: Pen, phase: float, riding: bool) -> None:
    """A horse at a canter."""
    _quadruped(pen, phase, _HORSE, riding)
    wag, nod = _turn(phase), 1.6 * _turn(phase, 0.3)
    pen.limb([(21, 50), (11, 46 + wag * 3), (5, 33 + wag * 5)], [5, 7, 2.5], BACK)
    pen.limb([(67, 52), (80, 72 + nod)], [18, 10.5], BODY)
    pen.limb([(80, 75 + nod), (93, 63 + nod)], [11, 6.5], BODY)
    pen.shape([(78, 79 + nod), (80, 87 + nod), (84, 79 + nod)], BODY)
    pen.limb([(77, 79 + nod), (68, 70 + nod + wag), (62, 57 + wag)], [5, 6.5, 3.5], BACK)
    pen.oval(85.5, 74 + nod, 1.1, 1.1, LIGHT)


def person(pen: Pen, phase: float, riding: bool) -> None:
    """A walker with a scarf in the wind."""
    stride, bounce = (0.12, 0.0) if riding else (_turn(phase), abs(_turn(phase)) * 1.6)
    hip = (50.0, 45.0 - bounce)
    _leg(pen, (hip[0] - 1, hip[1]), 45, -stride * 0.62 - (0.18 if riding else 0), 5.6, BACK, 0.7)
    pen.limb([(51, 74 - bounce), (50 - stride * 9, 60), (53 - stride * 16, 48)], [6, 5, 4], BACK)
    _leg(pen, (hip[0] + 1, hip[1]), 45, stride * 0.62 + (0.2 if riding else 0), 6.0, BODY, 0.7)
    pen.limb([hip, (51, 60 - bounce), (52, 75 - bounce)], [13, 14, 15], BODY)
    pen.limb([(52, 75 - bounce), (50 + stride * 9, 61), (55 + stride * 16, 50)], [6.4, 5.4, 4.2], SOFT)
    pen.oval(54, 88 - bounce, 7.2, 8.0, BODY)
    pen.limb([(56, 80 - bounce), (49, 79 - bounce)], [5, 5], ACCENT)
    pen.limb([(48, 79 - bounce), (40, 78 + 2 * _turn(phase)), (31, 76 + 4 * _turn(phase, 0.3))], [4, 4, 3], ACCENT)


def robot(pen: Pen, phase: float, riding: bool) -> None:
    """A round-shouldered machine with one lit eye."""
    stride = 0.12 if riding else _turn(phase)
    for side, tone in ((-stride, BACK), (stride, BODY)):
        x = 50 + side * 9
        pen.limb([(50, 38), (50 + side * 8, 21), (x, 5)], [8, 7, 7], tone)
        pen.shape([(x - 6, 0), (x + 10, 0), (x + 6, 7), (x - 5, 7)], tone)
    pen.limb([(40, 68), (36 - stride * 6, 52), (40 - stride * 12, 42)], [8, 6, 7], BACK)
    pen.shape([(33, 40), (67, 40), (72, 72), (64, 78), (36, 78), (29, 72)], BODY)
    pen.shape([(44, 54), (60, 54), (60, 68), (44, 68)], SOFT)
    for place, x in enumerate((47.5, 52.0, 56.5)):
        pen.oval(x, 61, 1.6, 1.6, LIGHT if int(phase * 6) % 3 == place else ACCENT)
    pen.limb([(62, 70), (66 + stride * 6, 54), (63 + stride * 12, 43)], [8.5, 6.5, 7.5], BODY)
    pen.shape([(38, 81), (66, 81), (69, 99), (62, 104), (42, 104), (36, 98)], BODY)
    pen.limb([(48, 92), (65, 92)], [9, 9], BACK)
    pen.oval(60 + stride, 92, 3.4, 3.4, LIGHT)
    pen.limb([(50, 103), (47, 113)], [1.6, 1.2], BODY)
    pen.oval(47, 114, 2.4, 2.4, ACCENT)


def _wheel(pen: Pen, x: float, radius: float, phase: float) -> None:
    pen.oval(x, radius, radius, radius, BACK)
    pen.oval(x, radius, radius * 0.55, radius * 0.55, SOFT)
    for spoke in range(3):
        angle = 2 * math.pi * (spoke / 3 - phase / 3)
        pen.oval(
            x + radius * 0.34 * math.cos(angle),
            radius + radius * 0.34 * math.sin(angle),
            radius * 0.13,
            radius * 0.13,
            BACK,
        )


def car(pen: Pen, phase: float, riding: bool) -> None:
    """A small saloon with its lamps on."""
    pen.shape(
        [(3, 9), (4, 21), (14, 25), (27, 39), (62, 40), (77, 26), (95, 22), (99, 17), (98, 8), (90, 6), (10, 6)], ACCENT
    )
    pen.shape([(3, 9), (98, 9), (97, 5), (8, 5)], BODY)
    pen.shape([(21, 26), (30, 36), (45, 36.5), (45, 26)], BACK)
    pen.shape([(49, 26), (49, 36.5), (60, 36.5), (71, 26)], BACK)
    pen.shape([(52, 28), (54, 35), (58, 35), (56, 28)], SOFT)
    pen.oval(95, 17.5, 3.4, 2.6, LIGHT)
    pen.oval(5, 18, 1.6, 2.4, LIGHT)
    for x in (22.0, 78.0):
        pen.oval(x, 8.6, 10.5, 10.5, BODY)
        _wheel(pen, x, 8.4, phase)


def train(pen: Pen, phase: float, riding: bool) -> None:
    """A railcar: a rounded nose and lit windows."""
    pen.shape([(-4, 5), (-4, 29), (78, 29), (91, 24), (99, 14), (100, 6), (97, 4), (-4, 4)], ACCENT)
    pen.shape([(-4, 29), (-4, 31.5), (76, 31.5), (82, 28)], BODY)
    pen.shape([(-4, 4), (97, 4), (99, 9), (-4, 9)], BODY)
    for pane in range(0, 72, 9):
        pen.shape([(pane, 17), (pane + 6.4, 17), (pane + 6.4, 25), (pane, 25)], LIGHT)
    pen.shape([(78, 17), (91, 17), (86, 25), (78, 26)], LIGHT)
    for x in (8.0, 20.0, 66.0, 80.0):
        _wheel(pen, x, 3.6, phase)


def boat(pen: Pen, phase: float, riding: bool) -> None:
    """A sailing boat."""
    sway = 1.2 * _turn(phase)
    pen.limb([(47, 12), (47 + sway, 98)], [2.2, 1.4], BACK)
    pen.shape([(50, 22), (50 + sway, 96), (62, 60), (88, 24)], SOFT)
    pen.shape([(44, 22), (45 + sway, 88), (34, 55), (14, 23)], LIGHT)
    pen.shape([(50, 34), (72, 34), (63, 52), (50, 50)], ACCENT)
    pen.shape([(4, 16), (95, 17), (82, 2), (72, 0), (20, 0), (11, 4)], BODY)
    pen.shape([(4, 16), (95, 17), (93, 14.2), (5.5, 13.4)], ACCENT)


def birds(pen: Pen, phase: float, riding: bool) -> None:
    """A flock in a loose wedge, each bird at its own beat."""
    places = (
        (88, 30, 9.0),
        (72, 37, 8.4),
        (73, 20, 8.0),
        (54, 45, 7.6),
        (56, 11, 7.4),
        (36, 50, 6.6),
        (40, 27, 6.2),
        (20, 40, 5.4),
    )
    for place, (x, y, size) in enumerate(places):
        beat = _turn(phase, place * 0.17) * size * 0.75
        pen.limb(
            [(x - size * 0.55, y), (x, y + size * 0.08), (x + size * 0.62, y + size * 0.04)],
            [0.8, size * 0.32, 0.8],
            BODY,
        )
        for side in (-1, 1):
            joint = (x - size * 0.1 + side * size * 0.42, y + beat * 0.75 + size * 0.1)
            tip = (x - size * 0.5 + side * size * 0.95, y + beat * 0.9)
            pen.limb([(x, y), joint, tip], [size * 0.26, size * 0.2, 0.4], BODY if side > 0 else BACK)


def balloon(pen: Pen, phase: float, riding: bool) -> None:
    """A striped hot-air balloon."""
    flame = 1.0 + 0.5 * _turn(phase)
    for across, tone in ((34.0, ACCENT), (25.0, SOFT), (15.5, ACCENT), (5.5, SOFT)):
        pen.oval(50, 82, across, 36, tone)
        pen.shape(
            [(50 - across * 0.92, 68), (50 + across * 0.92, 68), (50 + across * 0.24, 27), (50 - across * 0.24, 27)],
            tone,
        )
    pen.shape([(41, 27), (59, 27), (58, 24), (42, 24)], BODY)
    for x in (43.5, 56.5):
        pen.limb([(x, 25), (50 + (x - 50) * 0.8, 11)], [0.9, 0.9], BODY)
    pen.oval(50, 20, 1.6, 2.6 * flame, LIGHT)
    pen.shape([(43, 11), (57, 11), (55.5, 1), (44.5, 1)], BODY)


def rocket(pen: Pen, phase: float, riding: bool) -> None:
    """A rocket on its flame, nose to the right."""
    burn = 1.0 + 0.22 * _turn(phase, 0.1) + 0.1 * _turn(phase * 2)
    pen.shape([(28, 31), (28, 17), (28 - 30 * burn, 24)], ACCENT)
    pen.shape([(29, 28.5), (29, 19.5), (29 - 17 * burn, 24)], LIGHT)
    pen.shape([(30, 33), (22, 46), (34, 44), (48, 34)], ACCENT)
    pen.shape([(30, 15), (22, 2), (34, 4), (48, 14)], ACCENT)
    pen.shape([(28, 32), (34, 35.5), (74, 34.5), (90, 29), (99, 24), (90, 19), (74, 13.5), (34, 12.5), (28, 16)], SOFT)
    pen.shape([(80, 32.8), (90, 29), (99, 24), (90, 19), (80, 15.2)], BODY)
    pen.oval(66, 25, 5.2, 5.2, BODY)
    pen.oval(66, 25, 3.6, 3.6, LIGHT)
    pen.limb([(30, 24), (44, 24)], [2.4, 1.2], BACK)


def whale(pen: Pen, phase: float, riding: bool) -> None:
    """A whale; its tail beats."""
    beat = _turn(phase)
    pen.limb([(78, 25), (55, 26), (34, 23), (18, 22 + beat * 3), (9, 25 + beat * 6)], [27, 31, 22, 9, 5], BODY)
    tail = (9, 25 + beat * 6)
    pen.shape([tail, (-3, tail[1] + 12), (2, tail[1] + 2)], BODY)
    pen.shape([tail, (-4, tail[1] - 5), (3, tail[1] - 3)], BACK)
    pen.oval(80, 25, 16.5, 13.6, BODY)
    pen.shape([(95, 22), (78, 12), (52, 11), (40, 14), (60, 17.5), (82, 20)], SOFT)
    pen.shape([(64, 16), (54, 3 + beat * 2), (49, 3 + beat * 2), (55, 17)], BACK)
    pen.oval(84, 26, 1.4, 1.4, LIGHT)


Drawing = Callable[[Pen, float, bool], None]


@dataclass(frozen=True)
class Figure:
    """A subject's drawing with what placing it needs.

    Args:
        draw: the drawing.
        tall: height of its box, where the width is 100.
        size: width of the box as a share of the frame's shorter side.
        home: "ground", "water" or "air".
        beat: cycles a second.
    """

    draw: Drawing
    tall: float
    size: float
    home: str
    beat: float


FIGURES: Mapping[str, Figure] = {
    "dog": Figure(dog, 74, 0.40, "ground", 1.7),
    "cat": Figure(cat, 74, 0.34, "ground", 1.6),
    "horse": Figure(horse, 92, 0.44, "ground", 1.7),
    "person": Figure(person, 100, 0.36, "ground", 1.1),
    "robot": Figure(robot, 118, 0.36, "ground", 1.0),
    "car": Figure(car, 44, 0.52, "ground", 2.4),
    "train": Figure(train, 36, 0.95, "ground", 2.4),
    "boat": Figure(boat, 102, 0.30, "water", 0.4),
    "birds": Figure(birds, 62, 0.44, "air", 1.9),
    "balloon": Figure(balloon, 120, 0.34, "air", 0.8),
    "rocket": Figure(rocket, 50, 0.36, "air", 3.0),
    "whale": Figure(whale, 48, 0.48, "water", 0.5),
}
