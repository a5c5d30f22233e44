"""All SQL. A `Store` runs one function in one transaction; the functions beside it hold the statements."""

from gateway.store.opening import open_store
from gateway.store.protocol import Connection, Row, Store
from gateway.store.sqlite import SQLiteStore, open_sqlite

__all__ = ["Connection", "Row", "SQLiteStore", "Store", "open_sqlite", "open_store"]
