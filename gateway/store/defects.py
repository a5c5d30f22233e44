"""Mistakes that a gateway can be told to make, by name. `gateway/faults/defects.py` says what each does and where it
was seen.

The code of a mistake stands where a correct gateway does the right thing, behind one question: `on(tx, Defect.…)`.
"""

from __future__ import annotations

from enum import StrEnum

from gateway.store.protocol import Connection, Store


class Defect(StrEnum):
    """The name is the switch."""

    # What a gateway remembers of tokens, and when it forgets.
    LOCAL_EVICT_ONLY = "local-evict-only"
    RECACHE_RACE = "recache-race"
    EVICT_BEFORE_WRITE = "evict-before-write"
    SLIDING_TTL = "sliding-ttl"
    EVICT_FAILS = "evict-fails"
    FIRST_WORKER_WINS = "first-worker-wins"
    STORE_ERROR_IGNORED = "store-error-ignored"
    # How it judges.
    FAIL_OPEN = "fail-open"
    SAME_SECOND_SURVIVES = "same-second-survives"
    SKEW_REVIVES = "skew-revives"
    LEGACY_PATH_UNCHECKED = "legacy-path-unchecked"
    # What a revocation takes.
    OVER_REVOCATION = "over-revocation"
    CLEAN_UP_TAKES_LIVE = "clean-up-takes-live"
    CONSOLE_DIFFERS = "console-differs"
    BULK_HANGS = "bulk-hangs"
    CHILD_SURVIVES = "child-survives"
    # What hangs on a token.
    LINK_OUTLIVES = "link-outlives"
    STREAM_UNCHECKED = "stream-unchecked"
    HOOK_KEEPS_FIRING = "hook-keeps-firing"
    # What comes before and after.
    RESTORE_STAMPEDE = "restore-stampede"
    ALERT_LOST = "alert-lost"
    ALERT_TWICE = "alert-twice"


def on(tx: Connection, defect: Defect) -> bool:
    """Whether the gateway of this transaction makes that mistake now."""
    return tx.sight is not None and tx.sight.errs(tx, defect)


async def on_in(store: Store, defect: Defect) -> bool:
    """The same, asked outside of a transaction."""
    return store.sight is not None and await store.read(lambda tx: on(tx, defect))
