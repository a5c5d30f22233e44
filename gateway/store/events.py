"""The event list: append, read, follow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.events import GENESIS, Event, EventKind, canonical, chain_hash
from gateway.store import exercise
from gateway.store.protocol import ChainEnd, Connection, Row, named

#: What is told of a token after its end; an index holds these, and is used where the condition is spelled like this.
AFTERWARDS = "kind IN ('request.refused', 'transfer.cut', 'transfer.finished', 'stream.ended')"


@dataclass(frozen=True)
class Entry:
    """What a line of the list tells, before it has its place in the list. `at` is Unix seconds."""

    kind: EventKind
    at: float
    actor: str
    accessor: str | None = None
    job: str | None = None
    data: Mapping[str, object] | None = None


_COLUMNS = ("at", "replay_at", "kind", "actor", "accessor", "job", "data", "previous", "hash")
_INTO = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES "
_APPEND = f"{_INTO}({', '.join(f':{name}' for name in _COLUMNS)})"
_TOGETHER = 32  # lines in one statement


def append(
    tx: Connection,
    kind: EventKind,
    *,
    at: float,
    actor: str,
    accessor: str | None = None,
    job: str | None = None,
    data: Mapping[str, object] | None = None,
) -> None:
    """Adds one line in the caller's transaction: where the line cannot be written, the change does not happen."""
    row, end = _chained(tx.chain_end or _chain_end(tx), Entry(kind, at, actor, accessor, job, data))
    tx.insert(_APPEND, row)
    tx.chain_end = end


def append_all(tx: Connection, entries: Sequence[Entry]) -> None:
    """Adds several lines in this order; the same, in fewer statements."""
    for start in range(0, len(entries), _TOGETHER):
        end, rows = tx.chain_end or _chain_end(tx), []
        for entry in entries[start : start + _TOGETHER]:
            row, end = _chained(end, entry)
            rows.append(row)
        tx.execute(_append_so_many(len(rows)), named(rows))
        tx.chain_end = end


@lru_cache(maxsize=_TOGETHER)
def _append_so_many(number: int) -> str:
    return _INTO + ", ".join(f"({', '.join(f':{name}{at}' for name in _COLUMNS)})" for at in range(number))


def _chained(end: ChainEnd, entry: Entry) -> tuple[dict[str, object], ChainEnd]:
    """The entry's row where the list ends so, and how it ends then."""
    replay_at = end.clock.iso(entry.at) if end.clock else None
    name, text = str(entry.kind), canonical(entry.data or {})
    own = chain_hash(
        end.hash,
        at=entry.at,
        replay_at=replay_at,
        kind=name,
        actor=entry.actor,
        accessor=entry.accessor,
        job=entry.job,
        data=text,
    )
    row: dict[str, object] = {
        "at": entry.at,
        "replay_at": replay_at,
        "kind": name,
        "actor": entry.actor,
        "accessor": entry.accessor,
        "job": entry.job,
        "data": text,
        "previous": end.hash,
        "hash": own,
    }
    return row, ChainEnd(own, end.clock)


#: Where the list ends, and the clock of its next line, in one statement: this runs inside every change.
END = "SELECT (SELECT hash FROM events ORDER BY seq DESC LIMIT 1) AS hash, exercise.* FROM exercise WHERE id = 1"


def _chain_end(tx: Connection) -> ChainEnd:
    row = tx.fetch_one(END)
    if row is None:
        raise LookupError("the exercise row is missing")
    return chain_end_of(row)


def chain_end_of(row: Row) -> ChainEnd:
    """From a row of `END`."""
    return ChainEnd(row["hash"] or GENESIS, exercise.clock_of(row))


def page(tx: Connection, *, after: int, limit: int, kind: str = "") -> list[Event]:
    """Events with `seq` above `after`, oldest first; `kind` is a prefix such as `job.`"""
    rows = tx.fetch_all(
        "SELECT * FROM events WHERE seq > :after AND substr(kind, 1, length(:kind)) = :kind ORDER BY seq LIMIT :limit",
        {"after": after, "limit": limit, "kind": kind},
    )
    return [_event(row) for row in rows]


def first_of_job(tx: Connection, ending: str) -> Event | None:
    """How the job whose id ends with `ending` came in; the list is walked, which is fine for a rare question."""
    row = tx.fetch_one(
        "SELECT * FROM events WHERE kind = 'job.queued' AND length(job) >= length(:ending) "
        "AND substr(job, length(job) - length(:ending) + 1) = :ending ORDER BY seq LIMIT 1",
        {"ending": ending},
    )
    return _event(row) if row else None


def first_of_token(tx: Connection, accessor: str) -> Event | None:
    """How the token was issued."""
    row = tx.fetch_one(
        "SELECT * FROM events WHERE kind = 'token.issued' AND accessor = :accessor ORDER BY seq LIMIT 1",
        {"accessor": accessor},
    )
    return _event(row) if row else None


def first_misuse(tx: Connection, accessor: str, since: float) -> float | None:
    """When the first request was refused because the token is revoked, Unix seconds; None for never."""
    row = tx.fetch_one(
        f"SELECT min(at) AS at FROM events WHERE {AFTERWARDS} "
        "AND kind = 'request.refused' AND accessor = :accessor AND at >= :since "
        "AND json_extract(data, '$.reason') = 'revoked'",
        {"accessor": accessor, "since": since},
    )
    return row["at"] if row else None


def end_of_job(tx: Connection, job: str) -> int | None:
    """The number of the event that tells how the job ended; None where there is none."""
    row = tx.fetch_one(
        "SELECT max(seq) AS seq FROM events "
        "WHERE kind IN ('job.completed', 'job.failed', 'job.cancelled') AND job = :job",
        {"job": job},
    )
    return row["seq"] if row else None


def last_seq(tx: Connection) -> int:
    """The number of the newest event, 0 where there is none."""
    row = tx.fetch_one("SELECT max(seq) AS seq FROM events")
    return (row["seq"] or 0) if row else 0


def _event(row: Row) -> Event:
    return Event(
        seq=row["seq"],
        at=row["at"],
        replay_at=row["replay_at"],
        kind=row["kind"],
        actor=row["actor"],
        accessor=row["accessor"],
        job=row["job"],
        data=json.loads(row["data"]),
        previous=row["previous"],
        hash=row["hash"],
    )
