"""A job has ended: one delivery for each endpoint that wants to know, in the transaction that ends the job."""

from __future__ import annotations

import json
import secrets

from gateway.store import Connection, deliveries, webhooks

COMPLETED = "video.completed"
FAILED = "video.failed"
EVENT_TYPES = (COMPLETED, FAILED)


def payload(event_type: str, job: str, now: float) -> str:
    """The body of an event: thin, so that a receiver asks for the video with its own, still valid, bearer."""
    event = {
        "id": f"evt_{secrets.token_hex(16)}",
        "object": "event",
        "created_at": int(now),
        "type": event_type,
        "data": {"id": job},
    }
    return json.dumps(event, separators=(",", ":"))


def job_ended(tx: Connection, event_type: str, *, job: str, accessor: str, now: float) -> None:
    """Queues the deliveries. They exist exactly if the job's end was committed."""
    listening = webhooks.listening(tx, accessor, event_type)
    if not listening:
        return
    body = payload(event_type, job, now)
    for endpoint in listening:
        deliveries.insert(
            tx,
            id=f"wh_{secrets.token_hex(16)}",
            endpoint=endpoint,
            accessor=accessor,
            job=job,
            event_type=event_type,
            payload=body,
            at=now,
        )
