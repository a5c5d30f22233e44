"""The engine's own tables: Procrastinate's schema in ours, created with our tables and checked at each start."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gateway.errors import OperatorError
from gateway.store.protocol import Connection


class Session(Connection, Protocol):
    """A connection that runs scripts too."""

    @property
    def where(self) -> str: ...

    def command(self, sql: str) -> str: ...


def version() -> str:
    """The version of the engine's schema: the name of the last step that led to it."""
    from procrastinate.schema import SchemaManager

    return max(path.stem for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def create_engine_tables(connection: Session) -> None:
    """Creates them, and notes their version."""
    from procrastinate.schema import SchemaManager

    connection.command(SchemaManager.get_schema())
    connection.execute("INSERT INTO engine_version (version) VALUES (:version)", {"version": version()})


def ensure_engine_tables(connection: Session) -> None:
    """Raises OperatorError where they are missing, or not those that the installed engine works with."""
    row = connection.fetch_one(
        "SELECT (SELECT max(version) FROM engine_version) AS version, to_regclass('procrastinate_jobs') AS jobs, "
        "to_regproc('procrastinate_fetch_job_v2') AS fetch, to_regproc('procrastinate_defer_jobs_v1') AS defer"
    )
    found = row["version"] if row else None
    if row is None or found is None or None in (row["jobs"], row["fetch"], row["defer"]):
        raise OperatorError(
            f"{connection.where} lacks tables or functions of Procrastinate, which delivers the jobs; "
            "name an empty database in LEAKDRILL_DATABASE_URL, where they are made"
        )
    if found != version():
        raise OperatorError(
            f"{connection.where} has Procrastinate's tables as of {found}, the installed Procrastinate works with "
            f"those as of {version()}; install the same version everywhere, or name an empty database in "
            "LEAKDRILL_DATABASE_URL"
        )


# The server does so by itself once a minute, long after a burst: until then it plans as if the tables were empty.
_CHANGED = """
    SELECT relname AS name FROM pg_stat_user_tables WHERE schemaname = current_schema()
    AND relname IN ('jobs', 'tokens', 'procrastinate_jobs') AND n_mod_since_analyze > 1000 + n_live_tup / 2
"""


def changed_tables(tx: Connection) -> list[str]:
    """Tables of the queue whose statistics are of long ago, by what has changed since."""
    return [row["name"] for row in tx.fetch_all(_CHANGED)] if tx.delivered else []


def analyse(tx: Connection) -> None:
    """Renews them."""
    for name in changed_tables(tx):
        tx.execute(f"ANALYZE {name}")
