"""The figures of a load test, from its record alone. Every name ends in its unit; None is unknown, never 0.

Latencies are the client's: from sending a request to the last byte of its answer, the load test's own delays included.
A call is a request with the times the client sent it again; it is an error where the client's caller saw an exception
that the revocation does not explain.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from loadtest.history import Exchange, Visit
from loadtest.record import Record


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(_Part):
    """Of how many, and the percentiles, in milliseconds."""

    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class Answered(_Part):
    """How often a surface answered so. `status` 0 is no answer."""

    surface: str
    status: int
    code: str
    count: int


class Late(_Part):
    """How late sessions began behind their schedule. `held_back` of them found every user busy: their lateness is the
    target's doing, the others' is the load test's own (`own`)."""

    planned: int
    started: int
    held_back: int
    unstarted: int
    started_late: Spread
    own: Spread

    @property
    def held_rate(self) -> float:
        """The share of arrivals that had to wait for a user, or never got one."""
        return (self.held_back + self.unstarted) / self.planned if self.planned else 0.0


class Offence(_Part):
    """A request that began after the acknowledgement and was accepted."""

    surface: str
    person: int
    accessor: str
    seconds_after: float
    status: int


class Ended(_Part):
    """What clients saw of the revocation. Seconds count from the acknowledgement. `late_accepts` should be none."""

    called_second: float
    acknowledged_second: float | None
    call_ms: float | None
    error: str
    tokens: int | None
    jobs_queued: int | None
    jobs_running: int | None
    requests_after: int
    refused_after: int
    late_accepts: int | None
    offences: list[Offence]
    last_accepted_start_seconds: float | None
    leaked_users_seen_after: int
    leaked_users_refused: int
    first_refusal: Spread
    target_late_accepts: int | None
    target_refusals: int | None


class Bystanders(_Part):
    """Users whose tokens did not leak, after the revocation."""

    users_after: int
    users_hit: int
    requests_after: int
    refused_after: int


class Compared(_Part):
    """A count by the clients beside the target's own."""

    what: str
    clients: int
    target: int


class Figures(_Part):
    """See the module."""

    measured_seconds: float
    requests: int
    requests_per_second: float
    sessions: int
    sessions_per_second: float
    videos_finished: int
    videos_per_second: float
    downloaded_bytes: int
    outcomes: dict[str, int]
    calls: int
    call_errors: int
    error_rate: float | None
    submit: Spread
    poll: Spread
    download: Spread
    delete: Spread
    wait: Spread
    run: Spread
    total: Spread
    total_from_due: Spread
    target_wait: Spread | None
    target_run: Spread | None
    answers: list[Answered]
    late: Late
    revocation: Ended | None
    bystanders: Bystanders | None
    compared: list[Compared]
    cpu_seconds: float
    load_before: float | None
    load_after: float | None


def measure(record: Record) -> Figures:
    """All figures."""
    exchanges, visits = record.history.exchanges, record.history.visits
    seconds = max([each.end for each in exchanges], default=0.0)
    finished = [each for each in visits if each.done is not None and each.outcome == "finished"]
    calls = [each for each in exchanges if each.last]
    errors = [each for each in calls if not each.ok and not _explained(record, each)]
    target_wait, target_run = _by_target(record)
    return Figures(
        measured_seconds=round(seconds, 3),
        requests=len(exchanges),
        requests_per_second=_rate(len(exchanges), seconds),
        sessions=len(visits),
        sessions_per_second=_rate(len(visits), seconds),
        videos_finished=len(finished),
        videos_per_second=_rate(len(finished), seconds),
        downloaded_bytes=sum(each.bytes for each in exchanges if each.surface == "download" and each.accepted),
        outcomes=dict(sorted(Counter(each.outcome for each in visits).items())),
        calls=len(calls),
        call_errors=len(errors),
        error_rate=len(errors) / len(calls) if calls else None,
        submit=_latency(exchanges, "submit"),
        poll=_latency(exchanges, "poll"),
        download=_latency(exchanges, "download"),
        delete=_latency(exchanges, "delete"),
        wait=spread(_between(visits, "submitted", "begun")),
        run=spread(_between(visits, "begun", "done")),
        total=spread((each.ended - each.started) * 1000 for each in finished),
        total_from_due=spread((each.ended - each.due) * 1000 for each in finished),
        target_wait=target_wait,
        target_run=target_run,
        answers=_answers(exchanges),
        late=_late(record),
        revocation=_ended(record),
        bystanders=_bystanders(record),
        compared=_compared(record),
        cpu_seconds=round(record.history.cpu, 2),
        load_before=record.load[0],
        load_after=record.load[1],
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of values in order: one that was really seen."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(milliseconds: Iterable[float]) -> Spread:
    """Count and percentiles; None where there is nothing."""
    ordered = sorted(milliseconds)
    if not ordered:
        return Spread(count=0, p50_ms=None, p95_ms=None, p99_ms=None, max_ms=None)
    p50, p95, p99 = (round(percentile(ordered, share), 3) for share in (0.5, 0.95, 0.99))
    return Spread(count=len(ordered), p50_ms=p50, p95_ms=p95, p99_ms=p99, max_ms=round(ordered[-1], 3))


def _latency(exchanges: Sequence[Exchange], surface: str) -> Spread:
    """Of the requests that got what they asked for."""
    return spread(each.ms for each in exchanges if each.surface == surface and each.ok)


def _between(visits: Sequence[Visit], first: str, then: str) -> list[float]:
    """Milliseconds between two moments of the sessions that saw both."""
    pairs = [(getattr(each, first), getattr(each, then)) for each in visits]
    return [(right - left) * 1000 for left, right in pairs if left is not None and right is not None]


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 2) if seconds > 0 else 0.0


def _explained(record: Record, exchange: Exchange) -> bool:
    """Whether the revocation is why a leaked token's request was refused, its download cut, or its delete too late."""
    revocation = record.revocation
    if revocation is None or not record.leaked[exchange.token] or not revocation.explains(exchange):
        return False
    return exchange.refused or (exchange.surface == "download" and (exchange.accepted or exchange.status == 0))


def _answers(exchanges: Sequence[Exchange]) -> list[Answered]:
    counts = Counter((each.surface, each.status, each.code) for each in exchanges)
    return [
        Answered(surface=surface, status=status, code=code, count=count)
        for (surface, status, code), count in sorted(counts.items())
    ]


def _late(record: Record) -> Late:
    visits = record.history.visits
    own = [(each.handed if each.held else each.started) - each.due for each in visits]
    return Late(
        planned=sum(due <= record.ended for due in record.dues),
        started=len(visits),
        held_back=sum(each.held for each in visits),
        unstarted=record.history.unstarted,
        started_late=spread((each.started - each.due) * 1000 for each in visits),
        own=spread(each * 1000 for each in own),
    )


def _ended(record: Record) -> Ended | None:
    revocation = record.revocation
    if revocation is None:
        return None
    uses = [each for each in record.history.exchanges if record.leaked[each.token]]
    after = [each for each in uses if revocation.began_after(each)]
    known = revocation.acknowledged is not None
    late = [each for each in after if each.accepted]
    starts = [revocation.seconds_after(each) for each in uses if each.accepted]
    first: dict[int, float] = {}
    for each in after:
        told = revocation.told.get(each.process, revocation.acknowledged or 0.0)
        if each.refused:
            first[each.person] = min(first.get(each.person, math.inf), each.end - told)
    answer = revocation.answer
    return Ended(
        called_second=round(revocation.called, 3),
        acknowledged_second=round(revocation.acknowledged, 3) if revocation.acknowledged is not None else None,
        call_ms=round((revocation.acknowledged - revocation.called) * 1000, 1)
        if revocation.acknowledged is not None
        else None,
        error=revocation.error,
        tokens=answer.tokens if answer else None,
        jobs_queued=answer.jobs.queued if answer else None,
        jobs_running=answer.jobs.running if answer else None,
        requests_after=len(after),
        refused_after=sum(each.refused for each in after),
        late_accepts=len(late) if known else None,
        offences=[
            Offence(
                surface=each.surface,
                person=each.person,
                accessor=record.accessors[each.token],
                seconds_after=round(revocation.seconds_after(each) or 0.0, 4),
                status=each.status,
            )
            for each in late
        ],
        last_accepted_start_seconds=round(max(each for each in starts if each is not None), 4)
        if known and starts
        else None,
        leaked_users_seen_after=len({each.person for each in after}),
        leaked_users_refused=len(first),
        first_refusal=spread(each * 1000 for each in first.values()),
        target_late_accepts=sum(each.late_accepts for each in record.ends) if record.ends else None,
        target_refusals=sum(each.refusals for each in record.ends) if record.ends else None,
    )


def _bystanders(record: Record) -> Bystanders | None:
    revocation = record.revocation
    if revocation is None or revocation.acknowledged is None:
        return None
    after = [
        each for each in record.history.exchanges if not record.leaked[each.token] and revocation.began_after(each)
    ]
    hit = [each for each in after if each.refused]
    return Bystanders(
        users_after=len({each.person for each in after}),
        users_hit=len({each.person for each in hit}),
        requests_after=len(after),
        refused_after=len(hit),
    )


def _by_target(record: Record) -> tuple[Spread | None, Spread | None]:
    """Wait and run by the target's own list: queued to last start, last start to completed."""
    if record.events is None:
        return None, None
    queued: dict[str, float] = {}
    started: dict[str, float] = {}
    waits: dict[str, float] = {}
    runs: list[float] = []
    for event in record.events:
        job = event.job or ""
        if event.kind == "job.queued":
            queued[job] = event.at
        elif event.kind == "job.started" and job in queued:
            started[job] = event.at
            waits[job] = (event.at - queued[job]) * 1000
        elif event.kind == "job.completed" and job in started:
            runs.append((event.at - started[job]) * 1000)
    return spread(waits.values()), spread(runs)


def _compared(record: Record) -> list[Compared]:
    """What both sides counted. A target may know of more: users give up, are revoked, or are cut off at the end."""
    if record.events is None:
        return []
    kinds = Counter(event.kind for event in record.events)
    accepted = Counter(each.surface for each in record.history.exchanges if each.accepted)
    seen = sum(each.done is not None and each.outcome != "failed" for each in record.history.visits)
    return [
        Compared(what="videos accepted", clients=accepted["submit"], target=kinds["job.queued"]),
        Compared(what="videos seen completed", clients=seen, target=kinds["job.completed"]),
        Compared(what="videos deleted", clients=accepted["delete"], target=kinds["job.deleted"]),
    ]
