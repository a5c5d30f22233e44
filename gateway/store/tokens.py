"""Token rows."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import replace

from gateway.store import defects
from gateway.store.defects import Defect
from gateway.store.protocol import Connection, Row
from gateway.store.token import (
    AS_ISSUED,
    AS_IT_IS,
    COLUMNS,
    STATE,
    Reading,
    Token,
    TokenFilter,
    TokenState,
    as_of,
    forgiving,
    token_of,
)

# What a token is can be had from here too, beside what is done with it.
__all__ = [
    "AS_ISSUED",
    "AS_IT_IS",
    "Reading",
    "Token",
    "TokenFilter",
    "TokenState",
    "as_of",
    "forgiving",
    "token_of",
]

MAX_DEPTH = 3  # generations below a token that an operator issued
_SEVERITY = {state: number for number, state in enumerate(TokenState)}

#: For queries that join `tokens`: its row and those of all that minted it are good, whatever the time.
GOOD = """
    (tokens.state IN ('active', 'quarantined') AND (tokens.parent IS NULL OR NOT EXISTS (
        WITH RECURSIVE above (accessor) AS (
            SELECT tokens.parent
            UNION SELECT up.parent FROM tokens AS up JOIN above USING (accessor) WHERE up.parent IS NOT NULL)
        SELECT 1 FROM tokens AS up JOIN above USING (accessor) WHERE up.state NOT IN ('active', 'quarantined'))))
"""


def insert(tx: Connection, token: Token, secret_hash: bytes, fingerprint: str, *, in_flight: int | None = None) -> None:
    """Adds a new row. `in_flight` is what a worker's claim reads: how many of its jobs may be rendered at once."""
    tx.execute(
        "INSERT INTO tokens (accessor, secret_hash, fingerprint, principal, cohort, scopes, labels, tier, in_flight, "
        "state, created_at, expires_at, parent, account) VALUES (:accessor, :secret_hash, :fingerprint, :principal, "
        ":cohort, :scopes, :labels, :tier, :in_flight, :state, :created_at, :expires_at, :parent, :account)",
        {
            "accessor": token.accessor,
            "secret_hash": secret_hash,
            "fingerprint": fingerprint,
            "principal": token.principal,
            "cohort": token.cohort,
            "scopes": " ".join(token.scopes),
            "labels": json.dumps(token.labels),
            "tier": token.tier,
            "in_flight": in_flight,
            "state": str(token.state),
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "parent": token.parent,
            "account": token.account,
        },
    )


def by_hash(tx: Connection, secret_hash: bytes) -> Token | None:
    """The bearer's token, to be judged: as its row and those above it are now."""
    if tx.sight is not None and tx.sight.blurred(tx):
        return tx.sight.by_hash(tx, secret_hash)
    return seen_by_hash(tx, secret_hash)


def by_accessor(tx: Connection, accessor: str) -> Token | None:
    """The token that `accessor` names, to be judged: as its row and those above it are now."""
    if tx.sight is not None and tx.sight.blurred(tx):
        return tx.sight.by_accessor(tx, accessor)
    return seen_by_accessor(tx, accessor)


def seen_by_hash(tx: Connection, secret_hash: bytes, reading: Reading = AS_IT_IS) -> Token | None:
    """The bearer's token in that reading of its row and those above it."""
    params = {**reading.params, "hash": secret_hash}
    return _seen(tx, tx.fetch_one(f"SELECT {reading.columns} FROM tokens WHERE secret_hash = :hash", params), reading)


def seen_by_accessor(tx: Connection, accessor: str, reading: Reading = AS_IT_IS) -> Token | None:
    """The token that `accessor` names in that reading of its row and those above it."""
    params = {**reading.params, "accessor": accessor}
    return _seen(tx, tx.fetch_one(f"SELECT {reading.columns} FROM tokens WHERE accessor = :accessor", params), reading)


def _seen(tx: Connection, row: Row | None, reading: Reading) -> Token | None:
    if row is None:
        return None
    token = token_of(row)
    # What is revoked is judged by its own row, so that refusing it takes what refusing an unknown one does.
    if token.parent is None or token.state is TokenState.REVOKED or defects.on(tx, Defect.CHILD_SURVIVES):
        return token
    return _as_above(tx, token, token.parent, reading)


def stands_as(tx: Connection, token: Token) -> bool:
    """Whether the row says of state, end and scopes what `token` says, and none stands above it: one look, which costs
    less than half of reading it anew. False is no refusal; `by_accessor` tells."""
    row = tx.fetch_one(
        "SELECT 1 FROM tokens WHERE accessor = :accessor AND state = :state AND scopes = :scopes AND parent IS NULL "
        "AND (expires_at = :expires_at OR (expires_at IS NULL AND CAST(:expires_at AS REAL) IS NULL))",
        {
            "accessor": token.accessor,
            "state": token.state.value,
            "scopes": " ".join(token.scopes),
            "expires_at": token.expires_at,
        },
    )
    return row is not None


def own_row(tx: Connection, accessor: str) -> Token | None:
    """The row that `accessor` names, whatever became of the token that minted it."""
    row = tx.fetch_one(f"SELECT {COLUMNS} FROM tokens WHERE accessor = :accessor", {"accessor": accessor})
    return token_of(row) if row else None


def hash_of(tx: Connection, accessor: str) -> bytes | None:
    """By what a request finds the token that `accessor` names."""
    row = tx.fetch_one("SELECT secret_hash FROM tokens WHERE accessor = :accessor", {"accessor": accessor})
    return row["secret_hash"] if row else None


def _as_above(tx: Connection, token: Token, above: str | None, reading: Reading) -> Token:
    """The token in the worst state, and with the earliest end, of its own row and all above it. A row above that is
    not there, or a line that is longer than can be, vouches for nothing."""
    state, ends = token.state, token.expires_at
    for _ in range(MAX_DEPTH):
        params = {**reading.params, "accessor": above}
        row = tx.fetch_one(
            f"SELECT {reading.state} AS state, expires_at, parent FROM tokens WHERE accessor = :accessor", params
        )
        if row is None:
            return replace(token, state=TokenState.REVOKED)
        state = max(state, STATE[row["state"]], key=_SEVERITY.__getitem__)
        ends = min((end for end in (ends, row["expires_at"]) if end is not None), default=None)
        above = row["parent"]
        if above is None:
            return replace(token, state=state, expires_at=ends)
    return replace(token, state=TokenState.REVOKED)


def depth(tx: Connection, token: Token) -> int:
    """How many tokens stand above it."""
    above, number = token.parent, 0
    while above is not None and number <= MAX_DEPTH:
        row = own_row(tx, above)
        above, number = None if row is None else row.parent, number + 1
    return number


def count_children(tx: Connection, accessor: str, now: float) -> int:
    """How many of the tokens that it minted are neither revoked nor expired."""
    row = tx.fetch_one(
        "SELECT count(*) AS n FROM tokens WHERE parent = :accessor AND state <> 'revoked' "
        "AND (expires_at IS NULL OR expires_at > :now)",
        {"accessor": accessor, "now": now},
    )
    return row["n"] if row else 0


def find(tx: Connection, which: TokenFilter, limit: int = sys.maxsize) -> list[Token]:
    """The tokens that match, oldest first."""
    return _found(tx, which.where(), which, limit)


def find_tree(tx: Connection, which: TokenFilter) -> list[Token]:
    """The tokens that match and whatever they minted, oldest first."""
    return _found(tx, which.tree(), which, sys.maxsize)


def _found(tx: Connection, condition: str, which: TokenFilter, limit: int) -> list[Token]:
    rows = tx.fetch_all(
        f"SELECT {COLUMNS} FROM tokens WHERE {condition} ORDER BY created_at, accessor LIMIT :limit",
        {**which.params(), "limit": limit},
    )
    return [token_of(row) for row in rows]


def count_accepted_outside(tx: Connection, which: TokenFilter, now: float) -> int:
    """How many tokens that neither match nor were minted by one that does would still be accepted."""
    row = tx.fetch_one(
        f"SELECT count(*) AS n FROM tokens WHERE NOT ({which.tree()}) AND {GOOD} "
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


def set_state(tx: Connection, accessor: str, state: TokenState, *, at: float) -> None:
    """Moves one token on the ladder; revocation has its own statement."""
    tx.execute(
        "UPDATE tokens SET previous_state = state, changed_at = :at, state = :state WHERE accessor = :accessor",
        {"state": str(state), "at": at, "accessor": accessor},
    )


def revoke(tx: Connection, which: TokenFilter, *, revocation: str, reason: str, at: float, finish: bool) -> int:
    """Revokes every matching token that is not revoked yet, and whatever those minted; the number of rows changed.

    `finish` lets their open transfers run to the end. Without it, those that an earlier revocation let run end too.
    """
    meant = which.where() if defects.on(tx, Defect.CHILD_SURVIVES) else which.tree()
    if defects.on(tx, Defect.SAME_SECOND_SURVIVES):
        meant += " AND created_at < :second"
    changed = tx.execute(
        "UPDATE tokens SET previous_state = state, changed_at = :at, state = 'revoked', revoked_at = :at, "
        "revoked_reason = :reason, revocation = :revocation, "
        f"transfers = :transfers WHERE state <> 'revoked' AND {meant}",
        {
            **which.params(),
            "at": at,
            "second": math.floor(at),
            "reason": reason,
            "revocation": revocation,
            "transfers": "finish" if finish else None,
        },
    )
    if not finish:
        tx.execute(f"UPDATE tokens SET transfers = NULL WHERE transfers = 'finish' AND {which.tree()}", which.params())
    return changed


def may_transfer(tx: Connection, accessor: str, now: float) -> bool:
    """Whether a transfer that began with this token may go on: it is accepted, or was revoked so that they end by
    themselves."""
    token = by_accessor(tx, accessor)
    if token is None or token.accepted(now):
        return token is not None
    left = "SELECT 1 FROM tokens WHERE accessor = :accessor AND state = 'revoked' AND transfers = 'finish'"
    return tx.fetch_one(left, {"accessor": accessor}) is not None


def set_secret(tx: Connection, accessor: str, secret_hash: bytes, fingerprint: str) -> None:
    """Gives the token that `accessor` names another secret; the former one is unknown from now on."""
    tx.execute(
        "UPDATE tokens SET secret_hash = :hash, fingerprint = :fingerprint WHERE accessor = :accessor",
        {"accessor": accessor, "hash": secret_hash, "fingerprint": fingerprint},
    )


def touch(tx: Connection, used: Iterable[tuple[str, float]]) -> None:
    """Writes when tokens were last used: (accessor, Unix seconds)."""
    for accessor, at in used:
        tx.execute(
            "UPDATE tokens SET last_used_at = :at WHERE accessor = :accessor AND coalesce(last_used_at, 0) < :at",
            {"accessor": accessor, "at": at},
        )


def clean_up(tx: Connection, *, reason: str, at: float) -> int:
    """Revokes what has expired, and by mistake takes a token without an end for one; how many."""
    return tx.execute(
        "UPDATE tokens SET previous_state = state, changed_at = :at, state = 'revoked', revoked_at = :at, "
        "revoked_reason = :reason WHERE state <> 'revoked' AND coalesce(expires_at, 0) <= :at",
        {"at": at, "reason": reason},
    )


def delete_all(tx: Connection) -> int:
    """Forgets every token; only a reset does this."""
    return tx.execute("DELETE FROM tokens")
