"""What each kind of event says, and which keys its `data` may have: for docs/reference/events.md, and the tests hold it to
every line that they write."""

from __future__ import annotations

from typing import NamedTuple

from gateway.events import EventKind


class Told(NamedTuple):
    """`says` is a sentence; `keys` are those that `data` may have."""

    says: str
    keys: tuple[str, ...] = ()


TOLD: dict[EventKind, Told] = {
    EventKind.GATEWAY_STARTED: Told("A gateway started; proves that the store takes writes."),
    EventKind.TOKEN_ISSUED: Told("A token was issued, by an operator, a class or another token."),
    EventKind.TOKEN_STATE_CHANGED: Told("A token was quarantined, suspended or restored."),
    EventKind.TOKEN_MOVE_REFUSED: Told(
        "Somebody asked for a change of state that there is not, such as one back from revoked."
    ),
    EventKind.MINT_FROZEN: Told("No tokens are issued, or none with these scopes; `*` is all."),
    EventKind.MINT_THAWED: Told("Tokens are issued again."),
    EventKind.JOB_QUEUED: Told("A video was accepted and stands in line."),
    EventKind.JOB_STARTED: Told("A worker claimed a job for the first time."),
    EventKind.JOB_PROGRESSED: Told("A worker told how far a render is."),
    EventKind.JOB_RECLAIMED: Told("A worker took a job over from one that fell silent."),
    EventKind.JOB_RELEASED: Told("A worker that is told to stop gave a job back to the line."),
    EventKind.JOB_COMPLETED: Told("A video is done and its clip is stored."),
    EventKind.JOB_FAILED: Told("A video ended without a clip; a revocation is one of the reasons."),
    EventKind.JOB_CANCELLED: Told("The owner ended a video before it was done."),
    EventKind.JOB_DELETED: Told("The owner removed a video and its clip."),
    EventKind.CHARACTER_CREATED: Told("A token keeps the colours of a clip under a name."),
    EventKind.LINK_SIGNED: Told("A signed link was made for a video."),
    EventKind.REQUEST_REFUSED: Told("A request of a known token was refused."),
    EventKind.REVOCATION_APPLIED: Told(
        "Tokens were revoked: who, why, how many, and what became of what was under way."
    ),
    EventKind.RESTORATION_STARTED: Told("Suspended or quarantined tokens begin to come back."),
    EventKind.RESTORATION_BATCH: Told("A batch of them is back."),
    EventKind.RESTORATION_VERIFIED: Told("Each token of that batch was judged as a request would be."),
    EventKind.RESTORATION_DONE: Told("All are back."),
    EventKind.RESTORATION_HALTED: Told("No more are brought back, for a reason that the gateway found."),
    EventKind.RESTORATION_STOPPED: Told("No more are brought back, because an operator said so."),
    EventKind.TRANSFER_CUT: Told("An open download was ended with its token."),
    EventKind.TRANSFER_FINISHED: Told("An open download ran to its end although its token had ended."),
    EventKind.STREAM_ENDED: Told("An open stream of a video's events was ended with its token."),
    EventKind.DISCLOSURE_RECEIVED: Told("A signed batch of leak notices was taken."),
    EventKind.DISCLOSURE_MATCHED: Told("One of its notices names a token of this gateway."),
    EventKind.DISCLOSURE_REFUSED: Told("A batch was refused, by its signature or its form."),
    EventKind.WEBHOOK_CREATED: Told("A webhook endpoint was made."),
    EventKind.WEBHOOK_UPDATED: Told("One was changed."),
    EventKind.WEBHOOK_ROTATED: Told("One has a new signing secret."),
    EventKind.WEBHOOK_DELETED: Told("One was removed."),
    EventKind.WEBHOOK_DELIVERED: Told("A receiver took a delivery."),
    EventKind.WEBHOOK_DEAD: Told("A delivery had all its attempts in vain."),
    EventKind.WEBHOOK_STOPPED: Told("A delivery ended with its token or its endpoint."),
    EventKind.WEBHOOK_RETRIED: Told("An operator made a delivery due once more."),
    EventKind.SINK_CREATED: Told("A receiver of security events was added."),
    EventKind.SINK_UPDATED: Told("One was changed, paused or enabled."),
    EventKind.SINK_DELETED: Told("One was taken away."),
    EventKind.SINK_VERIFIED: Told("An operator asked for a verification event to one."),
    EventKind.SIGNAL_DELIVERED: Told("A sink took a security event."),
    EventKind.SIGNAL_DEAD: Told("A security event had all its attempts in vain."),
    EventKind.SIGNAL_DROPPED: Told("A security event was dropped with its sink."),
    EventKind.SHARE_REQUESTED: Told("An owner asked for a public link."),
    EventKind.SHARE_APPROVED: Told("A clip may be seen by whoever has its link."),
    EventKind.SHARE_REFUSED: Told("An operator said no, or ended a share."),
    EventKind.SHARE_WITHDRAWN: Told("The owner took the link back."),
    EventKind.PHASE_CHANGED: Told("The exercise moved to another phase."),
    EventKind.CLOCK_SET: Told("The replay clock was started, changed, paused or taken away."),
    EventKind.BROADCAST_SET: Told("The line on every page was changed."),
    EventKind.PROFILE_SET: Told("Another latency profile is in force."),
    EventKind.DRILL_BEGAN: Told("A drill took the gateway."),
    EventKind.DRILL_ENDED: Told("It let the gateway go, or its lease ran out."),
    EventKind.SUNSET_SET: Told("The end of the API was planned."),
    EventKind.SUNSET_REMOVED: Told("That plan was taken back."),
    EventKind.FAULT_SET: Told("A named failure strikes from now on."),
    EventKind.FAULT_REMOVED: Told("An operator took one away."),
    EventKind.FAULT_EXPIRED: Told("One ended by itself."),
    EventKind.FAULT_STRUCK: Told("A request was struck by one."),
    EventKind.REPLICA_TOLD: Told("A gateway was told to learn late, or to err on purpose, or that this is over."),
    EventKind.QUEUE_MENDED: Told("What was lost or doubled between jobs and the engine's messages was put right."),
    EventKind.WORKER_STARTED: Told("A worker said hello."),
    EventKind.WORKER_STOPPED: Told("A worker said goodbye."),
    EventKind.CLASS_OPENED: Told("A class was opened."),
    EventKind.CLASS_JOINED: Told("Somebody took a seat of the class."),
    EventKind.CLASS_JOIN_REFUSED: Told("Somebody could not join."),
    EventKind.CLASS_HANDED_OUT: Told("The tokens of free seats were given out on paper."),
    EventKind.CLASS_SEAT_RESET: Told("A seat was freed, and its token revoked."),
    EventKind.CLASS_ENDED: Told("The class ended, and its tokens with it."),
    EventKind.RESET: Told("The room was reset; says what went."),
}
