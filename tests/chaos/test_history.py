"""The checker finds every violation that it is there to find: each rule has a history that breaks it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chaos.history import (
    CLIP,
    Create,
    Download,
    File,
    History,
    Poll,
    Restart,
    Violation,
    check,
    could_have,
    count_ends,
    executions,
    restarts,
    spells,
)
from gateway.events import GENESIS, Event, canonical, chain_hash

OWNER = "tok_1"
A, B, C = "video_a", "video_b", "video_c"
CONTENT = File(9, "cafe")


def listed(*told: tuple[str, str, str | None, dict[str, Any]]) -> list[Event]:
    """An event list: kind, actor, job and data of each line, a second apart."""
    events: list[Event] = []
    for number, (kind, actor, job, data) in enumerate(told, 1):
        events.append(Event(number, float(number), None, kind, actor, OWNER if job else None, job, data, "", ""))
    return chained(events)


def chained(events: list[Event]) -> list[Event]:
    """The same lines, numbered and hashed anew."""
    previous, found = GENESIS, []
    for number, event in enumerate(events, 1):
        digest = chain_hash(
            previous,
            at=event.at,
            replay_at=None,
            kind=event.kind,
            actor=event.actor,
            accessor=event.accessor,
            job=event.job,
            data=canonical(event.data),
        )
        found.append(replace(event, seq=number, previous=previous, hash=digest))
        previous = digest
    return found


def sound() -> History:
    """Three videos: one completed at once, one whose first worker was ended, one that every worker lost."""
    files = {f"{A}.1": CONTENT, f"{B}.2": CONTENT}
    return History(
        tokens=frozenset({OWNER}),
        max_attempts=2,
        creates=[
            Create("key-a", 0, 1, 200, A),
            Create("key-b", 0, 1, None),
            Create("key-b", 1, 2, 503),
            Create("key-b", 2, 3, 200, B),
            Create("key-c", 2, 3, 200, C),
            Create("key-d", 2, 3, 429),
        ],
        polls=[
            Poll(A, 2, "queued"),
            Poll(A, 3, "completed"),
            Poll(B, 3, "in_progress"),
            Poll(B, 9, "completed"),
            Poll(C, 20, "failed"),
        ],
        downloads=[Download(A, 5, 9, "cafe"), Download(B, 12, 9, "cafe")],
        events=listed(
            ("gateway.started", "gateway", None, {}),
            ("job.queued", "tester", A, {}),
            ("job.started", "w1", A, {"attempt": 1}),
            ("job.progressed", "w1", A, {"progress": 50}),
            ("job.completed", "w1", A, {"attempt": 1, "bytes": 9}),
            ("job.queued", "tester", B, {}),
            ("job.started", "w1", B, {"attempt": 1}),
            ("job.queued", "tester", C, {}),
            ("job.reclaimed", "w2", B, {"attempt": 2, "from": "w1"}),
            ("job.completed", "w2", B, {"attempt": 2, "bytes": 9}),
            ("job.started", "w2", C, {"attempt": 1}),
            ("job.released", "w2", C, {"attempt": 1}),
            ("job.started", "w1", C, {"attempt": 2}),
            ("job.failed", "w2", C, {"code": "worker_lost"}),
        ),
        media={stem + suffix: file for stem, file in files.items() for suffix in CLIP},
    )


def without(history: History, kind: str, job: str | None) -> History:
    events = [event for event in history.events if (event.kind, event.job) != (kind, job)]
    return replace(history, events=chained(events))


def also(history: History, before: int, kind: str, actor: str, job: str, data: dict[str, Any]) -> History:
    """With another event before the one that has the number `before`."""
    event = Event(0, float(before), None, kind, actor, OWNER, job, data, "", "")
    events = [*history.events[: before - 1], event, *history.events[before - 1 :]]
    return replace(history, events=chained(events))


def changed(history: History, seq: int, **fields: Any) -> History:
    events = [replace(event, **fields) if event.seq == seq else event for event in history.events]
    return replace(history, events=chained(events))


def create(history: History, *more: Create) -> History:
    return replace(history, creates=[*history.creates, *more])


def file(history: History, name: str, kept: File | None) -> History:
    files = {**history.media, name: kept}
    return replace(history, media={name: file for name, file in files.items() if file is not None})


BROKEN: dict[str, tuple[Callable[[History], History], str, str]] = {
    "never queued": (lambda one: create(one, Create("key-x", 3, 4, 200, "video_x")), "lost", "video_x"),
    "never ended": (lambda one: without(one, "job.failed", C), "lost", C),
    "two videos for a key": (lambda one: create(one, Create("key-a", 3, 4, 200, B)), "doubled", B),
    "nobody was told": (lambda one: also(one, 15, "job.queued", "tester", "video_x", {}), "unasked", "video_x"),
    "never answered": (lambda one: create(one, Create("key-x", 3, 4, 503)), "unanswered", "key-x"),
    "queued twice": (lambda one: also(one, 3, "job.queued", "tester", A, {}), "doubled", A),
    "never came in": (lambda one: without(one, "job.queued", A), "order", A),
    "ended twice": (
        lambda one: also(one, 15, "job.completed", "w2", B, {"attempt": 2, "bytes": 9}), "doubled", B,
    ),
    "failed after completed": (lambda one: also(one, 15, "job.failed", "w2", B, {"code": "x"}), "doubled", B),
    "goes on after its end": (
        lambda one: also(one, 15, "job.reclaimed", "w2", A, {"attempt": 2, "from": "w1"}), "order", A,
    ),
    "attempt left out": (lambda one: changed(one, 9, data={"attempt": 3, "from": "w1"}), "attempts", B),
    "attempt counted twice": (lambda one: changed(one, 9, data={"attempt": 1, "from": "w1"}), "attempts", B),
    "more attempts than allowed": (lambda one: replace(one, max_attempts=1), "attempts", B),
    "taken from another": (lambda one: changed(one, 9, data={"attempt": 2, "from": "w3"}), "attempts", B),
    "started while held": (
        lambda one: changed(one, 9, kind="job.started", data={"attempt": 2}), "doubled", B,
    ),
    "completed by who lost it": (lambda one: changed(one, 10, actor="w1"), "doubled", B),
    "completed by an earlier attempt": (lambda one: changed(one, 10, data={"attempt": 1, "bytes": 9}), "doubled", B),
    "progress by who lost it": (
        lambda one: also(one, 10, "job.progressed", "w1", B, {"progress": 1}), "doubled", B,
    ),
    "given up too early": (lambda one: replace(one, max_attempts=3), "attempts", C),
    "back from an end": (
        lambda one: replace(one, polls=[*one.polls, Poll(A, 9, "in_progress"), Poll(A, 10, "completed")]), "back", A,
    ),
    "shown another end": (lambda one: replace(one, polls=[*one.polls[:-1], Poll(C, 20, "completed")]), "shown", C),
    "never shown an end": (lambda one: replace(one, polls=one.polls[:3]), "lost", B),
    "clip gone": (lambda one: file(one, f"{A}.1.mp4", None), "lost", A),
    "still gone": (lambda one: file(one, f"{A}.1.webp", None), "lost", A),
    "another size than told": (lambda one: file(one, f"{A}.1.mp4", File(8, "cafe")), "clip", A),
    "clip of an earlier attempt": (lambda one: file(one, f"{B}.1.mp4", CONTENT), "left over", B),
    "half a clip": (lambda one: file(one, f".{C}.2.mp4.1f.part", CONTENT), "left over", C),
    "clip of a failed video": (lambda one: file(one, f"{C}.2.mp4", CONTENT), "left over", C),
    "clip of no video": (lambda one: file(one, "video_x.1.mp4", CONTENT), "left over", "video_x"),
    "other bytes": (
        lambda one: replace(one, downloads=[*one.downloads, Download(A, 9, 9, "beef")]), "clip", A,
    ),
    "download of a failed video": (
        lambda one: replace(one, downloads=[*one.downloads, Download(C, 20, 9, "cafe")]), "clip", C,
    ),
    "never downloaded": (lambda one: replace(one, downloads=one.downloads[:1]), "clip", B),
    "line dropped": (
        lambda one: replace(one, events=[event for event in one.events if event.seq != 4]), "chain", "the list",
    ),
    "line edited": (
        lambda one: replace(one, events=[*one.events[:-1], replace(one.events[-1], at=99.0)]), "chain", "the list",
    ),
}  # fmt: skip


def test_a_sound_history_breaks_no_rule() -> None:
    assert check(sound()) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_history_is_found(name: str) -> None:
    breaks, rule, job = BROKEN[name]
    found = check(breaks(sound()))
    assert (rule, job) in {(violation.rule, violation.job) for violation in found}, found


def test_one_edited_field_breaks_one_rule() -> None:
    """Other rules stay quiet, so that a report names what is wrong and not all that hangs on it."""
    assert check(file(sound(), f"{A}.1.mp4", None)) == [Violation("lost", A, f"{A}.1.mp4 is gone")]


def test_another_tokens_jobs_are_nobodys_business() -> None:
    other = Event(15, 15.0, None, "job.queued", "other", "tok_2", "video_x", {}, "", "")
    history = sound()
    assert check(replace(history, events=chained([*history.events, other]))) == []


def test_a_restart_is_timed_from_the_workers_end() -> None:
    events = sound().events
    assert restarts(events, "w1", 7.5) == [Restart(B, 1.5)]
    assert restarts(events, "w1", 4.5) == [Restart(A, None)]  # it had been completed before it was noticed
    assert restarts(events, "w1", 5.5) == []
    assert restarts(events, "w1", 9.5) == []  # another one has it
    assert restarts(events, "w2", 12.5) == []  # it gave it back


def test_who_was_at_work_when() -> None:
    started = listed(("worker.started", "w1", None, {}), ("worker.started", "w2", None, {}))
    found = spells(started, {"w1": [(5.0, 8.0), (9.0, float("inf"))]})
    assert [(one.worker, one.start, one.end) for one in found[:2]] == [("w1", 1.0, 5.0), ("w1", 8.0, 9.0)]
    assert could_have(found, 2.0, 99.0)
    assert could_have(found[:3], 1.0, 5.0)
    assert not could_have(found[:3], 4.0, 6.0)  # it was frozen
    assert not could_have(found[:3], 8.5, 9.5)  # it was ended


def test_executions_and_ends_are_counted() -> None:
    history = sound()
    assert executions(history.events) == 5
    assert count_ends(history) == {"completed": 2, "worker_lost": 1}
