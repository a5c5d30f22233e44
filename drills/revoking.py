"""Reading a revoke call's answer."""

from collections.abc import Sequence
from typing import Literal

from drills.callers import Answer
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
    )


def read_notice(answer: Answer, call: NoticeCall) -> RevokeCall:
    """A notice as the call that cuts: acknowledged where it was taken. Nobody is told how many jobs that stopped."""
    outcomes: dict[str, Outcome] = {"taken": "acknowledged", "refused": "refused", "unknown": "unknown"}
    exchange = answer.exchange
    return RevokeCall(
        start=exchange.start,
        end=exchange.end,
        outcome=outcomes[call.outcome],
        status=call.status,
        tokens=call.true_positives,
        accessors=list(call.accessors),
    )


def by_notice(call: RevokeCall, events: Sequence[GatewayEvent]) -> RevokeCall:
    """The same with the last revocation that a reporter's notice brought about, if one did: the list names it."""
    made = [event for event in events if event.kind == "revocation.applied" and event.actor == "reporter"]
    return call.model_copy(update={"id": str(made[-1].data["id"])}) if made and "id" in made[-1].data else call
