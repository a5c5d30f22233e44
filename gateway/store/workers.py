"""Which workers there are."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.protocol import Connection

#: How gateways and workers understand the rows of jobs and the messages about them. Raised whenever one of before would
#: misread what one of after writes; they do not work side by side then.
PROTOCOL = 1
SILENCE_SECONDS = 5.0  # after which a worker counts as gone


@dataclass(frozen=True)
class Worker:
    """A worker process. Times are Unix seconds; `version` is the program's, `protocol` as `PROTOCOL`."""

    name: str
    host: str
    pid: int
    slots: int
    started_at: float
    heartbeat_at: float
    protocol: int = PROTOCOL
    version: str = ""


def register(tx: Connection, worker: Worker) -> None:
    """A worker starts; an old row of the same name is replaced."""
    tx.execute(
        "INSERT INTO workers (name, host, pid, slots, started_at, heartbeat_at, stopped_at, protocol, version) "
        "VALUES (:name, :host, :pid, :slots, :started_at, :heartbeat_at, NULL, :protocol, :version) "
        "ON CONFLICT (name) DO UPDATE SET host = excluded.host, pid = excluded.pid, slots = excluded.slots, "
        "started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, stopped_at = NULL, "
        "protocol = excluded.protocol, version = excluded.version",
        vars(worker),
    )


def beat(tx: Connection, name: str, now: float) -> None:
    """A worker says that it lives."""
    tx.execute("UPDATE workers SET heartbeat_at = :now WHERE name = :name", {"now": now, "name": name})


def stop(tx: Connection, name: str, now: float) -> None:
    """A worker leaves."""
    tx.execute("UPDATE workers SET stopped_at = :now WHERE name = :name", {"now": now, "name": name})


def alive(tx: Connection, since: float) -> list[Worker]:
    """Workers heard of at or after `since` that have not said goodbye."""
    rows = tx.fetch_all(
        "SELECT name, host, pid, slots, started_at, heartbeat_at, protocol, version FROM workers "
        "WHERE stopped_at IS NULL AND heartbeat_at >= :since ORDER BY name",
        {"since": since},
    )
    return [Worker(**dict(row)) for row in rows]
