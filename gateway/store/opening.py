"""Opens the database that the settings name."""

from __future__ import annotations

from pathlib import Path

from gateway import extras
from gateway.store.protocol import Store
from gateway.store.sqlite import open_sqlite


def open_store(place: Path | str) -> Store:
    """Opens or creates the database: a SQLite file, or the PostgreSQL database behind a URL.

    Raises OperatorError where that cannot be done.
    """
    if isinstance(place, Path):
        return open_sqlite(place)
    ensure_driver()
    from gateway.store.postgres import open_postgres

    return open_postgres(place)


def ensure_driver() -> None:
    """Raises OperatorError where the extra `postgres` is not installed: the driver, and the queue's engine."""
    extras.ensure("postgres", "PostgreSQL")
