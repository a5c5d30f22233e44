"""Who holds which job, and who was found silent."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.protocol import Connection

#: The worker that holds the job was found silent. `lease_until` is in seconds, and decides nothing but this.
SILENT = "lease_until = 0"


@dataclass(frozen=True)
class Lease:
    """An attempt that somebody holds. `until` changes whenever its worker speaks."""

    id: str
    attempt: int
    until: float


def held(tx: Connection) -> list[Lease]:
    """What is held, as far as nobody has been found silent."""
    rows = tx.fetch_all(
        "SELECT id, attempt, lease_until FROM jobs WHERE status = 'in_progress' AND lease_until > 0 ORDER BY seq"
    )
    return [Lease(*row) for row in rows]


def found_silent(tx: Connection, lease: Lease) -> bool:
    """Lets others take the job; False where the lease was renewed meanwhile, or the job is no longer held. A heartbeat
    that comes before anybody has taken it makes it the holder's again."""
    return bool(
        tx.execute(
            "UPDATE jobs SET lease_until = 0 "
            "WHERE id = :id AND attempt = :attempt AND lease_until = :until AND status = 'in_progress'",
            vars(lease),
        )
    )


def any_silent(tx: Connection) -> bool:
    """Whether a worker was found silent over a job."""
    return tx.fetch_one(f"SELECT 1 FROM jobs WHERE status = 'in_progress' AND {SILENT} LIMIT 1") is not None
