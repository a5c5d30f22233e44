"""What is old enough to go: clips whose time is over, and rows that only tell of what is long past."""

from __future__ import annotations

from gateway.store.protocol import Connection

AT_ONCE = 500  # rows in one transaction, which others wait for


def clips_expired(tx: Connection, after: float, until: float) -> list[tuple[str, float]]:
    """Files of clips whose time ended after the one moment and not after the other, and when: the first AT_ONCE, and
    whatever expired at the same moment as the last of them."""
    rows = tx.fetch_all(
        "SELECT file, expires_at FROM jobs WHERE status = 'completed' AND file IS NOT NULL AND expires_at > :after "
        "AND expires_at <= coalesce((SELECT max(expires_at) FROM (SELECT expires_at FROM jobs "
        "WHERE status = 'completed' AND file IS NOT NULL AND expires_at > :after AND expires_at <= :until "
        "ORDER BY expires_at LIMIT :limit) AS first), :after) ORDER BY expires_at",
        {"after": after, "until": until, "limit": AT_ONCE},
    )
    return [(row["file"], row["expires_at"]) for row in rows]


def drop_jobs(tx: Connection, before: float) -> list[str]:
    """Deletes jobs that ended before that moment; the files of their clips. Jobs that were paid for stay: an account's
    balance is added up from them."""
    rows = tx.fetch_all(
        "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE status IN ('completed', 'failed') "
        "AND completed_at < :before AND account IS NULL ORDER BY seq LIMIT :limit) "
        "RETURNING coalesce(file, '') AS file",
        {"before": before, "limit": AT_ONCE},
    )
    return [row["file"] for row in rows]


def drop_deliveries(tx: Connection, before: float) -> int:
    """Deletes deliveries to webhooks that ended before that moment; how many."""
    return tx.execute(
        "DELETE FROM webhook_deliveries WHERE seq IN (SELECT seq FROM webhook_deliveries "
        "WHERE state <> 'pending' AND ended_at < :before ORDER BY seq LIMIT :limit)",
        {"before": before, "limit": AT_ONCE},
    )


def drop_signals(tx: Connection, before: float) -> int:
    """The same of security events to sinks."""
    return tx.execute(
        "DELETE FROM signals WHERE seq IN (SELECT seq FROM signals "
        "WHERE state <> 'pending' AND ended_at < :before ORDER BY seq LIMIT :limit)",
        {"before": before, "limit": AT_ONCE},
    )
