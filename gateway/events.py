"""The one list: what happened, in order, each line chained to the one before by SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

GENESIS = "0" * 64
# Every change appends a line. What is plain is spelled out here, where an encoder would set itself up for each call.
_quoted = json.encoder.encode_basestring
_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class EventKind(StrEnum):
    """Every kind of event; the value is what readers filter by, and its first word is the subject."""

    GATEWAY_STARTED = "gateway.started"
    DATABASE_MIGRATED = "database.migrated"
    TOKEN_ISSUED = "token.issued"  # noqa: S105
    TOKEN_STATE_CHANGED = "token.state_changed"  # noqa: S105
    TOKEN_MOVE_REFUSED = "token.move_refused"  # noqa: S105
    MINT_FROZEN = "mint.frozen"
    MINT_THAWED = "mint.thawed"
    JOB_QUEUED = "job.queued"
    JOB_STARTED = "job.started"
    JOB_PROGRESSED = "job.progressed"
    JOB_RECLAIMED = "job.reclaimed"
    JOB_RELEASED = "job.released"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_DELETED = "job.deleted"
    CHARACTER_CREATED = "character.created"
    REQUEST_REFUSED = "request.refused"
    REVOCATION_APPLIED = "revocation.applied"
    RESTORATION_STARTED = "restoration.started"
    RESTORATION_BATCH = "restoration.batch"
    RESTORATION_VERIFIED = "restoration.verified"
    RESTORATION_DONE = "restoration.done"
    RESTORATION_HALTED = "restoration.halted"
    RESTORATION_STOPPED = "restoration.stopped"
    TRANSFER_CUT = "transfer.cut"
    TRANSFER_FINISHED = "transfer.finished"
    STREAM_ENDED = "stream.ended"
    DISCLOSURE_RECEIVED = "disclosure.received"
    DISCLOSURE_MATCHED = "disclosure.matched"
    DISCLOSURE_REFUSED = "disclosure.refused"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_UPDATED = "webhook.updated"
    WEBHOOK_ROTATED = "webhook.secret_rotated"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_DELIVERED = "webhook.delivered"
    WEBHOOK_DEAD = "webhook.dead"
    WEBHOOK_STOPPED = "webhook.stopped"
    WEBHOOK_RETRIED = "webhook.retried"
    SINK_CREATED = "sink.created"
    SINK_UPDATED = "sink.updated"
    SINK_DELETED = "sink.deleted"
    SINK_VERIFIED = "sink.verification_queued"
    SIGNAL_DELIVERED = "signal.delivered"
    SIGNAL_DEAD = "signal.dead"
    SIGNAL_DROPPED = "signal.dropped"
    SHARE_REQUESTED = "share.requested"
    SHARE_APPROVED = "share.approved"
    SHARE_REFUSED = "share.refused"
    SHARE_WITHDRAWN = "share.withdrawn"
    PHASE_CHANGED = "phase.changed"
    CLOCK_SET = "clock.set"
    BROADCAST_SET = "broadcast.set"
    INJECT_FIRED = "inject.fired"
    INJECT_HELD = "inject.held"
    INJECT_SKIPPED = "inject.skipped"
    INJECT_WAITING = "inject.waiting"
    INJECT_BY_CLOCK = "inject.by_clock"
    PROFILE_SET = "profile.set"
    DRILL_BEGAN = "drill.began"
    DRILL_ENDED = "drill.ended"
    SUNSET_SET = "sunset.set"
    SUNSET_REMOVED = "sunset.removed"
    FAULT_SET = "fault.set"
    FAULT_REMOVED = "fault.removed"
    FAULT_EXPIRED = "fault.expired"
    FAULT_STRUCK = "fault.struck"
    REPLICA_TOLD = "replica.told"
    RECORDS_AGED = "records.aged"
    QUEUE_MENDED = "queue.mended"
    WORKER_STARTED = "worker.started"
    WORKER_STOPPED = "worker.stopped"
    CLASS_OPENED = "class.opened"
    CLASS_JOINED = "class.joined"
    CLASS_JOIN_REFUSED = "class.join_refused"
    CLASS_HANDED_OUT = "class.handed_out"
    CLASS_SEAT_RESET = "class.seat_reset"
    CLASS_ENDED = "class.ended"
    RESET = "reset"


@dataclass(frozen=True)
class Event:
    """One line of the list. `at` is wall time, Unix seconds; `replay_at` is ISO 8601 or None."""

    seq: int
    at: float
    replay_at: str | None
    kind: str
    actor: str
    accessor: str | None
    job: str | None
    data: Mapping[str, object]
    previous: str
    hash: str


def chain_hash(
    previous: str,
    *,
    at: float,
    replay_at: str | None,
    kind: str,
    actor: str,
    accessor: str | None,
    job: str | None,
    data: str,
) -> str:
    """SHA-256 over the previous line's hash and this line's fields, as canonical JSON. `data` is JSON text."""
    fields = (_quoted(previous), repr(at), *map(_json, (replay_at, kind, actor, accessor, job, data)))
    return hashlib.sha256(f"[{','.join(fields)}]".encode()).hexdigest()


def canonical(data: Mapping[str, object]) -> str:
    """JSON text with sorted keys: the form that is stored and hashed."""
    return f"{{{','.join([f'{_quoted(name)}:{_json(value)}' for name, value in sorted(data.items())])}}}"


def _json(value: object) -> str:
    """The value as `json.dumps` writes it, without spaces and with letters as they are."""
    if isinstance(value, str):
        return _quoted(value)
    if value is None:
        return "null"
    return repr(value) if type(value) is int else _SORTED.encode(value)


def first_broken(events: Iterable[Event], previous: str = GENESIS) -> int | None:
    """The `seq` of the first event whose hash does not follow from the one before, or None where all hold."""
    for event in events:
        expected = chain_hash(
            previous,
            at=event.at,
            replay_at=event.replay_at,
            kind=event.kind,
            actor=event.actor,
            accessor=event.accessor,
            job=event.job,
            data=canonical(event.data),
        )
        if event.previous != previous or event.hash != expected:
            return event.seq
        previous = event.hash
    return None
