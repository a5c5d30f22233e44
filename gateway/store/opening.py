"""Opens the database that the settings name."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from gateway.errors import OperatorError
from gateway.store.protocol import Store
from gateway.store.sqlite import open_sqlite

INSTALL = 'pip install "leakdrill[postgres]"'


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
    for package in ("psycopg", "procrastinate"):
        try:
            found = find_spec(package) is not None
        except ValueError:  # it is there, but was not imported from a file
            found = True
        if not found:
            raise OperatorError(f"PostgreSQL needs {package}, which is not installed; install it with: {INSTALL}")
