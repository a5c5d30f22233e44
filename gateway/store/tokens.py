"""Token rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum

from gateway.store.protocol import Connection, Row


class TokenState(StrEnum):
    """The ladder. `expired` is no row's state: it follows from `expires_at`."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"  # reads work, risky actions do not
    SUSPENDED = "suspended"  # refused, can be restored
    REVOKED = "revoked"  # refused for good; the row stays as a tombstone


@dataclass(frozen=True)
class Token:
    """What is kept of a token. The secret itself is not. Times are Unix seconds."""

    accessor: str
    principal: str
    cohort: str
    scopes: tuple[str, ...]
    labels: tuple[str, ...]
    tier: str
    state: TokenState
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    revoked_at: float | None
    revoked_reason: str | None
    revocation: str | None

    def expired(self, now: float) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now

    def accepted(self, now: float) -> bool:
        """Whether a request that carries it passes the bearer check."""
        return self.state in (TokenState.ACTIVE, TokenState.QUARANTINED) and not self.expired(now)

    def shown_state(self, now: float) -> str:
        """The state as people read it, `expired` included."""
        return "expired" if self.state is not TokenState.REVOKED and self.expired(now) else str(self.state)


COLUMNS = ", ".join(field.name for field in fields(Token))
_STATE = {str(state): state for state in TokenState}


@dataclass(frozen=True)
class TokenFilter:
    """Which tokens: every field that is given must match."""

    secret_hash: bytes | None = None
    accessor: str | None = None
    principal: str | None = None
    cohort: str | None = None
    issued_before: float | None = None
    state: TokenState | None = None

    def where(self) -> str:
        """The SQL condition; its parameters are `params()`."""
        conditions = {
            "secret_hash": "secret_hash = :secret_hash",
            "accessor": "accessor = :accessor",
            "principal": "principal = :principal",
            "cohort": "cohort = :cohort",
            "issued_before": "created_at < :issued_before",
            "state": "state = :state",
        }
        given = [sql for name, sql in conditions.items() if getattr(self, name) is not None]
        return " AND ".join(given) or "1 = 1"

    def params(self) -> dict[str, object]:
        """Named parameters for `where()`."""
        return {
            "secret_hash": self.secret_hash,
            "accessor": self.accessor,
            "principal": self.principal,
            "cohort": self.cohort,
            "issued_before": self.issued_before,
            "state": str(self.state) if self.state else None,
        }


def insert(tx: Connection, token: Token, secret_hash: bytes, *, in_flight: int | None = None) -> None:
    """Adds a new row. `in_flight` is what a worker's claim reads: how many of its jobs may be rendered at once."""
    tx.execute(
        "INSERT INTO tokens (accessor, secret_hash, principal, cohort, scopes, labels, tier, in_flight, "
        "state, created_at, expires_at) VALUES (:accessor, :secret_hash, :principal, :cohort, :scopes, :labels, :tier, "
        ":in_flight, :state, :created_at, :expires_at)",
        {
            "accessor": token.accessor,
            "secret_hash": secret_hash,
            "principal": token.principal,
            "cohort": token.cohort,
            "scopes": " ".join(token.scopes),
            "labels": json.dumps(token.labels),
            "tier": token.tier,
            "in_flight": in_flight,
            "state": str(token.state),
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        },
    )


def by_hash(tx: Connection, secret_hash: bytes) -> Token | None:
    """The bearer's row as it is now."""
    row = tx.fetch_one(f"SELECT {COLUMNS} FROM tokens WHERE secret_hash = :hash", {"hash": secret_hash})
    return token_of(row) if row else None


def by_accessor(tx: Connection, accessor: str) -> Token | None:
    """The row that `accessor` names."""
    row = tx.fetch_one(f"SELECT {COLUMNS} FROM tokens WHERE accessor = :accessor", {"accessor": accessor})
    return token_of(row) if row else None


def find(tx: Connection, which: TokenFilter, limit: int = -1) -> list[Token]:
    """The tokens that match, oldest first; a negative limit means all."""
    rows = tx.fetch_all(
        f"SELECT {COLUMNS} FROM tokens WHERE {which.where()} ORDER BY created_at, accessor LIMIT :limit",
        {**which.params(), "limit": limit},
    )
    return [token_of(row) for row in rows]


def count_accepted_outside(tx: Connection, which: TokenFilter, now: float) -> int:
    """How many tokens that do not match would still be accepted."""
    row = tx.fetch_one(
        f"SELECT count(*) AS n FROM tokens WHERE NOT ({which.where()}) AND state IN ('active', 'quarantined') "
        "AND (expires_at IS NULL OR expires_at > :now)",
        {**which.params(), "now": now},
    )
    return row["n"] if row else 0


def count_by_state(tx: Connection, now: float) -> dict[str, int]:
    """Tokens by shown state."""
    rows = tx.fetch_all(
        "SELECT CASE WHEN state <> 'revoked' AND expires_at <= :now THEN 'expired' ELSE state END AS shown, "
        "count(*) AS n FROM tokens GROUP BY shown",
        {"now": now},
    )
    return {row["shown"]: row["n"] for row in rows}


def set_state(tx: Connection, accessor: str, state: TokenState) -> None:
    """Moves one token on the ladder; revocation has its own statement."""
    tx.execute(
        "UPDATE tokens SET state = :state WHERE accessor = :accessor", {"state": str(state), "accessor": accessor}
    )


def revoke(tx: Connection, which: TokenFilter, *, revocation: str, reason: str, at: float) -> int:
    """Revokes every matching token that is not revoked yet; the number of rows changed."""
    return tx.execute(
        "UPDATE tokens SET state = 'revoked', revoked_at = :at, revoked_reason = :reason, revocation = :revocation "
        f"WHERE state <> 'revoked' AND {which.where()}",
        {**which.params(), "at": at, "reason": reason, "revocation": revocation},
    )


def touch(tx: Connection, used: Iterable[tuple[str, float]]) -> None:
    """Writes when tokens were last used: (accessor, Unix seconds)."""
    for accessor, at in used:
        tx.execute(
            "UPDATE tokens SET last_used_at = max(coalesce(last_used_at, 0), :at) WHERE accessor = :accessor",
            {"accessor": accessor, "at": at},
        )


def delete_all(tx: Connection) -> int:
    """Forgets every token; only a reset does this."""
    return tx.execute("DELETE FROM tokens")


def token_of(row: Row) -> Token:
    """From a row of `COLUMNS`, by place."""
    accessor, principal, cohort, scopes, labels, tier, state, *rest = row
    return Token(
        accessor,
        principal,
        cohort,
        tuple(scopes.split()),
        () if labels == "[]" else tuple(json.loads(labels)),
        tier,
        _STATE[state],
        *rest,
    )
