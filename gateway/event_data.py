"""What each kind of event says, and which keys its `data` may have: for docs/reference/events.md. The tests hold it to
every line that they write."""

from __future__ import annotations

from typing import NamedTuple

from gateway.events import EventKind


class Told(NamedTuple):
    """`says` is a sentence; `keys` are those that `data` may have."""

    says: str
    keys: tuple[str, ...] = ()


TOLD: dict[EventKind, Told] = {
    EventKind.GATEWAY_STARTED: Told("A gateway started; proves that the store takes writes.", ("version",)),
    EventKind.DATABASE_MIGRATED: Told("A database of an earlier version was brought along.", ("from", "to")),
    EventKind.TOKEN_ISSUED: Told(
        "A token was issued, by an operator, a class or another token.",
        ("principal", "cohort", "scopes", "parent", "credits"),
    ),
    EventKind.TOKEN_STATE_CHANGED: Told(
        "A token was quarantined, suspended or restored.", ("from", "to", "restoration")
    ),
    EventKind.TOKEN_MOVE_REFUSED: Told(
        "Somebody asked for a change of state that there is not, such as one back from revoked.", ("from", "to")
    ),
    EventKind.MINT_FROZEN: Told("No tokens are issued, or none with these scopes; `*` is all.", ("scopes",)),
    EventKind.MINT_THAWED: Told("Tokens are issued again.", ("scopes",)),
    EventKind.JOB_QUEUED: Told("A video was accepted and stands in line.", ("model", "size", "seconds", "credits")),
    EventKind.JOB_STARTED: Told("A worker claimed a job for the first time.", ("attempt",)),
    EventKind.JOB_PROGRESSED: Told("A worker told how far a render is.", ("progress", "step", "steps")),
    EventKind.JOB_RECLAIMED: Told("A worker took a job over from one that fell silent.", ("from", "attempt")),
    EventKind.JOB_RELEASED: Told("A worker that is told to stop gave a job back to the line.", ("attempt",)),
    EventKind.JOB_COMPLETED: Told("A video is done and its clip is stored.", ("bytes", "attempt")),
    EventKind.JOB_FAILED: Told(
        "A video ended without a clip. What a revocation stops is in its own line, but for renders that it withholds.",
        ("code", "message", "withheld"),
    ),
    EventKind.JOB_CANCELLED: Told("The owner ended a video before it was done."),
    EventKind.JOB_DELETED: Told("The owner removed a video and its clip."),
    EventKind.CHARACTER_CREATED: Told("A token keeps the colours of a clip under a name.", ("id", "name")),
    EventKind.REQUEST_REFUSED: Told("A request of a known token was refused.", ("surface", "use", "replica", "reason")),
    EventKind.REVOCATION_APPLIED: Told(
        "Tokens were revoked: who, why, how many, and what became of what was under way. With `housekeeping` it is no "
        "move of the exercise: a seat of a class was freed, or the class ended.",
        (
            "id",
            "selector",
            "reason",
            "outcomes",
            "accessors",
            "jobs",
            "webhooks",
            "signals",
            "children",
            "credits_released",
            "in_flight",
            "housekeeping",
        ),
    ),
    EventKind.RESTORATION_STARTED: Told(
        "Suspended or quarantined tokens begin to come back.",
        ("id", "selector", "reason", "to", "over_seconds", "batch", "outcomes"),
    ),
    EventKind.RESTORATION_BATCH: Told("A batch of them is back.", ("id", "batch", "accessors", "outcomes")),
    EventKind.RESTORATION_VERIFIED: Told(
        "Each token of that batch was judged as a request would be.", ("id", "batch", "verified", "not_verified")
    ),
    EventKind.RESTORATION_DONE: Told("All are back.", ("id", "batches")),
    EventKind.RESTORATION_HALTED: Told(
        "No more are brought back, for a reason that the gateway found.", ("id", "because")
    ),
    EventKind.RESTORATION_STOPPED: Told("No more are brought back, because an operator said so.", ("id",)),
    EventKind.TRANSFER_CUT: Told(
        "An open download was ended with its token.", ("surface", "use", "replica", "bytes", "bytes_after")
    ),
    EventKind.TRANSFER_FINISHED: Told(
        "An open download ran to its end although its token had ended.",
        ("surface", "use", "replica", "bytes", "bytes_after"),
    ),
    EventKind.STREAM_ENDED: Told(
        "An open stream of a video's events was ended with its token.",
        ("surface", "use", "replica", "events", "events_after"),
    ),
    EventKind.DISCLOSURE_RECEIVED: Told(
        "A signed batch of leak notices was taken.",
        ("reporter", "items", "repeated", "true_positives", "false_positives"),
    ),
    EventKind.DISCLOSURE_MATCHED: Told(
        "One of its notices names a token of this gateway.", ("reporter", "type", "source", "url", "policy", "outcome")
    ),
    EventKind.DISCLOSURE_REFUSED: Told(
        "A batch was refused, by its signature or its form.", ("code", "key", "untold_before")
    ),
    EventKind.WEBHOOK_CREATED: Told("A webhook endpoint was made.", ("endpoint", "name", "event_types")),
    EventKind.WEBHOOK_UPDATED: Told("One was changed.", ("endpoint", "name", "fields")),
    EventKind.WEBHOOK_ROTATED: Told("One has a new signing secret.", ("endpoint", "name", "old_secret_kept")),
    EventKind.WEBHOOK_DELETED: Told("One was removed.", ("endpoint", "name", "stopped")),
    EventKind.WEBHOOK_DELIVERED: Told(
        "A receiver took a delivery.", ("delivery", "endpoint", "type", "attempts", "status_code", "error")
    ),
    EventKind.WEBHOOK_DEAD: Told(
        "A delivery had all its attempts in vain.", ("delivery", "endpoint", "type", "attempts", "status_code", "error")
    ),
    EventKind.WEBHOOK_STOPPED: Told(
        "A delivery ended with its token or its endpoint.",
        ("delivery", "endpoint", "type", "attempts", "status_code", "error"),
    ),
    EventKind.WEBHOOK_RETRIED: Told("An operator made a delivery due once more.", ("delivery", "endpoint", "from")),
    EventKind.SINK_CREATED: Told("A receiver of security events was added.", ("sink", "audience", "status")),
    EventKind.SINK_UPDATED: Told(
        "One was changed, paused or enabled.", ("sink", "fields", "status", "held", "released", "dropped")
    ),
    EventKind.SINK_DELETED: Told("One was taken away.", ("sink", "dropped")),
    EventKind.SINK_VERIFIED: Told("An operator asked for a verification event to one.", ("sink", "signal")),
    EventKind.SIGNAL_DELIVERED: Told(
        "A sink took a security event.", ("signal", "sink", "event", "txn", "attempts", "status_code", "err")
    ),
    EventKind.SIGNAL_DEAD: Told(
        "A security event had all its attempts in vain.",
        ("signal", "sink", "event", "txn", "attempts", "status_code", "err"),
    ),
    EventKind.SIGNAL_DROPPED: Told(
        "A security event was dropped with its sink.",
        ("signal", "sink", "event", "txn", "attempts", "status_code", "err"),
    ),
    EventKind.SHARE_REQUESTED: Told("An owner asked for a public link.", ("from", "to", "reason")),
    EventKind.SHARE_APPROVED: Told("A clip may be seen by whoever has its link.", ("from", "to", "reason")),
    EventKind.SHARE_REFUSED: Told("An operator said no, or ended a share.", ("from", "to", "reason")),
    EventKind.SHARE_WITHDRAWN: Told("The owner took the link back.", ("from", "to", "reason")),
    EventKind.PHASE_CHANGED: Told("The exercise moved to another phase.", ("from", "to", "revocation")),
    EventKind.CLOCK_SET: Told(
        "The replay clock was started, changed, paused or taken away.", ("time", "speed", "running")
    ),
    EventKind.BROADCAST_SET: Told(
        "The line on every page was changed; with `inject`, by firing that one.", ("text", "inject")
    ),
    EventKind.INJECT_FIRED: Told(
        "A planned inject was fired: whether its text went on every page, and whether the clock did it.",
        ("inject", "broadcast", "by_clock"),
    ),
    EventKind.INJECT_HELD: Told("One is held back: the clock does not fire it.", ("inject",)),
    EventKind.INJECT_SKIPPED: Told("One is left out.", ("inject",)),
    EventKind.INJECT_WAITING: Told("One waits again.", ("inject",)),
    EventKind.INJECT_BY_CLOCK: Told("Whether the clock fires what is due.", ("on",)),
    EventKind.PROFILE_SET: Told("Another latency profile is in force.", ("name", "speed", "seed", "until")),
    EventKind.DRILL_BEGAN: Told("A drill took the gateway.", ("id", "scenario", "who")),
    EventKind.DRILL_ENDED: Told("It let the gateway go, or its lease ran out.", ("id", "scenario", "lapsed")),
    EventKind.SUNSET_SET: Told("The end of the API was planned.", ("announced_at", "ends_at", "brown_outs", "link")),
    EventKind.SUNSET_REMOVED: Told("That plan was taken back."),
    EventKind.FAULT_SET: Told(
        "A named failure strikes from now on.",
        ("rule", "failure", "surfaces", "rate", "who", "seed", "options", "next", "until"),
    ),
    EventKind.FAULT_REMOVED: Told("An operator took one away.", ("rule", "failure", "fired")),
    EventKind.FAULT_EXPIRED: Told("One ended by itself.", ("rule", "failure", "fired", "why")),
    EventKind.FAULT_STRUCK: Told("A request was struck by one.", ("failure", "surface", "rule")),
    EventKind.REPLICA_TOLD: Told(
        "A gateway was told to learn late, or to err on purpose, or that this is over.",
        ("replica", "consistency", "defects", "until"),
    ),
    EventKind.RECORDS_AGED: Told(
        "Rows of what ended long ago were taken away, as the settings ask.", ("jobs", "deliveries", "signals")
    ),
    EventKind.QUEUE_MENDED: Told(
        "What was lost or doubled between jobs and the engine's messages was put right.",
        ("lost", "doubled", "left", "unsent"),
    ),
    EventKind.WORKER_STARTED: Told("A worker said hello.", ("host", "pid", "slots", "version")),
    EventKind.WORKER_STOPPED: Told("A worker said goodbye."),
    EventKind.CLASS_OPENED: Told("A class was opened.", ("class", "seats")),
    EventKind.CLASS_JOINED: Told("Somebody took a seat of the class.", ("class", "seat", "chosen")),
    EventKind.CLASS_JOIN_REFUSED: Told("Somebody could not join.", ("reason",)),
    EventKind.CLASS_HANDED_OUT: Told("The tokens of free seats were given out on paper.", ("class", "seats")),
    EventKind.CLASS_SEAT_RESET: Told("A seat was freed, and its token revoked.", ("class", "seat", "before")),
    EventKind.CLASS_ENDED: Told("The class ended, and its tokens with it.", ("class",)),
    EventKind.RESET: Told("The room was reset; says what went.", ("jobs", "tokens", "revocations", "classes")),
}
