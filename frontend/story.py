"""The event list since the exercise began, as counts, bars and marks. Reads each line once; knows no HTTP."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from frontend.telling import told

# What the bars count: the kind of event, and what it is called here.
SERIES = {"job.queued": "accepted", "job.completed": "finished", "request.refused": "refused"}
# How finely the bars are kept; a chart adds up neighbours.
REPLAY_SECONDS = 60
ROOM_SECONDS = 10
MOST_MARKS = 300
# A clock that is set back by more than this begins its morning anew.
BACK_SECONDS = 60.0


@dataclass(frozen=True)
class Mark:
    """A line of the list that is worth a line in the log. Times are Unix seconds; `replay` is None without a clock.
    `words` are for the room, `public` for a projector: without names, tokens and reasons."""

    seq: int
    at: float
    replay: float | None
    kind: str
    actor: str
    words: str
    public: str


@dataclass
class Story:
    """What the list has told since line `began`, exclusive. `seq` is the last line that was read. `first_replay` and
    `last_replay` are replay times, `offset` is what the replayed place's wall showed, in seconds."""

    began: int = 0
    seq: int = 0
    totals: Counter[str] = field(default_factory=Counter)
    replay: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    room: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=MOST_MARKS))
    revocation: str | None = None
    revoked_at: float | None = None
    refused_since: int = 0
    first_at: float | None = None
    first_replay: float | None = None
    last_replay: float | None = None
    offset: int = 0

    def read(self, event: Mapping[str, Any]) -> None:
        """Takes one line, in the order of the list."""
        self.seq = int(event["seq"])
        at, replay = float(event["at"]), self._replay_of(event["replay_at"])
        self.first_at = at if self.first_at is None else self.first_at
        if event["kind"] == "clock.set":
            replay = self._clock_set(event["data"].get("time"))
        if replay is not None:
            self.first_replay = replay if self.first_replay is None else min(self.first_replay, replay)
            self.last_replay = replay
        name = SERIES.get(event["kind"])
        if name is not None:
            self.totals[name] += 1
            self.room[int(at // ROOM_SECONDS)][name] += 1
            if replay is not None:
                self.replay[int(replay // REPLAY_SECONDS)][name] += 1
            if name == "refused" and self.revoked_at is not None:
                self.refused_since += 1
        self._mark(event, at, replay)

    def _mark(self, event: Mapping[str, Any], at: float, replay: float | None) -> None:
        words = told(str(event["kind"]), event["data"])
        if words is None:
            return
        self.marks.append(Mark(self.seq, at, replay, str(event["kind"]), str(event["actor"]), *words))
        if event["kind"] == "revocation.applied":
            self.revocation, self.revoked_at, self.refused_since = str(event["data"]["id"]), at, 0

    def _replay_of(self, text: str | None) -> float | None:
        if text is None:
            return None
        time = datetime.fromisoformat(text)
        offset = time.utcoffset()
        self.offset = int(offset.total_seconds()) if offset else 0
        return time.timestamp()

    def _clock_set(self, text: str | None) -> float | None:
        """The clock's reading from here on. The line itself still bears the clock before."""
        time = self._replay_of(text)
        if time is not None and self.last_replay is not None and time < self.last_replay - BACK_SECONDS:
            self.replay.clear()
            self.first_replay = None
            self.marks = deque(
                (Mark(one.seq, one.at, None, one.kind, one.actor, one.words, one.public) for one in self.marks),
                maxlen=MOST_MARKS,
            )
        return time


def go_on(story: Story, events: Iterable[Mapping[str, Any]]) -> Story:
    """The story with these lines. A reset begins another: what was before belongs to another exercise."""
    for event in events:
        if event["kind"] == "reset":
            story = Story(began=int(event["seq"]) - 1)
        story.read(event)
    return story
