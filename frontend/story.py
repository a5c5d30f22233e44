"""The event list since the exercise began, as counts, bars and marks. Reads each line once; knows no HTTP."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from frontend.telling import selected, told

# What the bars count: the kind of event, and what it is called here.
SERIES = {"job.queued": "accepted", "job.completed": "finished", "request.refused": "refused"}
# How finely the bars are kept; a chart adds up neighbours.
REPLAY_SECONDS = 60
ROOM_SECONDS = 10
MOST_MARKS = 2000
MOST_MOVES = 200
# A clock that is set back by more than this begins its morning anew.
BACK_SECONDS = 60.0
# Kinds of marks that are no kinds of events: a revocation that is no move of the exercise, and the line that an inject
# puts on every page.
HOUSEKEEPING, INJECTED = "housekeeping", "injected"


@dataclass(frozen=True)
class Moment:
    """When something was. `at` is Unix seconds, `replay` what the replay clock showed then, None without one. `morning`
    grows whenever the clock is set back: replay times of two mornings cannot be compared."""

    at: float
    replay: float | None
    morning: int


@dataclass(frozen=True)
class Mark:
    """A line of the list that is worth a line in the log. `words` are for the room, `public` for a projector: without
    names, tokens and reasons."""

    seq: int
    when: Moment
    kind: str
    actor: str
    words: str
    public: str


@dataclass(frozen=True)
class Phase:
    """The exercise moved to that phase. `cut` says that a revocation did it."""

    when: Moment
    name: str
    actor: str
    cut: bool


@dataclass(frozen=True)
class Cut:
    """A revocation that is a move of the exercise: whose access was ended, by whom and why, and what it took. `failed`
    tokens did not change. Whoever reads the list later than `when` finds its effect under `id`."""

    id: str
    when: Moment
    actor: str
    whose: str
    reason: str
    tokens: int
    failed: int
    waiting: int
    running: int


@dataclass(frozen=True)
class InjectMove:
    """What became of an inject, and who did it; `by_clock` where nobody pressed a button, `broadcast` where its text
    went on every page."""

    when: Moment
    state: str
    actor: str
    broadcast: bool
    by_clock: bool


@dataclass
class Story:
    """What the list has told since line `began`, exclusive. `seq` is the last line that was read. `first_replay` and
    `last_replay` are replay times, `offset` is what the replayed place's wall showed, in seconds.

    Where the replay clock was set back, `totals`, the bars and `first_at` begin anew at `anew_at`, and `before` is what
    was counted until then."""

    began: int = 0
    seq: int = 0
    totals: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    morning: int = 0
    anew_at: float | None = None
    replay: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    room: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=MOST_MARKS))
    told: int = 0
    phases: deque[Phase] = field(default_factory=lambda: deque(maxlen=MOST_MOVES))
    cuts: deque[Cut] = field(default_factory=lambda: deque(maxlen=MOST_MOVES))
    injects: dict[str, InjectMove] = field(default_factory=dict)
    by_clock: bool = False
    refused_since: int = 0
    began_at: float | None = None
    first_at: float | None = None
    first_replay: float | None = None
    last_replay: float | None = None
    offset: int = 0

    @property
    def revocation(self) -> str | None:
        """The last one that is a move of the exercise."""
        return self.cuts[-1].id if self.cuts else None

    def read(self, event: Mapping[str, Any]) -> None:
        """Takes one line, in the order of the list."""
        self.seq = int(event["seq"])
        at, replay = float(event["at"]), self._replay_of(event["replay_at"])
        self.began_at = at if self.began_at is None else self.began_at
        self.first_at = at if self.first_at is None else self.first_at
        if event["kind"] == "clock.set":
            replay = self._clock_set(event["data"].get("time"), at)
        if replay is not None:
            self.first_replay = replay if self.first_replay is None else min(self.first_replay, replay)
            self.last_replay = replay
        when = Moment(at, replay, self.morning)
        self._count(str(event["kind"]), when)
        self._move(event, when)
        self._mark(event, when)

    def _count(self, kind: str, when: Moment) -> None:
        name = SERIES.get(kind)
        if name is None:
            return
        self.totals[name] += 1
        self.room[int(when.at // ROOM_SECONDS)][name] += 1
        if when.replay is not None:
            self.replay[int(when.replay // REPLAY_SECONDS)][name] += 1
        if name == "refused" and self.cuts:
            self.refused_since += 1

    def _move(self, event: Mapping[str, Any], when: Moment) -> None:
        """What moves the exercise: phases, revocations, injects."""
        kind, actor, data = str(event["kind"]), str(event["actor"]), event["data"]
        if kind == "phase.changed":
            self.phases.append(Phase(when, str(data.get("to")), actor, "revocation" in data))
        elif _kind_of(kind, data) == "revocation.applied":
            self.cuts.append(_cut(data, when, actor))
            self.refused_since = 0
        elif kind == "inject.by_clock":
            self.by_clock = bool(data.get("on"))
        elif kind.startswith("inject."):
            on_pages, by_clock = bool(data.get("broadcast")), bool(data.get("by_clock"))
            self.injects[str(data["inject"])] = InjectMove(when, kind.partition(".")[2], actor, on_pages, by_clock)

    def _mark(self, event: Mapping[str, Any], when: Moment) -> None:
        words = told(str(event["kind"]), event["data"])
        if words is not None:
            kind = _kind_of(str(event["kind"]), event["data"])
            self.marks.append(Mark(self.seq, when, kind, str(event["actor"]), *words))
            self.told += 1

    def _replay_of(self, text: str | None) -> float | None:
        if text is None:
            return None
        time = datetime.fromisoformat(text)
        offset = time.utcoffset()
        self.offset = int(offset.total_seconds()) if offset else 0
        return time.timestamp()

    def _clock_set(self, text: str | None, at: float) -> float | None:
        """The clock's reading from here on. The line itself still bears the clock before."""
        time = self._replay_of(text)
        if time is not None and self.last_replay is not None and time < self.last_replay - BACK_SECONDS:
            # The figures, the bars and the marks tell of one morning, and all of the same one.
            self.before.update(self.totals)
            self.totals.clear()
            self.replay.clear()
            self.room.clear()
            self.first_replay = None
            self.first_at = self.anew_at = at
            self.morning += 1
        return time


def go_on(story: Story, events: Iterable[Mapping[str, Any]]) -> Story:
    """The story with these lines. A reset begins another: what was before belongs to another exercise."""
    for event in events:
        if event["kind"] == "reset":
            story = Story(began=int(event["seq"]) - 1)
        story.read(event)
    return story


def _kind_of(kind: str, data: Mapping[str, Any]) -> str:
    if kind == "revocation.applied" and data.get("housekeeping"):
        return HOUSEKEEPING
    return INJECTED if kind == "broadcast.set" and data.get("inject") else kind


def _cut(data: Mapping[str, Any], when: Moment, actor: str) -> Cut:
    outcomes, jobs = data.get("outcomes") or {}, data.get("jobs") or {}
    return Cut(
        id=str(data["id"]),
        when=when,
        actor=actor,
        whose=selected(data.get("selector") or {}),
        reason=str(data.get("reason", "")),
        tokens=int(outcomes.get("revoked", 0)),
        failed=int(outcomes.get("failed", 0)),
        waiting=int(jobs.get("queued", 0)),
        running=int(jobs.get("running", 0)),
    )
