"""Owners' event streams that are open, in all gateways on this database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.store.protocol import Connection

#: A stream that its gateway has not vouched for in so long is gone, and its gateway with it.
SILENT_SECONDS = 5.0


@dataclass(frozen=True)
class OpenStream:
    """One stream, and the gateway that sends it."""

    id: str
    accessor: str
    replica: str


def seen(tx: Connection, present: Iterable[OpenStream], now: float) -> None:
    """A gateway says that these are open. Those that nobody has spoken for in a while go."""
    for one in present:
        tx.execute(
            "INSERT INTO open_streams (id, accessor, replica, seen_at) VALUES (:id, :accessor, :replica, :now) "
            "ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
            {**vars(one), "now": now},
        )
    tx.execute("DELETE FROM open_streams WHERE seen_at < :since", {"since": now - SILENT_SECONDS})


def closed(tx: Connection, id: str) -> None:
    """It is over."""
    tx.execute("DELETE FROM open_streams WHERE id = :id", {"id": id})


def delete_all(tx: Connection) -> int:
    """Forgets every stream; only a reset does this."""
    return tx.execute("DELETE FROM open_streams")
