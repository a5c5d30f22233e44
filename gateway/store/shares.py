"""The share columns of job rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from gateway.store.protocol import Connection
from gateway.store.tokens import GOOD


class ShareState(StrEnum):
    """Whether a clip may be seen by whoever has its link. Only an approved one has a link."""

    PRIVATE = "private"
    PENDING = "pending"  # asked for; an operator decides
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True)
class Shared:
    """A clip that is, or was asked to be, shared. `live` says whether its link plays now."""

    video_id: str
    accessor: str
    principal: str
    prompt: str
    state: ShareState
    share_id: str | None
    expires_at: float | None
    live: bool


def set_state(tx: Connection, id: str, state: ShareState, share_id: str | None) -> None:
    """Moves the job's share. Without a `share_id` an earlier link is gone for good."""
    tx.execute(
        "UPDATE jobs SET share = :state, share_id = :share_id WHERE id = :id",
        {"state": str(state), "share_id": share_id, "id": id},
    )


def job_behind(tx: Connection, share_id: str) -> str | None:
    """The id of the job that this link is for, while the share is approved."""
    row = tx.fetch_one("SELECT id FROM jobs WHERE share_id = :id AND share = 'approved'", {"id": share_id})
    return row["id"] if row else None


def all_shared(tx: Connection, *, state: ShareState | None, now: float, limit: int) -> list[Shared]:
    """What is not private: what waits for a decision first, in order of arrival."""
    rows = tx.fetch_all(
        "SELECT jobs.id, jobs.accessor, tokens.principal, jobs.request, "
        "jobs.share, jobs.share_id, jobs.expires_at, (jobs.share = 'approved' AND jobs.expires_at > :now "
        f"AND {GOOD} "
        "AND (tokens.expires_at IS NULL OR tokens.expires_at > :now)) AS live "
        "FROM jobs JOIN tokens USING (accessor) "
        "WHERE jobs.share <> 'private' AND (CAST(:state AS TEXT) IS NULL OR jobs.share = :state) "
        "AND jobs.deleted_at IS NULL ORDER BY jobs.share <> 'pending', jobs.seq LIMIT :limit",
        {"now": now, "state": None if state is None else str(state), "limit": limit},
    )
    return [
        Shared(
            video_id=row["id"],
            accessor=row["accessor"],
            principal=row["principal"],
            prompt=json.loads(row["request"])["prompt"],
            state=ShareState(row["share"]),
            share_id=row["share_id"],
            expires_at=row["expires_at"],
            live=bool(row["live"]),
        )
        for row in rows
    ]
