"""Revocation rows, and what the other tables say of one afterwards."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

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


@dataclass(frozen=True)
class Revocation:
    """One revocation. Times are Unix seconds; `tokens` counts the tokens that it changed, `jobs_queued` and
    `jobs_running` those that it stopped."""

    id: str
    selector: dict[str, object]
    reason: str
    actor: str
    requested_at: float
    acknowledged_at: float
    tokens: int
    jobs_queued: int
    jobs_running: int
    in_flight: InFlight
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
    """Adds the row."""
    fields = asdict(revocation)
    for name in ("selector", "in_flight", "taken", "items"):
        fields[name] = json.dumps(fields[name])
    tx.execute(
        "INSERT INTO revocations (id, selector, reason, actor, requested_at, acknowledged_at, tokens, jobs_queued, "
        "jobs_running, in_flight, taken, items) VALUES (:id, :selector, :reason, :actor, :requested_at, "
        ":acknowledged_at, :tokens, :jobs_queued, :jobs_running, :in_flight, :taken, :items)",
        fields,
    )


def get(tx: Connection, id: str) -> Revocation | None:
    """One revocation."""
    row = tx.fetch_one("SELECT * FROM revocations WHERE id = :id", {"id": id})
    return _revocation(row) if row else None


def newest(tx: Connection, limit: int) -> list[Revocation]:
    """The latest revocations, newest first."""
    rows = tx.fetch_all("SELECT * FROM revocations ORDER BY acknowledged_at DESC LIMIT :limit", {"limit": limit})
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
        "sum(json_extract(data, '$.bytes_after')) AS bytes_after, max(at) AS last_at FROM events "
        "WHERE kind IN ('request.refused', 'transfer.cut', 'transfer.finished') AND kind <> 'request.refused' "
        f"AND at >= :since AND {_TAKEN_TOKENS}",
        {"id": revocation.id, "since": revocation.acknowledged_at},
    )
    if row is None:
        return Transfers(0, 0, 0, None)
    return Transfers(row["cut"], row["finished"], row["bytes_after"] or 0, row["last_at"])


def refusals(tx: Connection, revocation: Revocation) -> list[Refusals]:
    """Refused requests since, by surface, the most frequent first."""
    rows = tx.fetch_all(
        "SELECT json_extract(data, '$.surface') AS surface, count(*) AS n, min(at) AS first_at, max(at) AS last_at "
        "FROM events WHERE kind IN ('request.refused', 'transfer.cut', 'transfer.finished') "
        f"AND kind = 'request.refused' AND at >= :since AND {_TAKEN_TOKENS} "
        "GROUP BY surface ORDER BY n DESC, surface",
        {"id": revocation.id, "since": revocation.acknowledged_at},
    )
    return [Refusals(row["surface"], row["n"], row["first_at"], row["last_at"]) for row in rows]


def delete_all(tx: Connection) -> int:
    """Forgets every revocation; only a reset does this."""
    return tx.execute("DELETE FROM revocations")


def _revocation(row: Row) -> Revocation:
    fields = dict(row)
    fields["selector"] = json.loads(row["selector"])
    fields["in_flight"] = InFlight(**json.loads(row["in_flight"]))
    fields["taken"] = Taken(**json.loads(row["taken"]))
    fields["items"] = tuple(RevokedItem(**item) for item in json.loads(row["items"]))
    return Revocation(**fields)
