"""How a database that an earlier version made becomes one of this version: steps, one a version, in plain SQL.

They are written in the words of `schema`, which `dialect` translates, and are run in order in one transaction; a step
that has been published is never changed. Whatever a step adds stands in `schema` as well, for databases that are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import OperatorError
from gateway.store.schema import VERSION

OLDEST = 6  # before, one number stood for more than one schema


@dataclass(frozen=True)
class Step:
    """What leads to `version` from the one before, and what for. Statements end with `;` and a new line."""

    version: int
    what_for: str
    sql: str


STEPS: tuple[Step, ...] = (
    Step(
        7,
        "a job remembers the trace of the request that asked for it, and the time it was given; injects have states",
        "ALTER TABLE jobs ADD COLUMN traceparent TEXT;\n"
        "ALTER TABLE jobs ADD COLUMN hold REAL;\n"
        "ALTER TABLE exercise ADD COLUMN injects TEXT;\n",
    ),
)


def steps_from(where: str, version: int, steps: Sequence[Step] = STEPS) -> list[Step]:
    """What is left to do for a database of `version`; raises OperatorError where that cannot be done, or was done by a
    newer leakdrill."""
    newest = steps[-1].version
    if version > newest:
        raise OperatorError(
            f"{where} has schema version {version}, which a newer leakdrill made; this one reads {newest}. Install "
            "that version again, or name another database: LEAKDRILL_DATA or LEAKDRILL_DATABASE_URL"
        )
    if version < OLDEST:
        raise OperatorError(
            f"{where} has schema version {version}; this leakdrill reads {newest}, and brings along databases from "
            f"{OLDEST} on. Move it away, or name another database: LEAKDRILL_DATA or LEAKDRILL_DATABASE_URL"
        )
    return [step for step in steps if step.version > version]


def ensure_current(where: str, version: int) -> None:
    """Raises OperatorError unless a database of `version` is one of this leakdrill's."""
    if steps_from(where, version):
        raise OperatorError(
            f"{where} has schema version {version}, this leakdrill reads {VERSION}; stop what uses it and run: "
            "leakdrill database migrate (on SQLite a gateway does so at its start)"
        )
