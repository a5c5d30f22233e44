"""The story as a chart: bars, marks, a sentence and a table. The browser draws it and decides nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from frontend.incident import Incident
from frontend.story import REPLAY_SECONDS, ROOM_SECONDS, SERIES, Mark, Story
from frontend.telling import many

MOST_BARS = 48
MOST_TICKS = 7
BAR_SECONDS = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200)
DAY = 86_400
# Marks that are drawn; the others are in the log alone.
DRAWN = {
    "revocation.applied": "revoked",
    "restoration.started": "restoring",
    "phase.changed": "phase",
    "broadcast.set": "broadcast",
    "inject.fired": "inject",
}
MOST_DRAWN = 40


@dataclass(frozen=True)
class Drawn:
    """A mark of the chart, or a span where `until` is not `at`. Seconds on the axis; `label` is short."""

    at: float
    until: float
    kind: str
    label: str
    words: str


@dataclass(frozen=True)
class Axis:
    """From where to where the chart goes, in seconds, and how wide a bar is."""

    replayed: bool
    start: float
    end: float
    now: float
    bar: int
    zone: tzinfo

    def clock(self, at: float) -> str:
        """A time as it is written."""
        written = "%d %b %H:%M" if self.end - self.start > DAY else "%H:%M" if self.bar >= 60 else "%H:%M:%S"
        return datetime.fromtimestamp(at, self.zone).strftime(written)

    @property
    def name(self) -> str:
        """Which clock it shows."""
        offset = datetime.fromtimestamp(self.now, self.zone).utcoffset()
        if not self.replayed:
            return "room time"
        return "ET" if offset in (timedelta(hours=-5), timedelta(hours=-4)) else "replay time"


def timeline(
    story: Story, incident: Incident, *, now: float, replay_now: float | None, public: bool
) -> dict[str, Any] | None:
    """What the browser draws; None while nothing has happened. `now` is wall time, `replay_now` what the replay clock
    shows, both Unix seconds. `public` leaves out names, tokens and reasons."""
    axis = _axis(story, incident, now, replay_now)
    if axis is None:
        return None
    marks = _marks(story, incident, axis, public)
    bars = _bars(story, axis)
    return {
        "from": axis.start,
        "to": axis.end,
        "now": axis.now,
        "now_label": f"now {axis.clock(axis.now)}",
        "clock": axis.name,
        "bar": axis.bar,
        "bar_words": f"{axis.bar} s" if axis.bar < 60 else f"{axis.bar // 60} min",
        "ticks": [{"at": at, "label": axis.clock(at)} for at in _ticks(axis)],
        "series": list(SERIES.values()),
        "bars": bars,
        "marks": [asdict(mark) for mark in marks],
        "summary": _summary(story, axis),
        "note": _note(incident, axis),
        "rows": [[_span(axis, bar["at"]), *(bar[name] for name in SERIES.values())] for bar in bars],
    }


def _axis(story: Story, incident: Incident, now: float, replay_now: float | None) -> Axis | None:
    if replay_now is not None:
        start = min(replay_now, replay_now if story.first_replay is None else story.first_replay)
        end = replay_now
        if incident.on_day_of(replay_now):
            start, end = min(start, incident.published), max(end, incident.ended_to + 900)
        bar = _step(end - start, MOST_BARS, REPLAY_SECONDS)
        return Axis(True, start // bar * bar, end, replay_now, bar, timezone(timedelta(seconds=story.offset)))
    if story.first_at is None:
        return None
    start, end = story.first_at, max(now, story.first_at + 60)
    bar = _step(end - start, MOST_BARS, ROOM_SECONDS)
    zone = datetime.fromtimestamp(now).astimezone().tzinfo
    return Axis(False, start // bar * bar, end, now, bar, zone or UTC)


def _step(span: float, most: int, least: int) -> int:
    """A round number of seconds, of which at most so many make the span."""
    days = math.ceil(span / most / DAY) * DAY
    return next((width for width in BAR_SECONDS if width >= least and span / width <= most), days)


def _bars(story: Story, axis: Axis) -> list[dict[str, Any]]:
    counted = story.replay if axis.replayed else story.room
    fine = REPLAY_SECONDS if axis.replayed else ROOM_SECONDS
    summed: dict[float, Counter[str]] = {}
    for slot, counts in counted.items():
        at = slot * fine // axis.bar * axis.bar
        if axis.start <= at <= axis.end:
            summed.setdefault(at, Counter()).update(counts)
    # Every series is in every bar, so that none is missing from the chart because it came late.
    return [{"at": at, **{name: summed[at][name] for name in SERIES.values()}} for at in sorted(summed)]


def _ticks(axis: Axis) -> list[float]:
    span = axis.end - axis.start
    step = _step(span, MOST_TICKS, 60)
    offset = datetime.fromtimestamp(axis.start, axis.zone).utcoffset() or timedelta()
    first = -((axis.start + offset.total_seconds()) // -step) * step - offset.total_seconds()
    return [first + n * step for n in range(int((axis.end - first) // step) + 1)]


def _marks(story: Story, incident: Incident, axis: Axis, public: bool) -> list[Drawn]:
    cuts = {cut.when.at for cut in story.cuts}
    # A revocation moves the phase in its own moment; one mark says both. Of a clock that was set back, this morning.
    told = [
        one
        for one in story.marks
        if one.kind in DRAWN
        and one.when.morning == story.morning
        and not (one.kind == "phase.changed" and one.when.at in cuts)
    ]
    found = [mark for mark in (_drawn(one, axis, public) for one in told[-MOST_DRAWN:]) if mark is not None]
    if axis.replayed and incident.on_day_of(axis.now):
        begun = f"page public, about {axis.clock(incident.published)}"
        ended = f"reported end, about {axis.clock(incident.ended_from)} to {axis.clock(incident.ended_to)}"
        found += [
            Drawn(incident.published, incident.published, "published", begun, incident.published_words),
            Drawn(incident.ended_from, incident.ended_to, "ended", ended, incident.ended_words),
        ]
    return sorted(found, key=lambda mark: mark.at)


def _drawn(mark: Mark, axis: Axis, public: bool) -> Drawn | None:
    at = mark.when.replay if axis.replayed else mark.when.at
    if at is None or not axis.start <= at <= axis.end:
        return None
    kind = DRAWN[mark.kind]
    label = mark.public.partition(";")[0] if kind in ("revoked", "phase", "inject") else kind
    return Drawn(at, at, kind, label, mark.public if public else mark.words)


def _span(axis: Axis, at: float) -> str:
    return f"{axis.clock(at)} to {axis.clock(at + axis.bar)}"


def _summary(story: Story, axis: Axis) -> str:
    words = f"Up to {axis.clock(axis.now)} {axis.name}: {counted(story.totals)}."
    present = [cut for cut in story.cuts if cut.when.morning == story.morning]
    if present:
        last = present[-1].when
        at = last.replay if axis.replayed else last.at
        when = f" at {axis.clock(at)} {axis.name}" if at is not None else ""
        times = "once" if len(present) == 1 else f"{len(present)} times, the last time"
        words += f" Access was revoked {times}{when}; {story.refused_since} refused since."
    elif not story.cuts:
        words += " Access has not been revoked."
    return f"{words} {since_when(story)}".rstrip()


def counted(totals: Mapping[str, int]) -> str:
    """The figures in words."""
    return f"{many(totals['accepted'], 'order')} accepted, {totals['finished']} finished, {totals['refused']} refused"


def since_when(story: Story) -> str:
    """From when on the figures and the timeline count, where that is not the beginning of the exercise."""
    if story.anew_at is None:
        return ""
    cut = ", and access was revoked" if any(cut.when.morning < story.morning for cut in story.cuts) else ""
    return (
        f"Counted since the replay clock was set back at {datetime.fromtimestamp(story.anew_at):%H:%M:%S} room time; "
        f"before that: {counted(story.before)}{cut}."
    )


def _note(incident: Incident, axis: Axis) -> str:
    if not (axis.replayed and incident.on_day_of(axis.now)):
        return ""
    return f"November 2024: {incident.published_words}; {incident.ended_words}."
