"""Reading a revoke call's answer."""

from drills.callers import Answer
from drills.oracle import RevokeCall
from drills.replies import RevocationReply


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
