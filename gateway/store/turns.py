"""Whose turn it is: the waiting jobs to claim next, passing over tokens that have as many running as they may."""

from __future__ import annotations

from gateway.store.protocol import Connection
from gateway.store.tokens import GOOD

# A job whose token was revoked may be claimed only if the revocation spared it.
_HEADS = f"""
    SELECT jobs.seq, jobs.accessor, tokens.in_flight FROM jobs JOIN tokens USING (accessor)
    WHERE jobs.status = 'queued' AND ({GOOD} OR jobs.spared IS NOT NULL)
    ORDER BY jobs.priority, jobs.turn, jobs.seq LIMIT :most
"""
_RUNNING = "SELECT count(*) AS n FROM jobs WHERE status = 'in_progress' AND accessor = :accessor"

# Hops from token to token through the index jobs_waiting_owner, so that a token at its limit with a hundred thousand
# jobs in line costs one step. Source: https://wiki.postgresql.org/wiki/Loose_indexscan
_HEAD_OF_THOSE_WITH_ROOM = f"""
    WITH RECURSIVE waiting (accessor) AS (
        SELECT min(accessor) FROM jobs WHERE status = 'queued' AND accessor > ''
        UNION ALL
        SELECT (SELECT min(accessor) FROM jobs WHERE status = 'queued' AND accessor > waiting.accessor)
        FROM waiting WHERE waiting.accessor IS NOT NULL
    ), heads (seq) AS (
        SELECT (SELECT seq FROM jobs WHERE status = 'queued' AND accessor = tokens.accessor
                ORDER BY priority, turn, seq LIMIT 1)
        FROM waiting JOIN tokens USING (accessor)
        WHERE ({GOOD} OR EXISTS (
            SELECT 1 FROM jobs WHERE status = 'queued' AND accessor = tokens.accessor AND spared IS NOT NULL))
        AND (tokens.in_flight IS NULL OR tokens.in_flight > (
            SELECT count(*) FROM jobs WHERE status = 'in_progress' AND accessor = tokens.accessor))
    )
    SELECT jobs.seq FROM heads JOIN jobs USING (seq) ORDER BY jobs.priority, jobs.turn, jobs.seq LIMIT 1
"""

MOST_COUNTED = 1025  # tokens: one with as many children alive as it may have, and then some

# Of each token no more is counted than matters, so that one with a hundred thousand jobs in line costs a few steps.
_WAITING_BELOW = """
    WITH RECURSIVE own (accessor) AS (
        SELECT accessor FROM tokens WHERE accessor = :root
        UNION ALL SELECT tokens.accessor FROM own JOIN tokens ON tokens.parent = own.accessor)
    SELECT count(*) AS tokens, coalesce(sum(n), 0) AS waiting FROM (
        SELECT (SELECT count(*) FROM (
            SELECT 1 FROM jobs WHERE status = 'queued' AND accessor = own.accessor LIMIT :number) AS few) AS n
        FROM own LIMIT :most) AS counted
"""


def next_waiting(tx: Connection, most: int) -> list[int]:
    """The `seq` of the jobs whose turn it is, `most` at most: the head of the line up to the first whose token has as
    many in flight as it may. Where that is the very first, the first one of those whose token has room. Empty where
    nobody may go."""
    found: list[int] = []
    room: dict[str, int] = {}
    for seq, accessor, in_flight in tx.fetch_all(_HEADS, {"most": most}):
        if in_flight is not None:
            left = room.get(accessor)
            left = in_flight - _in_flight(tx, accessor) if left is None else left
            if left <= 0:
                break
            room[accessor] = left - 1
        found.append(seq)
    else:
        return found
    if not found and (other := tx.fetch_one(_HEAD_OF_THOSE_WITH_ROOM)) is not None:
        found.append(other["seq"])
    return found


def _in_flight(tx: Connection, accessor: str) -> int:
    running = tx.fetch_one(_RUNNING, {"accessor": accessor})
    return running["n"] if running else 0


def at_least_waiting(tx: Connection, accessor: str, number: int) -> bool:
    """Whether the token has `number` or more jobs waiting; counts no further."""
    row = tx.fetch_one(
        "SELECT 1 FROM jobs WHERE status = 'queued' AND accessor = :accessor LIMIT 1 OFFSET :before",
        {"accessor": accessor, "before": number - 1},
    )
    return row is not None


def at_least_waiting_below(tx: Connection, root: str, number: int) -> bool:
    """Whether the token, all that it minted and all that they minted have `number` or more jobs waiting. Whoever has
    minted more than MOST_COUNTED is taken to have: the look costs no more than as many steps."""
    row = tx.fetch_one(_WAITING_BELOW, {"root": root, "number": number, "most": MOST_COUNTED})
    return row is not None and (row["tokens"] >= MOST_COUNTED or row["waiting"] >= number)


def oldest_unended(tx: Connection, accessor: str) -> str | None:
    """The id of the token's job that will make room first: the oldest that is rendered, else the first in line."""
    row = tx.fetch_one(
        "SELECT id FROM jobs WHERE status = 'in_progress' AND accessor = :accessor ORDER BY seq LIMIT 1",
        {"accessor": accessor},
    ) or tx.fetch_one(
        "SELECT id FROM jobs WHERE status = 'queued' AND accessor = :accessor ORDER BY priority, turn, seq LIMIT 1",
        {"accessor": accessor},
    )
    return row["id"] if row else None
