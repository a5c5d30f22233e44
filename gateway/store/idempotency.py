"""Which job a request made, so that the same request sent again finds it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.protocol import Connection


@dataclass(frozen=True)
class Made:
    """A request and its job. `at` and `keep_until` are Unix seconds."""

    accessor: str
    key: str
    fingerprint: str
    job: str
    at: float
    keep_until: float


def get(tx: Connection, accessor: str, key: str, *, now: float) -> Made | None:
    """What stands under `key`, unless its time is over."""
    row = tx.fetch_one(
        "SELECT * FROM idempotency WHERE accessor = :accessor AND key = :key AND keep_until > :now",
        {"accessor": accessor, "key": key, "now": now},
    )
    return Made(**dict(row)) if row else None


def put(tx: Connection, made: Made) -> None:
    """Remembers a request, in place of what stood under its key."""
    tx.execute(
        "INSERT INTO idempotency (accessor, key, fingerprint, job, at, keep_until) "
        "VALUES (:accessor, :key, :fingerprint, :job, :at, :keep_until) ON CONFLICT (accessor, key) DO UPDATE SET "
        "fingerprint = excluded.fingerprint, job = excluded.job, at = excluded.at, keep_until = excluded.keep_until",
        vars(made),
    )


def any_under(tx: Connection, accessor: str, prefix: str) -> bool:
    """Whether the token has a row whose key begins so; `prefix` ends in a space."""
    row = tx.fetch_one(
        "SELECT 1 FROM idempotency WHERE accessor = :accessor AND key >= :prefix AND key < :beyond LIMIT 1",
        {"accessor": accessor, "prefix": prefix, "beyond": prefix[:-1] + "!"},
    )
    return row is not None


def delete_under(tx: Connection, accessor: str, prefix: str) -> int:
    """Forgets the token's rows whose key begins so; the number of rows."""
    return tx.execute(
        "DELETE FROM idempotency WHERE accessor = :accessor AND key >= :prefix AND key < :beyond",
        {"accessor": accessor, "prefix": prefix, "beyond": prefix[:-1] + "!"},
    )


def delete_old(tx: Connection, now: float) -> int:
    """Forgets what nobody may repeat any more; the number of rows."""
    return tx.execute("DELETE FROM idempotency WHERE keep_until <= :now", {"now": now})


def delete_all(tx: Connection) -> int:
    """Forgets everything; only a reset does this."""
    return tx.execute("DELETE FROM idempotency")
