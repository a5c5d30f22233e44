"""How tokens were used: by surface and by gateway, and what of it came after a revocation."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from gateway.store.events import AFTERWARDS
from gateway.store.protocol import Connection

# What a revocation ended: the tokens that it took, and whatever they minted, an escaped child too.
_ENDED = (
    "WITH RECURSIVE ended (accessor) AS (SELECT accessor FROM tokens WHERE revocation = :id "
    "UNION SELECT child.accessor FROM tokens AS child JOIN ended ON child.parent = ended.accessor) "
)


@dataclass(frozen=True)
class Use:
    """Accepted uses at one surface of one gateway. `last_accepted_at` is when the last of these requests began, Unix
    seconds; `late` of them began after the revocation was acknowledged."""

    surface: str
    replica: str
    accepted: int
    late: int
    last_accepted_at: float


@dataclass(frozen=True)
class Refused:
    """Requests that were refused at one surface of one gateway after a revocation."""

    surface: str
    replica: str
    count: int
    first_at: float


def add(tx: Connection, accessor: str, use: Use) -> None:
    """Adds to what is known of a token; does nothing for one that is not there any more."""
    tx.execute(
        "INSERT INTO token_uses (accessor, surface, replica, accepted, late, last_accepted_at) "
        "SELECT accessor, :surface, :replica, :accepted, :late, :last_accepted_at FROM tokens "
        "WHERE accessor = :accessor "
        "ON CONFLICT (accessor, surface, replica) DO UPDATE SET "
        "accepted = token_uses.accepted + excluded.accepted, late = token_uses.late + excluded.late, "
        "last_accepted_at = CASE WHEN token_uses.last_accepted_at > excluded.last_accepted_at "
        "THEN token_uses.last_accepted_at ELSE excluded.last_accepted_at END",
        {"accessor": accessor, **vars(use)},
    )


def acknowledgements(tx: Connection, accessors: Collection[str]) -> dict[str, float | None]:
    """When the end of each token, or of one above it, was acknowledged; None where that is under way. Tokens that no
    revocation has ended are left out."""
    rows = tx.fetch_all(
        "WITH RECURSIVE line (accessor, above) AS (SELECT accessor, accessor FROM tokens "
        "WHERE accessor IN (SELECT value FROM json_each(:accessors)) "
        "UNION SELECT line.accessor, tokens.parent FROM line JOIN tokens ON tokens.accessor = line.above "
        "WHERE tokens.parent IS NOT NULL) "
        "SELECT line.accessor AS accessor, min(revocations.acknowledged_at) AS at FROM line "
        "JOIN tokens ON tokens.accessor = line.above JOIN revocations ON revocations.id = tokens.revocation "
        "GROUP BY line.accessor",
        {"accessors": json.dumps(list(accessors))},
    )
    return {row["accessor"]: row["at"] for row in rows}


def of_token(tx: Connection, accessor: str) -> list[Use]:
    """One token's uses, the latest first."""
    rows = tx.fetch_all(
        "SELECT surface, replica, accepted, late, last_accepted_at FROM token_uses WHERE accessor = :accessor "
        "ORDER BY last_accepted_at DESC, surface, replica",
        {"accessor": accessor},
    )
    return [Use(**dict(row)) for row in rows]


def of_ended(tx: Connection, revocation: str) -> list[Use]:
    """The uses of everything that a revocation ended, before and after."""
    rows = tx.fetch_all(
        f"{_ENDED} SELECT surface, replica, sum(accepted) AS accepted, sum(late) AS late, "
        "max(last_accepted_at) AS last_accepted_at FROM token_uses JOIN ended USING (accessor) "
        "GROUP BY surface, replica",
        {"id": revocation},
    )
    return [Use(**dict(row)) for row in rows]


def refused_after(tx: Connection, revocation: str, last_event: int) -> list[Refused]:
    """Refused requests of everything that it ended, since the event `last_event`."""
    rows = tx.fetch_all(
        f"{_ENDED} SELECT json_extract(data, '$.use') AS surface, json_extract(data, '$.replica') AS replica, "
        f"count(*) AS count, min(at) AS first_at FROM events JOIN ended USING (accessor) WHERE {AFTERWARDS} "
        "AND kind = 'request.refused' AND seq > :since GROUP BY 1, 2",
        {"id": revocation, "since": last_event},
    )
    return [Refused(**dict(row)) for row in rows]


def bytes_after(tx: Connection, revocation: str, last_event: int) -> dict[tuple[str, str], int]:
    """Bytes that were sent after the revocation, by surface and gateway."""
    rows = tx.fetch_all(
        f"{_ENDED} SELECT json_extract(data, '$.use') AS surface, json_extract(data, '$.replica') AS replica, "
        "sum(CAST(json_extract(data, '$.bytes_after') AS BIGINT)) AS bytes "
        f"FROM events JOIN ended USING (accessor) WHERE {AFTERWARDS} "
        "AND kind IN ('transfer.cut', 'transfer.finished') AND seq > :since GROUP BY 1, 2",
        {"id": revocation, "since": last_event},
    )
    return {(row["surface"], row["replica"]): row["bytes"] for row in rows}


def delete_all(tx: Connection) -> int:
    """Forgets every use; only a reset does this."""
    return tx.execute("DELETE FROM token_uses")
