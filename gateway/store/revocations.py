"""Revocation rows, and what the other tables say of one afterwards."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from gateway.store.events import AFTERWARDS
from gateway.store.protocol import Connection, Row


@dataclass(frozen=True)
class InFlight:
    """What becomes of what is under way.

    `queued` jobs are cancelled, or kept in the line and rendered. `running` ones are cancelled, or finish; what they
    made is then stored, or thrown away. Open `transfers` are cut, or finish. Nothing of it is ever served to the
    revoked bearer.
    """

    queued: Literal["cancel", "keep"] = "cancel"
    running: Literal["cancel", "finish_withhold", "finish"] = "cancel"
    transfers: Literal["cut", "finish"] = "cut"


@dataclass(frozen=True)
class RevokedItem:
    """What a revocation did to one token: `revoked`, `already` where it was revoked before, `failed` where its row did
    not change although it should have."""

    accessor: str
    principal: str
    cohort: str
    outcome: str


@dataclass(frozen=True)
class Taken:
    """What ended, or was spared, in the revocation's transaction. `children` are tokens that others minted; `links` and
    `endpoints` were alive until then; `bystanders` are accepted tokens that stayed so, `touched` those that did not;
    `credits` were given back for the jobs that ended."""

    children: int
    kept: int
    going_on: int
    links: int
    endpoints: int
    deliveries: int
    bystanders: int
    touched: int
    credits: int
    streams: int = 0


@dataclass(frozen=True)
class Revocation:
    """One revocation. Times are Unix seconds; `tokens` counts the tokens that it changed, `jobs_queued` and
    `jobs_running` those that it stopped. `txn` names the cause that its security events share with others.

    `recorded_at` lies inside its transaction, `acknowledged_at` behind the commit, where it is known; `last_event` is
    the newest event before it.
    """

    id: str
    selector: dict[str, object]
    reason: str
    actor: str
    requested_at: float
    recorded_at: float
    acknowledged_at: float
    last_event: int
    tokens: int
    jobs_queued: int
    jobs_running: int
    in_flight: InFlight
    txn: str
    taken: Taken
    items: tuple[RevokedItem, ...]


@dataclass(frozen=True)
class SparedJobs:
    """Jobs that a revocation let go on, as they stand: `waiting`, `running`, `stored` with a clip, `withheld` or ended
    otherwise without one, for which `credits` were given back."""

    waiting: int
    running: int
    stored: int
    withheld: int
    credits: int


@dataclass(frozen=True)
class Transfers:
    """Transfers that were open when their token was revoked. `bytes_after` were sent after the acknowledgement;
    `last_at` is when the last of them ended."""

    cut: int
    finished: int
    bytes_after: int
    last_at: float | None


@dataclass(frozen=True)
class EndedStreams:
    """Streams that were open when their token was revoked. `events_after` were sent after the acknowledgement;
    `last_at` is when the last of them ended."""

    ended: int
    events_after: int
    last_at: float | None


@dataclass(frozen=True)
class Refusals:
    """Requests with the revoked tokens that were refused at one surface."""

    surface: str
    count: int
    first_at: float
    last_at: float


_TAKEN_TOKENS = (
    "accessor IN (SELECT json_extract(one.value, '$.accessor') FROM revocations, json_each(revocations.items) AS one "
    "WHERE revocations.id = :id)"
)


def insert(tx: Connection, revocation: Revocation) -> None:
    """Adds the row; `acknowledge` follows once it is committed."""
    fields = asdict(revocation)
    for name in ("selector", "in_flight", "taken", "items"):
        fields[name] = json.dumps(fields[name])
    tx.execute(
        "INSERT INTO revocations (id, selector, reason, actor, requested_at, recorded_at, last_event, tokens, "
        "jobs_queued, jobs_running, in_flight, txn, taken, items) VALUES (:id, :selector, :reason, :actor, "
        ":requested_at, :recorded_at, :last_event, :tokens, :jobs_queued, :jobs_running, :in_flight, :txn, :taken, "
        ":items)",
        fields,
    )


def acknowledge(tx: Connection, id: str, at: float) -> None:
    """Notes from when on nobody could miss it."""
    tx.execute("UPDATE revocations SET acknowledged_at = :at WHERE id = :id", {"id": id, "at": at})


def acknowledged_at(tx: Connection, id: str) -> float | None:
    """When a revocation was in force for everybody; None where that was not noted."""
    row = tx.fetch_one("SELECT acknowledged_at FROM revocations WHERE id = :id", {"id": id})
    return row["acknowledged_at"] if row else None


def get(tx: Connection, id: str) -> Revocation | None:
    """One revocation."""
    row = tx.fetch_one("SELECT * FROM revocations WHERE id = :id", {"id": id})
    return _revocation(row) if row else None


def newest(tx: Connection, limit: int) -> list[Revocation]:
    """The latest revocations, newest first."""
    rows = tx.fetch_all("SELECT * FROM revocations ORDER BY recorded_at DESC LIMIT :limit", {"limit": limit})
    return [_revocation(row) for row in rows]


def spared_jobs(tx: Connection, id: str) -> SparedJobs:
    """What became of the jobs that this revocation spared."""
    row = tx.fetch_one(
        "SELECT count(*) FILTER (WHERE status = 'queued') AS waiting, "
        "count(*) FILTER (WHERE status = 'in_progress') AS running, "
        "count(*) FILTER (WHERE status = 'completed') AS stored, "
        "count(*) FILTER (WHERE status = 'failed') AS withheld, "
        "coalesce(sum(credits) FILTER (WHERE status = 'failed'), 0) AS credits "
        f"FROM jobs WHERE {_TAKEN_TOKENS} AND revocation = :id AND spared IS NOT NULL",
        {"id": id},
    )
    return SparedJobs(*row) if row else SparedJobs(0, 0, 0, 0, 0)


def transfers(tx: Connection, revocation: Revocation) -> Transfers:
    """What became of the transfers that were open, as far as they have ended."""
    row = tx.fetch_one(
        "SELECT count(*) FILTER (WHERE kind = 'transfer.cut') AS cut, "
        "count(*) FILTER (WHERE kind = 'transfer.finished') AS finished, "
        "sum(CAST(json_extract(data, '$.bytes_after') AS BIGINT)) AS bytes_after, max(at) AS last_at "
        f"FROM events WHERE {AFTERWARDS} AND kind IN ('transfer.cut', 'transfer.finished') "
        f"AND seq > :since AND {_TAKEN_TOKENS}",
        {"id": revocation.id, "since": revocation.last_event},
    )
    if row is None:
        return Transfers(0, 0, 0, None)
    return Transfers(row["cut"], row["finished"], row["bytes_after"] or 0, row["last_at"])


def streams(tx: Connection, revocation: Revocation) -> EndedStreams:
    """What became of the streams that were open, as far as they have ended."""
    row = tx.fetch_one(
        "SELECT count(*) AS n, sum(CAST(json_extract(data, '$.events_after') AS BIGINT)) AS events_after, "
        f"max(at) AS last_at FROM events WHERE {AFTERWARDS} "
        f"AND kind = 'stream.ended' AND seq > :since AND {_TAKEN_TOKENS}",
        {"id": revocation.id, "since": revocation.last_event},
    )
    return EndedStreams(row["n"], row["events_after"] or 0, row["last_at"]) if row else EndedStreams(0, 0, None)


def refusals(tx: Connection, revocation: Revocation) -> list[Refusals]:
    """Refused requests since, by surface, the most frequent first."""
    rows = tx.fetch_all(
        "SELECT json_extract(data, '$.surface') AS surface, count(*) AS n, min(at) AS first_at, max(at) AS last_at "
        f"FROM events WHERE {AFTERWARDS} AND kind = 'request.refused' AND seq > :since AND {_TAKEN_TOKENS} "
        "GROUP BY surface ORDER BY n DESC, surface",
        {"id": revocation.id, "since": revocation.last_event},
    )
    return [Refusals(row["surface"], row["n"], row["first_at"], row["last_at"]) for row in rows]


def delete_all(tx: Connection) -> int:
    """Forgets every revocation; only a reset does this."""
    return tx.execute("DELETE FROM revocations")


def _revocation(row: Row) -> Revocation:
    fields = dict(row)
    fields["acknowledged_at"] = row["recorded_at"] if row["acknowledged_at"] is None else row["acknowledged_at"]
    fields["selector"] = json.loads(row["selector"])
    fields["in_flight"] = InFlight(**json.loads(row["in_flight"]))
    fields["taken"] = Taken(**json.loads(row["taken"]))
    fields["items"] = tuple(RevokedItem(**item) for item in json.loads(row["items"]))
    return Revocation(**fields)
