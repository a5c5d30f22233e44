"""The report's pictures, as numbers: sessions, requests and latencies over the seconds of the schedule.

What differs differs in pattern or dash as well as in colour, and each picture's caption says it in words.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtest.figures import percentile
from loadtest.history import Exchange
from loadtest.record import Record

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 240, 52, 16, 28, 40
BUCKETS = 60
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400)


@dataclass(frozen=True)
class Block:
    """A rectangle of a bar, in pixels; `kind` is its class in the style sheet."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Bar:
    """A bucket of time: blocks from the bottom up, and words for whoever points at it."""

    blocks: list[Block]
    label: str


@dataclass(frozen=True)
class Curve:
    """A line through the buckets; `pieces` are its unbroken stretches, as SVG points."""

    kind: str
    pieces: list[str]


@dataclass(frozen=True)
class Tick:
    """A place on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """All that the template draws of one picture. `mark` is the place of the acknowledgement."""

    title: str
    caption: str
    bars: list[Bar]
    curves: list[Curve]
    xs: list[Tick]
    ys: list[Tick]
    legend: list[tuple[str, str]]
    mark: float | None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    base: int = HEIGHT - BOTTOM


class _Buckets:
    """The seconds of a record in equal parts."""

    def __init__(self, record: Record) -> None:
        self.length = max(record.ended, 1.0)
        self.count = max(1, min(BUCKETS, math.floor(self.length)))
        self.seconds = self.length / self.count
        acknowledged = record.revocation.acknowledged if record.revocation else None
        self.mark = None if acknowledged is None else self.x(acknowledged)

    def of(self, second: float) -> int:
        return min(self.count - 1, max(0, int(second / self.seconds)))

    def x(self, second: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, second / self.length)), 1)

    def left(self, bucket: int) -> float:
        return self.x(bucket * self.seconds)

    def ticks(self) -> list[Tick]:
        step = next((each for each in STEPS if self.length / each <= 10), 28_800)
        return [Tick(self.x(n * step), f"{n * step:g} s") for n in range(int(self.length / step) + 1)]


def draw(record: Record) -> list[Chart]:
    """The three pictures; none where nothing was measured."""
    if not record.history.exchanges:
        return []
    buckets = _Buckets(record)
    return [_sessions(record, buckets), _requests(record, buckets), _latencies(record, buckets)]


def _sessions(record: Record, buckets: _Buckets) -> Chart:
    """Sessions that began, beside what the schedule planned."""
    began = [0.0] * buckets.count
    planned = [0.0] * buckets.count
    for visit in record.history.visits:
        began[buckets.of(visit.started)] += 1 / buckets.seconds
    dues = [due for due in record.dues if due <= record.ended]
    for due in dues:
        planned[buckets.of(due)] += 1 / buckets.seconds
    top = max(1.0, *began, *planned)
    bars = [_bar(buckets, n, [("go", value)], top, f"{value:.1f} begun a second") for n, value in enumerate(began)]
    return Chart(
        title="Sessions a second",
        caption=f"{len(dues)} were planned until the end, {len(record.history.visits)} began.",
        bars=bars,
        curves=[_curve(buckets, "plan", [*planned], top)],
        xs=buckets.ticks(),
        ys=_ys(top, "/s"),
        legend=[("go", "begun"), ("plan", "planned")],
        mark=buckets.mark,
    )


def _requests(record: Record, buckets: _Buckets) -> Chart:
    """Requests by how they ended."""
    kinds: list[tuple[str, str, Callable[[Exchange], bool]]] = [
        ("go", "accepted", lambda each: each.ok),
        ("no", "refused (401, 403)", lambda each: each.refused),
        ("bad", "failed, limited or unanswered", lambda each: not each.ok and not each.refused),
    ]
    counts = [[0.0] * len(kinds) for _ in range(buckets.count)]
    for exchange in record.history.exchanges:
        place = next(n for n, (_, _, is_so) in enumerate(kinds) if is_so(exchange))
        counts[buckets.of(exchange.end)][place] += 1 / buckets.seconds
    top = max(1.0, *(sum(each) for each in counts))
    bars = []
    for n, values in enumerate(counts):
        words = ", ".join(f"{value:.1f} {name}" for value, (_, name, _) in zip(values, kinds, strict=True))
        parts = [(kind, value) for value, (kind, _, _) in zip(values, kinds, strict=True)]
        bars.append(_bar(buckets, n, parts, top, f"{words} a second"))
    totals = [sum(is_so(each) for each in record.history.exchanges) for _, _, is_so in kinds]
    return Chart(
        title="Requests a second",
        caption=f"By their end: {totals[0]} accepted, {totals[1]} refused, {totals[2]} failed, limited or unanswered.",
        bars=bars,
        curves=[],
        xs=buckets.ticks(),
        ys=_ys(top, "/s"),
        legend=[(kind, name) for kind, name, _ in kinds],
        mark=buckets.mark,
    )


def _latencies(record: Record, buckets: _Buckets) -> Chart:
    """How long polls took, by when they were answered."""
    found: list[list[float]] = [[] for _ in range(buckets.count)]
    for exchange in record.history.exchanges:
        if exchange.surface == "poll" and exchange.ok:
            found[buckets.of(exchange.end)].append(exchange.ms)
    for each in found:
        each.sort()
    p50 = [percentile(each, 0.5) if each else None for each in found]
    p99 = [percentile(each, 0.99) if each else None for each in found]
    top = max([1.0, *(each for each in p99 if each is not None)])
    answered = sum(len(each) for each in found)
    return Chart(
        title="Poll latency, ms",
        caption=f"Of {answered} accepted polls; the median and the 99th percentile of each "
        f"{buckets.seconds:.2g} s, which holds {answered / buckets.count:.0f} polls on average.",
        bars=[],
        curves=[_curve(buckets, "p50", p50, top), _curve(buckets, "p99", p99, top)],
        xs=buckets.ticks(),
        ys=_ys(top, " ms"),
        legend=[("p50", "p50"), ("p99", "p99")],
        mark=buckets.mark,
    )


def _bar(buckets: _Buckets, n: int, parts: Sequence[tuple[str, float]], top: float, label: str) -> Bar:
    unit = (HEIGHT - TOP - BOTTOM) / _round_up(top)
    x, y = buckets.left(n), float(HEIGHT - BOTTOM)
    width = max(1.0, round(buckets.left(n + 1) - x - 2, 1))
    blocks = []
    for kind, value in parts:
        if value > 0:
            height = value * unit
            y -= height
            blocks.append(Block(kind, round(x + 1, 1), round(y, 1), width, round(height, 1)))
    return Bar(blocks, f"from {n * buckets.seconds:.1f} s: {label}")


def _curve(buckets: _Buckets, kind: str, values: Sequence[float | None], top: float) -> Curve:
    """Through the middle of each bucket; broken where there is nothing. A lone bucket is a short dash."""
    unit = (HEIGHT - TOP - BOTTOM) / _round_up(top)
    pieces: list[list[str]] = [[]]
    for n, value in enumerate(values):
        if value is None:
            pieces.append([])
            continue
        middle, y = (buckets.left(n) + buckets.left(n + 1)) / 2, HEIGHT - BOTTOM - value * unit
        pieces[-1].append(f"{middle:.1f},{y:.1f}")
        alone = (n == 0 or values[n - 1] is None) and (n + 1 == len(values) or values[n + 1] is None)
        if alone:
            pieces[-1].append(f"{middle + 3:.1f},{y:.1f}")
    return Curve(kind, [" ".join(piece) for piece in pieces if piece])


def _round_up(top: float) -> float:
    """The axis ends at a round number."""
    scale = 10.0 ** math.floor(math.log10(top))
    rounded = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
    return scale * rounded[min(len(rounded) - 1, bisect_right(rounded, top / scale - 1e-9))]


def _ys(top: float, unit: str) -> list[Tick]:
    end = _round_up(top)
    plot = HEIGHT - TOP - BOTTOM
    return [Tick(round(HEIGHT - BOTTOM - share * plot, 1), f"{end * share:g}{unit}") for share in (0.0, 0.5, 1.0)]
