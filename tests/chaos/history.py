"""What happened in a run, as clients, the event list and the media directory tell it, and whether that can be right.

Pure functions. Each rule is one function that yields a violation for each place where it is broken.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.events import Event as Line
from gateway.events import first_broken

ENDS = {"job.completed": "completed", "job.failed": "failed", "job.cancelled": "failed"}
TAKEN = ("job.started", "job.reclaimed")
CLIP = (".jpg", ".mp4", ".webp")  # what a completed video has in the media directory, each once


@dataclass(frozen=True)
class Create:
    """One sending of a create request. `status` and `job` are None where no answer came. Times are Unix seconds."""

    key: str
    at: float
    answered_at: float
    status: int | None
    job: str | None = None


@dataclass(frozen=True)
class Poll:
    """What a client was shown of a video."""

    job: str
    at: float
    state: str


@dataclass(frozen=True)
class Download:
    """A clip as a client got it, whole."""

    job: str
    at: float
    size: int
    sha256: str


@dataclass(frozen=True)
class File:
    """A file in the media directory."""

    size: int
    sha256: str


@dataclass
class History:
    """Everything that is known of a run. `tokens` are the accessors that its clients used; `max_attempts` is the
    gateway's. `polls` and `downloads` are in the order of time for each video."""

    tokens: frozenset[str]
    max_attempts: int
    creates: list[Create] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    downloads: list[Download] = field(default_factory=list)
    events: list[Line] = field(default_factory=list)
    media: Mapping[str, File] = field(default_factory=dict)

    def of_jobs(self) -> dict[str, list[Line]]:
        """Each job's events, in order."""
        found: dict[str, list[Line]] = defaultdict(list)
        for event in self.events:
            if event.job is not None and event.accessor in self.tokens:
                found[event.job].append(event)
        return dict(found)

    def accepted(self) -> dict[str, str]:
        """The job of each key that was answered."""
        return {one.key: one.job for one in self.creates if one.job is not None}


@dataclass(frozen=True)
class Violation:
    """A broken rule, and where."""

    rule: str
    job: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.job}: {self.what}"


def check(history: History) -> list[Violation]:
    """Every violation; none where nothing was lost and nothing doubled."""
    return [violation for rule in RULES for violation in rule(history)]


def lost(history: History) -> Iterator[Violation]:
    """A video that a client was promised is in the list, and ended."""
    known = history.of_jobs()
    for key, job in history.accepted().items():
        events = known.get(job, [])
        if not any(event.kind == "job.queued" for event in events):
            yield Violation("lost", job, f"was answered to {key}, and is not in the list")
        elif not any(event.kind in ENDS for event in events):
            yield Violation("lost", job, f"never ended; its last event is {events[-1].kind} ({events[-1].seq})")


def doubled_creates(history: History) -> Iterator[Violation]:
    """One key is one video, however often it was sent."""
    jobs: dict[str, set[str]] = defaultdict(set)
    for one in history.creates:
        if one.job is not None:
            jobs[one.key].add(one.job)
    for key, made in jobs.items():
        for other in sorted(made)[1:]:
            yield Violation("doubled", other, f"{key} was answered with {len(made)} videos")
    keys = Counter(job for made in jobs.values() for job in made)
    for job, number in keys.items():
        if number > 1:
            yield Violation("doubled", job, f"was answered to {number} keys")


def unasked(history: History) -> Iterator[Violation]:
    """No video exists that nobody was told of: neither one whose client was refused, nor a second one."""
    told = {one.job for one in history.creates}
    for job, events in history.of_jobs().items():
        if job not in told:
            yield Violation("unasked", job, f"is in the list since {events[0].seq}, and no client was told of it")


def unanswered(history: History) -> Iterator[Violation]:
    """Every key was answered in the end, so that nothing can hide behind a lost answer."""
    decided = {one.key for one in history.creates if one.status is not None and one.status < 500}
    for key in dict.fromkeys(one.key for one in history.creates):
        if key not in decided:
            yield Violation("unanswered", key, "no answer said whether there is such a video")


def ended_once(history: History) -> Iterator[Violation]:
    """A job comes in once and ends once, and nothing happens to it afterwards."""
    for job, events in history.of_jobs().items():
        queued = [event.seq for event in events if event.kind == "job.queued"]
        if len(queued) > 1:
            yield Violation("doubled", job, f"was queued {len(queued)} times, at {queued}")
        if events[0].kind != "job.queued":
            yield Violation("order", job, f"begins with {events[0].kind} ({events[0].seq})")
        ends = [event for event in events if event.kind in ENDS]
        if len(ends) > 1:
            yield Violation("doubled", job, f"ended {len(ends)} times, at {[event.seq for event in ends]}")
        for event in events:
            if ends and event.seq > ends[0].seq and event not in ends:
                yield Violation("order", job, f"{event.kind} ({event.seq}) after its end at {ends[0].seq}")


def attempts(history: History) -> Iterator[Violation]:
    """Attempts are counted one by one and bounded; what is told of one is told by the worker that holds it."""
    for job, events in history.of_jobs().items():
        yield from _attempts_of(job, events, history.max_attempts)


def _attempts_of(job: str, events: Iterable[Line], most: int) -> Iterator[Violation]:
    attempt, holder = 0, None
    for event in events:
        where, told = f"{event.kind} ({event.seq})", event.data.get("attempt")
        if event.kind in TAKEN:
            if told != attempt + 1:
                yield Violation("attempts", job, f"{where} is attempt {told} after {attempt}")
            attempt = attempt + 1
            if attempt > most:
                yield Violation("attempts", job, f"{where} is attempt {attempt} of {most}")
            if event.kind == "job.started" and holder is not None:
                yield Violation("doubled", job, f"{where} while {holder} holds it")
            if event.kind == "job.reclaimed" and event.data["from"] != holder:
                yield Violation("attempts", job, f"{where} from {event.data['from']}, while {holder} held it")
            holder = event.actor
        elif event.kind in ("job.progressed", "job.released", "job.completed"):
            if event.actor != holder:
                yield Violation("doubled", job, f"{where} by {event.actor}, while {holder} held it")
            if event.kind != "job.progressed" and told != attempt:
                yield Violation("doubled", job, f"{where} of attempt {told}, in attempt {attempt}")
            holder = holder if event.kind == "job.progressed" else None
        elif event.kind == "job.failed" and event.data.get("code") == "worker_lost" and attempt < most:
            yield Violation("attempts", job, f"{where} gave up after attempt {attempt} of {most}")


def seen(history: History) -> Iterator[Violation]:
    """What clients were shown never leads back from an end, and is the end that the list tells."""
    ends = {
        job: ENDS[event.kind] for job, events in history.of_jobs().items() for event in events if event.kind in ENDS
    }
    shown: dict[str, str] = {}
    for poll in history.polls:
        before = shown.get(poll.job)
        if before in ("completed", "failed") and poll.state != before:
            yield Violation("back", poll.job, f"was shown {poll.state} after {before}")
        shown[poll.job] = poll.state
    for job, state in shown.items():
        if state != ends.get(job, state):
            yield Violation("shown", job, f"was last shown {state}, and the list says {ends[job]}")
        if state not in ("completed", "failed"):
            yield Violation("lost", job, f"was last shown {state}")


def clips(history: History) -> Iterator[Violation]:
    """A completed video has one clip, that of the attempt which completed it; any other has none."""
    wanted: dict[str, set[str]] = {}
    for job, events in history.of_jobs().items():
        wanted[job] = set()
        for event in events:
            if event.kind == "job.completed":
                stem = f"{job}.{event.data['attempt']}"
                wanted[job] = {stem + suffix for suffix in CLIP}
                clip = history.media.get(f"{stem}.mp4")
                if clip is not None and clip.size != event.data["bytes"]:
                    yield Violation("clip", job, f"has {clip.size} bytes, and {event.data['bytes']} were told")
    for job, names in wanted.items():
        for name in sorted(names - set(history.media)):
            yield Violation("lost", job, f"{name} is gone")
    for name in sorted(history.media):
        job = name.lstrip(".").partition(".")[0]
        if name not in wanted.get(job, set()):
            yield Violation("left over", job, f"{name} is in the media directory")


def downloaded(history: History) -> Iterator[Violation]:
    """Every download is the clip that lies there, byte for byte, and every completed video was downloaded."""
    completed = {event.job: event for event in history.events if event.kind == "job.completed"}
    for one in history.downloads:
        event = completed.get(one.job)
        if event is None:
            yield Violation("clip", one.job, "was downloaded, and the list does not say that it was completed")
            continue
        clip = history.media.get(f"{one.job}.{event.data['attempt']}.mp4")
        if clip is not None and (one.size, one.sha256) != (clip.size, clip.sha256):
            yield Violation("clip", one.job, f"{one.size} bytes were downloaded that are not those of its file")
    there = {one.job for one in history.downloads}
    for job in history.accepted().values():
        if job in completed and job not in there:
            yield Violation("clip", job, "was completed, and nobody could download it")


def chain(history: History) -> Iterator[Violation]:
    """The event list has no gap, and each line follows from the one before."""
    for number, event in enumerate(history.events, 1):
        if event.seq != number:
            yield Violation("chain", "the list", f"{event.seq} stands in place {number}")
            return
    broken = first_broken(history.events)
    if broken is not None:
        yield Violation("chain", "the list", f"{broken} does not follow from the line before")


RULES: tuple[Callable[[History], Iterator[Violation]], ...] = (
    lost,
    doubled_creates,
    unasked,
    unanswered,
    ended_once,
    attempts,
    seen,
    clips,
    downloaded,
    chain,
)


@dataclass(frozen=True)
class Restart:
    """A job that its worker lost: how long until its next attempt began, in seconds; None where it had none."""

    job: str
    seconds: float | None


def restarts(events: Iterable[Line], worker: str, at: float) -> list[Restart]:
    """What became of the jobs that `worker` held at `at`, when it was ended."""
    held: dict[str, float | None] = {}
    holding: set[str] = set()
    for event in events:
        if event.job is None:
            continue
        if event.kind in TAKEN:
            if event.at > at and event.job in holding and event.job not in held:
                held[event.job] = event.at - at
            elif event.at <= at:
                (holding.add if event.actor == worker else holding.discard)(event.job)
        elif event.kind in ENDS or event.kind == "job.released":
            if event.at <= at:
                holding.discard(event.job)
            elif event.job in holding:
                held.setdefault(event.job, None)
    return [Restart(job, held.get(job)) for job in sorted(holding)]


@dataclass(frozen=True)
class Spell:
    """A time, from `start` to `end`, in which a worker was at work: neither ended nor frozen. Unix seconds."""

    worker: str
    start: float
    end: float


def spells(events: Iterable[Line], stops: Mapping[str, list[tuple[float, float]]]) -> list[Spell]:
    """When each worker was at work: from its start on, except where it was stopped (from, until)."""
    found = []
    for event in events:
        if event.kind == "worker.started":
            since = event.at
            for begin, end in sorted(stops.get(event.actor, [])):
                found.append(Spell(event.actor, since, begin))
                since = end
            found.append(Spell(event.actor, since, float("inf")))
    return found


def could_have(at_work: Iterable[Spell], start: float, end: float) -> bool:
    """Whether there was somebody who could take over a job: at work all the time between the two."""
    return any(spell.start <= start and spell.end >= end for spell in at_work)


def executions(events: Iterable[Line]) -> int:
    """How many attempts began."""
    return sum(event.kind in TAKEN for event in events)


def count_ends(history: History) -> Counter[str]:
    """Jobs by how they ended: `completed`, or the error code."""
    found: Counter[str] = Counter()
    for events in history.of_jobs().values():
        for event in events:
            if event.kind in ENDS:
                found["completed" if event.kind == "job.completed" else str(_code(event.data, event.kind))] += 1
    return found


def _code(data: Mapping[str, Any], kind: str) -> object:
    return "cancelled" if kind == "job.cancelled" else data.get("code", "failed")
