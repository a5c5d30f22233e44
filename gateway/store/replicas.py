"""The gateways that share this database, what each was told to do wrong, and the notes that one of them leaves for the
others."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gateway.store.protocol import Connection, Row


@dataclass(frozen=True)
class Replica:
    """One gateway. Times are Unix seconds; `mode` is JSON text, None where it does everything right."""

    name: str
    url: str
    started_at: float
    seen_at: float
    mode: str | None


def announce(tx: Connection, name: str, url: str, at: float) -> None:
    """A gateway has started; what it was told to do holds beyond its restart."""
    tx.execute(
        "INSERT INTO replicas (name, url, started_at, seen_at) VALUES (:name, :url, :at, :at) "
        "ON CONFLICT (name) DO UPDATE SET url = :url, started_at = :at, seen_at = :at",
        {"name": name, "url": url, "at": at},
    )


def note_alive(tx: Connection, name: str, at: float) -> None:
    """It still runs."""
    tx.execute("UPDATE replicas SET seen_at = :at WHERE name = :name", {"name": name, "at": at})


def mode(tx: Connection, name: str) -> str | None:
    """What this gateway was told to do."""
    row = tx.fetch_one("SELECT mode FROM replicas WHERE name = :name", {"name": name})
    return row["mode"] if row else None


def everything(tx: Connection) -> list[Replica]:
    """All that ever started, by name."""
    return [_replica(row) for row in tx.fetch_all("SELECT * FROM replicas ORDER BY name")]


def set_mode(tx: Connection, name: str, text: str | None) -> bool:
    """Tells one what to do; False where there is no such gateway."""
    return bool(tx.execute("UPDATE replicas SET mode = :text WHERE name = :name", {"name": name, "text": text}))


def clear_modes(tx: Connection) -> None:
    """Everything right again, everywhere."""
    tx.execute("UPDATE replicas SET mode = NULL")
    tx.execute("DELETE FROM wakeups")


def leave_wakeup(tx: Connection, accessors: tuple[str, ...]) -> None:
    """A note for whoever comes first: these tokens have changed."""
    tx.execute("INSERT INTO wakeups (accessors) VALUES (:accessors)", {"accessors": json.dumps(accessors)})


def take_wakeups(tx: Connection) -> set[str]:
    """The accessors of all notes, which are gone then."""
    rows = tx.fetch_all("DELETE FROM wakeups RETURNING accessors")
    return {accessor for row in rows for accessor in json.loads(row["accessors"])}


def revoked_since(tx: Connection, moment: float) -> bool:
    """Whether anything was revoked at or after `moment`."""
    row = tx.fetch_one("SELECT 1 FROM revocations WHERE recorded_at >= :moment LIMIT 1", {"moment": moment})
    return row is not None


def _replica(row: Row) -> Replica:
    return Replica(row["name"], row["url"], row["started_at"], row["seen_at"], row["mode"])
