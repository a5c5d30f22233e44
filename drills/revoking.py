"""What a revocation did: by the answer to its call, or by the gateway's event list."""

from collections.abc import Sequence, Set
from typing import Literal

from drills.callers import Answer
from drills.evidence import JobTrace, trace_jobs
from drills.notices import NoticeCall
from drills.oracle import RevokeCall
from drills.replies import GatewayEvent, RevocationReply

Outcome = Literal["acknowledged", "refused", "unknown"]


def read_revoke(answer: Answer) -> RevokeCall:
    """What a revoke call's answer says. A 5xx, a timeout or an unreadable body leaves it unknown."""
    exchange = answer.exchange
    if exchange.outcome == "accepted":
        try:
            reply = RevocationReply.model_validate(answer.body)
        except ValueError:
            return RevokeCall(start=exchange.start, end=exchange.end, outcome="unknown", status=exchange.status)
        return RevokeCall(
            start=exchange.start,
            end=exchange.end,
            outcome="acknowledged",
            status=exchange.status,
            id=reply.id,
            acknowledged_at=reply.acknowledged_at,
            tokens=reply.tokens,
            queued=reply.jobs.queued,
            running=reply.jobs.running,
            accessors=[item.accessor for item in reply.items],
        )
    return RevokeCall(
        start=exchange.start,
        end=exchange.end,
        outcome="unknown" if exchange.outcome == "fault" else "refused",
        status=exchange.status,
        code=exchange.code,
    )


def as_listed(
    call: RevokeCall, events: Sequence[GatewayEvent], doomed: Set[str], stop_within: float
) -> tuple[RevokeCall, list[JobTrace]]:
    """A call that stood for whatever a runbook did, with what the list says of it; and the revoked tokens' jobs.

    Each job is judged from the revocation that took its token; where none did, from the last one. `stop_within` is
    seconds for which a running job may still report progress.
    """
    applied = [event for event in events if event.kind == "revocation.applied" and "id" in event.data]
    if not applied:
        return call, []
    taken: list[str] = []
    jobs: list[JobTrace] = []
    for event in applied:
        own = set(event.data.get("accessors", ())) - set(taken)
        taken += sorted(own)
        own |= (doomed - set(taken)) if event is applied[-1] else set()
        jobs += trace_jobs(events, event.data["id"], own, stop_within) or []
    counts = [event.data.get("jobs", {}) for event in applied]
    listed = call.model_copy(
        update={
            "id": applied[-1].data["id"],
            "acknowledged_at": applied[-1].at,
            "tokens": len(taken),
            "queued": sum(int(one.get("queued", 0)) for one in counts),
            "running": sum(int(one.get("running", 0)) for one in counts),
            "accessors": taken,
        }
    )
    return listed, sorted(jobs, key=lambda job: job.job)


def read_notice(answer: Answer, call: NoticeCall) -> RevokeCall:
    """A notice as the call that cuts: acknowledged where it was taken. Nobody is told how many jobs that stopped."""
    outcomes: dict[str, Outcome] = {"taken": "acknowledged", "refused": "refused", "unknown": "unknown"}
    exchange = answer.exchange
    return RevokeCall(
        start=exchange.start,
        end=exchange.end,
        outcome=outcomes[call.outcome],
        status=call.status,
        code=call.code,
        tokens=call.true_positives,
        accessors=list(call.accessors),
    )


def by_notice(call: RevokeCall, events: Sequence[GatewayEvent]) -> RevokeCall:
    """The same with the last revocation that a reporter's notice brought about, if one did: the list names it."""
    made = [event for event in events if event.kind == "revocation.applied" and event.actor == "reporter"]
    return call.model_copy(update={"id": str(made[-1].data["id"])}) if made and "id" in made[-1].data else call
