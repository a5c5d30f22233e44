"""Which database this is: a name of its own, given once."""

from __future__ import annotations

from gateway.store.protocol import Connection


def name(tx: Connection) -> str | None:
    """Its name; None before the first gateway or worker."""
    row = tx.fetch_one("SELECT name FROM deployment")
    return row["name"] if row else None


def give_name(tx: Connection, name: str) -> None:
    """Names it, unless it has a name."""
    tx.execute("INSERT INTO deployment (id, name) VALUES (1, :name) ON CONFLICT (id) DO NOTHING", {"name": name})
