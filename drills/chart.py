"""The report's picture, as numbers: what the exercise is about over replay time, with the marks that matter.

A leak: visitors' submits. Notices: uses of the tokens that are named, and of others. An end: clients' calls. Accepted
and refused differ in place and pattern as well as colour; the caption says the same in words.
"""

from dataclasses import dataclass

from drills.journal import Journal
from drills.metrics import acknowledged, published_at, replay_minute
from drills.readings import replay_clock

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 300, 44, 16, 96, 40
BUCKETS = 30
# More marks of one kind than this would not be read.
MOST_OF_A_KIND = 3
WIDEST_LETTER = 7


@dataclass(frozen=True)
class Bar:
    """One bucket: accepted submits stand at the bottom, refused ones on top of them. Pixels."""

    x: float
    width: float
    accepted_y: float
    accepted_height: float
    refused_y: float
    refused_height: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A vertical line with words beside it."""

    x: float
    text_y: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Tick:
    """A place on the time axis, with its words beside or below it."""

    x: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Chart:
    """All that the template draws. `caption` says in a sentence what is seen."""

    width: int
    height: int
    left: int
    right: int
    base: int
    bars: list[Bar]
    marks: list[Mark]
    ticks: list[Tick]
    top_count: int
    top_y: float
    caption: str


def draw(journal: Journal) -> Chart | None:
    """The picture, or None when the replay never ran."""
    if journal.replay_zero is None:
        return None
    length, (what, uses) = journal.scenario.clock.minutes, _uses(journal)
    counts = [[0, 0] for _ in range(BUCKETS)]
    for start, accepted in uses:
        minute = replay_minute(journal, start) or 0.0
        bucket = min(BUCKETS - 1, max(0, int(minute / length * BUCKETS)))
        counts[bucket][not accepted] += 1
    top = max(1, *(sum(pair) for pair in counts))
    taken, refused = sum(pair[0] for pair in counts), sum(pair[1] for pair in counts)
    return Chart(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        base=HEIGHT - BOTTOM,
        bars=[_bar(journal, index, pair, top) for index, pair in enumerate(counts)],
        marks=_marks(journal, length),
        ticks=[_tick(journal, minute, length) for minute in _tick_minutes(length)],
        top_count=top,
        top_y=round(HEIGHT - BOTTOM - _plot_height(), 1),
        caption=f"{what} over replay time: {taken} accepted, {refused} refused; "
        f"at most {top} in {length / BUCKETS:.3g} replay minutes.",
    )


def _uses(journal: Journal) -> tuple[str, list[tuple[float, bool]]]:
    """What is counted, in words; and when each of them began, with whether it was accepted."""
    plot, found = journal.scenario.scenario.plot, journal.exchanges
    if plot == "sunset":
        calls = [each for each in found if each.actor == "client" and each.status is not None]
        return "Clients' calls", [(each.start, each.outcome == "accepted") for each in calls]
    clear = [each for each in found if each.outcome in ("accepted", "refused")]
    if plot == "leak":
        uses = [each for each in clear if each.actor == "visitor" and each.surface == "submit"]
        return "Visitors' submits", [(each.start, each.outcome == "accepted") for each in uses]
    uses = [each for each in clear if each.actor == "holder"]
    return "Holders' uses", [(each.start, each.outcome == "accepted") for each in uses]


def _plot_height() -> int:
    return HEIGHT - TOP - BOTTOM


def _x(minute: float, length: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, minute / length)), 1)


def _bar(journal: Journal, index: int, pair: list[int], top: int) -> Bar:
    length = journal.scenario.clock.minutes
    unit = _plot_height() / top
    base = HEIGHT - BOTTOM
    start = index * length / BUCKETS
    x = _x(start, length)
    return Bar(
        x=round(x + 1, 1),
        width=round(_x(start + length / BUCKETS, length) - x - 2, 1),
        accepted_y=round(base - pair[0] * unit, 1),
        accepted_height=round(pair[0] * unit, 1),
        refused_y=round(base - sum(pair) * unit, 1),
        refused_height=round(pair[1] * unit, 1),
        label=f"{replay_clock(journal, start)[:5]}: {pair[0]} accepted, {pair[1]} refused",
    )


def _tick(journal: Journal, minute: float, length: float) -> Tick:
    """The last one's words end at the edge."""
    anchor = "end" if minute > 0.98 * length else "middle"
    return Tick(_x(minute, length), replay_clock(journal, minute)[:5], anchor)


def _tick_minutes(length: float) -> list[float]:
    step = next((each for each in (1, 5, 10, 30, 60, 120, 240) if length / each <= 10), 480)
    return [float(minute) for minute in range(0, int(length) + 1, step)]


def _marks(journal: Journal, length: float) -> list[Mark]:
    """Published, claimed and scripted times, and the acknowledgement."""
    places: list[tuple[float, str]] = []
    published = published_at(journal)
    if published is not None:
        places.append((replay_minute(journal, published) or 0.0, "page published"))
    for minute, line in journal.scenario.timed():
        if line.time_status == "claimed":
            places.append((minute, f"{line.id}: claimed end"))
        if line.inject == "access_ended":
            places.append((minute, f"{line.id}: scripted end ({line.time_status})"))
    if (end := journal.scenario.sunset) is not None:
        places.append((end.announced_at, "end of the API announced"))
        places += [(one.at, f"brown-out, {one.status}") for one in end.brown_outs[:MOST_OF_A_KIND]]
        places.append((end.ends_at, "end of the API"))
    if journal.scenario.scenario.plot != "leak":
        told = [(call.start, f"{call.line}: notice{', again' if call.again else ''}") for call in journal.notices]
        told += [(call.start, f"{call.line}: restoration") for call in journal.restores]
        places += [(replay_minute(journal, at) or 0.0, words) for at, words in sorted(told)[:MOST_OF_A_KIND]]
    ack = acknowledged(journal)
    if ack is not None:
        places.append((replay_minute(journal, ack) or 0.0, "revocation acknowledged"))
    left = sorted(place for place in places if place[0] <= length / 2)
    right = sorted((place for place in places if place[0] > length / 2), reverse=True)
    rows: float = max(len(left), len(right))
    outer, inner = _column(journal, left, "start", 0.0, rows), _column(journal, right, "end", 0.0, rows)
    if any(_touch(one, other) for one, other in zip(outer, inner, strict=False)):
        rows += 0.5
        outer, inner = _column(journal, left, "start", 0.0, rows), _column(journal, right, "end", 0.5, rows)
    return [*outer, *inner]


def _touch(left: Mark, right: Mark) -> bool:
    """Whether the words of two marks on one height run into each other."""
    words = (len(left.text) + len(right.text)) * WIDEST_LETTER
    return left.text_y == right.text_y and left.x + words > right.x


def _column(journal: Journal, places: list[tuple[float, str]], anchor: str, lower: float, rows: float) -> list[Mark]:
    """Marks from the outside in, each a line lower, so that no line runs through another's words. `lower` is the first
    one's place, in lines, of which there are so many `rows`."""
    length, step = journal.scenario.clock.minutes, (TOP - 20) / max(1, rows)
    heights = [round(14 + (row + lower) * step, 1) for row in range(len(places))]
    return [
        Mark(_x(minute, length), height, anchor, f"{text}, {replay_clock(journal, minute)[:5]}")
        for height, (minute, text) in zip(heights, places, strict=True)
    ]
