"""What a token is: its row as a value, how that may be read, and which rows are meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


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
    parent: str | None = None  # the accessor of the token that minted it
    account: str | None = None  # whose credits its videos cost; None where it is unmetered

    def expired(self, now: float) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now

    def accepted(self, now: float) -> bool:
        """Whether a request that carries it passes the bearer check."""
        return self.state in (TokenState.ACTIVE, TokenState.QUARANTINED) and not self.expired(now)

    def shown_state(self, now: float) -> str:
        """The state as people read it, `expired` included."""
        return "expired" if self.state is not TokenState.REVOKED and self.expired(now) else str(self.state)


_FIELDS = tuple(one.name for one in fields(Token))
COLUMNS = ", ".join(_FIELDS)
STATE = {str(state): state for state in TokenState}


@dataclass(frozen=True)
class Reading:
    """How a row's state is read: an SQL expression over it, and its parameters."""

    state: str = "state"
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def columns(self) -> str:
        """`COLUMNS`, with the state as it is read."""
        return COLUMNS if self.state == "state" else _COLUMNS_BUT_STATE.replace(":state:", self.state)


AS_IT_IS = Reading()
_COLUMNS_BUT_STATE = COLUMNS.replace(" state,", " :state: AS state,")


def as_of(moment: float) -> Reading:
    """As the row was at `moment`, Unix seconds, as far back as its last change."""
    return Reading("CASE WHEN changed_at > :as_of THEN previous_state ELSE state END", {"as_of": moment})


#: Whatever was done to it since it was issued.
AS_ISSUED = Reading("'active'")


def forgiving(seconds: float) -> Reading:
    """A revocation does not hold for what was issued up to `seconds` before it."""
    return Reading(
        "CASE WHEN state = 'revoked' AND created_at + :tolerance >= revoked_at THEN 'active' ELSE state END",
        {"tolerance": seconds},
    )


@dataclass(frozen=True)
class TokenFilter:
    """Which tokens: every field that is given must match. `fingerprint` is the SHA-256 of the secret, hexadecimal."""

    secret_hash: bytes | None = None
    accessor: str | None = None
    principal: str | None = None
    cohort: str | None = None
    label: str | None = None
    fingerprint: str | None = None
    issued_before: float | None = None
    state: TokenState | None = None

    def where(self) -> str:
        """The SQL condition; its parameters are `params()`."""
        conditions = {
            "secret_hash": "secret_hash = :secret_hash",
            "accessor": "accessor = :accessor",
            "principal": "principal = :principal",
            "cohort": "cohort = :cohort",
            "label": "EXISTS (SELECT 1 FROM json_each(tokens.labels) AS one WHERE one.value = :label)",
            "fingerprint": "fingerprint = :fingerprint",
            "issued_before": "created_at < :issued_before",
            "state": "state = :state",
        }
        given = [sql for name, sql in conditions.items() if getattr(self, name) is not None]
        return " AND ".join(given) or "1 = 1"

    def tree(self) -> str:
        """The same condition, which also holds for whatever those tokens minted, at any depth."""
        if self.where() == "1 = 1":
            return "1 = 1"
        return (
            f"accessor IN (WITH RECURSIVE tree (accessor) AS (SELECT accessor FROM tokens WHERE {self.where()} "
            "UNION SELECT child.accessor FROM tokens AS child JOIN tree ON child.parent = tree.accessor) "
            "SELECT accessor FROM tree)"
        )

    def params(self) -> dict[str, object]:
        """Named parameters for `where()`."""
        return {**vars(self), "state": str(self.state) if self.state else None}


def token_of(row: Iterable[Any]) -> Token:
    """From a row of `COLUMNS`, by place."""
    # Past `__init__`, which sets the fields of a frozen value one by one: every request reads a token.
    token = object.__new__(Token)
    values = token.__dict__
    values.update(zip(_FIELDS, row, strict=True))
    labels = values["labels"]
    values["scopes"], values["state"] = tuple(values["scopes"].split()), STATE[values["state"]]
    values["labels"] = () if labels == "[]" else tuple(json.loads(labels))
    return token
