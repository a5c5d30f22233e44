"""What metrics are made of: how things stand, and the event list read on from a place, in bounded pieces.

Nothing here writes. Every statement groups in the database, so that a reading costs memory for its labels alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.store.leases import SILENT
from gateway.store.protocol import Connection
from gateway.store.tokens import count_by_state

#: What `counted` tells apart beyond an event's kind: the field of its data that is told with it.
_WHAT = (
    "CASE WHEN kind = 'job.failed' THEN json_extract(data, '$.code') "
    "WHEN kind = 'request.refused' THEN json_extract(data, '$.reason') END"
)
_PIECE = "events.seq > :after AND events.seq <= :upto"


@dataclass(frozen=True)
class Standing:
    """How things stand. `jobs` is by status and tier, `tokens` by shown state, `accepts` by surface; `oldest` is when
    the longest waiting job came in, Unix seconds, None where none waits; `stalled` jobs have a worker that fell silent;
    `webhooks` and `signals` are owed; `events` is the number of the newest one."""

    jobs: dict[tuple[str, str], int]
    oldest: float | None
    stalled: int
    workers: int
    slots: int
    replicas: int
    tokens: dict[str, int]
    accepts: dict[str, int]
    late: int
    webhooks: int
    signals: int
    events: int


@dataclass(frozen=True)
class Span:
    """Times that fell into one bucket, the number of its upper bound: how many, and their sum in seconds."""

    tier: str
    bucket: int
    count: int
    seconds: float


@dataclass(frozen=True)
class Amounts:
    """What one event of a rare kind tells in numbers. `revocation` is that event's id, None for other kinds."""

    revocation: str | None
    tokens: int
    queued: int
    running: int
    webhooks: int
    signals: int


def standing(tx: Connection, *, now: float, workers_since: float, replicas_since: float) -> Standing:
    """As it is at `now`. Workers and gateways count that were heard of at or after those moments."""
    row = tx.fetch_one(
        f"SELECT (SELECT count(*) FROM jobs WHERE status = 'in_progress' AND {SILENT}) AS stalled, "
        "(SELECT count(*) FROM workers WHERE stopped_at IS NULL AND heartbeat_at >= :since) AS workers, "
        "(SELECT CAST(coalesce(sum(slots), 0) AS BIGINT) FROM workers "
        "WHERE stopped_at IS NULL AND heartbeat_at >= :since) AS slots, "
        "(SELECT count(*) FROM replicas WHERE seen_at >= :replicas_since) AS replicas, "
        "(SELECT count(*) FROM webhook_deliveries WHERE state = 'pending') AS webhooks, "
        "(SELECT count(*) FROM signals WHERE state = 'pending') AS signals, "
        "(SELECT coalesce(max(seq), 0) FROM events) AS events",
        {"since": workers_since, "replicas_since": replicas_since},
    )
    if row is None:
        raise LookupError("a row of counts is missing")
    uses = tx.fetch_all(
        "SELECT surface, CAST(sum(accepted) AS BIGINT) AS accepted, CAST(sum(late) AS BIGINT) AS late "
        "FROM token_uses GROUP BY surface"
    )
    return Standing(
        **dict(row),
        jobs=_depths(tx, "queued") | _depths(tx, "in_progress"),
        oldest=_oldest(tx),
        tokens=count_by_state(tx, now),
        accepts={use["surface"]: use["accepted"] for use in uses},
        late=sum(use["late"] for use in uses),
    )


def _depths(tx: Connection, status: str) -> dict[tuple[str, str], int]:
    # Counted by token first, in an index that holds all of it: a look-up for each job would cost ten times as much.
    rows = tx.fetch_all(
        "SELECT tokens.tier AS tier, CAST(sum(theirs.n) AS BIGINT) AS n FROM (SELECT accessor, count(*) AS n FROM jobs "
        f"WHERE status = '{status}' GROUP BY accessor) AS theirs JOIN tokens USING (accessor) GROUP BY tokens.tier"
    )
    return {(status, row["tier"]): row["n"] for row in rows}


def _oldest(tx: Connection) -> float | None:
    # From priority to priority, each one's first: a long line is not walked.
    row = tx.fetch_one(
        "WITH RECURSIVE ranks (priority) AS ("
        "SELECT min(priority) FROM jobs WHERE status = 'queued' UNION ALL "
        "SELECT (SELECT min(priority) FROM jobs WHERE status = 'queued' AND priority > ranks.priority) "
        "FROM ranks WHERE ranks.priority IS NOT NULL) "
        "SELECT min(created_at) AS at FROM jobs WHERE seq IN (SELECT (SELECT min(seq) FROM jobs "
        "WHERE status = 'queued' AND priority = ranks.priority) FROM ranks WHERE ranks.priority IS NOT NULL)"
    )
    return row["at"] if row else None


def counted(tx: Connection, after: int, upto: int) -> list[tuple[str, str | None, int]]:
    """Events beyond `after` up to `upto`: kind, a failure's code or a refusal's reason, how many."""
    rows = tx.fetch_all(
        f"SELECT kind, {_WHAT} AS what, count(*) AS n FROM events WHERE {_PIECE} GROUP BY 1, 2",
        {"after": after, "upto": upto},
    )
    return [(row["kind"], row["what"], row["n"]) for row in rows]


def waits(tx: Connection, after: int, upto: int, bounds: Sequence[float]) -> list[Span]:
    """How long the jobs that were first started in this piece of the list had waited."""
    first = "kind = 'job.started' AND CAST(json_extract(data, '$.attempt') AS BIGINT) = 1"
    return _spans(tx, after, upto, "events.at - jobs.created_at", first, bounds)


def runs(tx: Connection, after: int, upto: int, bounds: Sequence[float]) -> list[Span]:
    """How long the jobs that were completed in this piece had been rendered, from their first start on."""
    return _spans(tx, after, upto, "events.at - jobs.started_at", "kind = 'job.completed'", bounds)


def _spans(tx: Connection, after: int, upto: int, span: str, which: str, bounds: Sequence[float]) -> list[Span]:
    steps = " ".join(f"WHEN seconds <= {bound!r} THEN {number}" for number, bound in enumerate(bounds))
    rows = tx.fetch_all(
        f"SELECT tier, CASE {steps} ELSE {len(bounds)} END AS bucket, count(*) AS n, sum(seconds) AS seconds "
        f"FROM (SELECT tokens.tier AS tier, CASE WHEN {span} < 0 THEN 0.0 ELSE {span} END AS seconds "
        "FROM events JOIN jobs ON jobs.id = events.job JOIN tokens ON tokens.accessor = jobs.accessor "
        f"WHERE {_PIECE} AND {which}) AS spans GROUP BY 1, 2",
        {"after": after, "upto": upto},
    )
    return [Span(row["tier"], row["bucket"], row["n"], row["seconds"]) for row in rows]


def cancelled_while_running(tx: Connection, after: int, upto: int) -> int:
    """Jobs that their owners cancelled in this piece while a worker had them."""
    row = tx.fetch_one(
        "SELECT count(*) AS n FROM events JOIN jobs ON jobs.id = events.job "
        f"WHERE {_PIECE} AND kind = 'job.cancelled' AND jobs.worker IS NOT NULL",
        {"after": after, "upto": upto},
    )
    return row["n"] if row else 0


def amounts(tx: Connection, after: int, upto: int) -> list[Amounts]:
    """What revocations stopped, and what went with an endpoint or a sink, in this piece of the list."""

    def number(path: str) -> str:
        return f"coalesce(CAST(json_extract(data, '{path}') AS BIGINT), 0)"

    rows = tx.fetch_all(
        "SELECT CASE WHEN kind = 'revocation.applied' THEN json_extract(data, '$.id') END AS revocation, "
        f"{number('$.outcomes.revoked')} AS tokens, {number('$.jobs.queued')} AS queued, "
        f"{number('$.jobs.running')} AS running, "
        f"CASE WHEN kind = 'webhook.deleted' THEN {number('$.stopped')} ELSE {number('$.webhooks')} END AS webhooks, "
        f"{number('$.dropped')} AS signals FROM events WHERE {_PIECE} "
        "AND kind IN ('revocation.applied', 'webhook.deleted', 'sink.deleted', 'sink.updated')",
        {"after": after, "upto": upto},
    )
    return [Amounts(**dict(row)) for row in rows]


def durations(tx: Connection, ids: Collection[str]) -> dict[str, float | None]:
    """Seconds from a revocation's request to its acknowledgement, None where that is not noted yet; one that is gone is
    left out."""
    if not ids:
        return {}
    rows = tx.fetch_all(
        "SELECT id, acknowledged_at - requested_at AS seconds FROM revocations "
        "WHERE id IN (SELECT value FROM json_each(:ids))",
        {"ids": json.dumps(sorted(ids))},
    )
    return {row["id"]: row["seconds"] for row in rows}
