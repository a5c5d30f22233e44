"""Rows and the engine's messages side by side: what is lost, doubled or left over, and its mending."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.messages import LINE, ORDER, OVERDUE, QUEUE, WAITING, WINDOW, refill_all
from gateway.store.protocol import Connection


@dataclass(frozen=True)
class Faults:
    """Jobs that wait and whose message is `lost`; messages that no row names, `doubled` ones of a job that waits or is
    rendered and those `left` of any other; jobs that wait `unsent` although they might be rendered."""

    lost: int = 0
    doubled: int = 0
    left: int = 0
    unsent: int = 0

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.left or self.unsent)


# The first of each token's line, since no others have messages. One that is handed over, or ended, leads to nothing.
_LOST = f"""
    SELECT first.seq, first.message FROM ({WAITING}) AS tokens,
    LATERAL (SELECT seq, message {LINE} {ORDER} LIMIT {2 * WINDOW}) AS first
    LEFT JOIN LATERAL (SELECT status FROM procrastinate_jobs WHERE id = first.message LIMIT 1) AS sent ON TRUE
    WHERE first.message IS NOT NULL AND coalesce(sent.status <> 'todo', TRUE)
"""
_NAMELESS = f"""
    FROM procrastinate_jobs AS sent LEFT JOIN jobs ON jobs.id = sent.args ->> 'job'
    WHERE sent.queue_name = '{QUEUE}'
    AND NOT coalesce(jobs.message = sent.id AND jobs.status IN ('queued', 'in_progress'), FALSE)
"""


def faults(tx: Connection) -> Faults:
    """What is wrong, on one snapshot."""
    if not tx.delivered:
        return Faults()
    row = tx.fetch_one(
        f"SELECT (SELECT count(*) FROM ({_LOST}) AS lost) AS lost, "
        f"(SELECT count(*) {_NAMELESS} AND jobs.status IN ('queued', 'in_progress')) AS doubled, "
        f"(SELECT count(*) {_NAMELESS} AND coalesce(jobs.status IN ('completed', 'failed'), TRUE)) AS left_over, "
        f"(SELECT count(*) {OVERDUE}) AS unsent"
    )
    return Faults(*row) if row else Faults()


def mend(tx: Connection) -> Faults:
    """Takes away the messages that no row names and sends what is missing; what was wrong."""
    found = faults(tx)
    if found:
        tx.execute(f"UPDATE jobs SET message = NULL WHERE seq IN (SELECT seq FROM ({_LOST}) AS lost)")
        tx.execute(f"DELETE FROM procrastinate_jobs WHERE id IN (SELECT sent.id {_NAMELESS})")
        refill_all(tx)
    return found
