"""Access has changed: one signal for each sink, in the transaction of the change. Nothing is sent here.

Where no sink is enabled or paused, that costs one look-up.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from gateway.signals import claims
from gateway.signals.claims import Cause, Kind
from gateway.store import Connection, signals, sinks
from gateway.store.signals import NewSignal


def new_txn() -> str:
    """A name for a cause that has none of its own."""
    return f"txn_{secrets.token_hex(8)}"


def access_ended(
    tx: Connection, accessors: Sequence[str], cause: Cause, *, disclosed: Collection[str] = frozenset()
) -> int:
    """Tokens were revoked: of each, that its sessions ended and that the credential was revoked; of those that were
    `disclosed`, first that they are known to others. The number of signals."""
    ended = [
        (Kind.SESSION_REVOKED, claims.session_revoked(cause)),
        (Kind.CREDENTIAL_CHANGE, claims.credential_change("revoke", cause)),
    ]
    known = [(Kind.CREDENTIAL_COMPROMISE, claims.credential_compromise(cause))]
    return _tell(tx, {one: [*known, *ended] if one in disclosed else ended for one in accessors}, cause)


def state_changed(tx: Connection, accessor: str, before: str, after: str, cause: Cause) -> int:
    """A token moved on the ladder, and can come back. The number of signals."""
    words = f"{before} to {after}"
    cause = replace(cause, reason=f"{cause.reason}: {words}" if cause.reason else words)
    event = claims.credential_change("update", cause)
    return _tell(tx, {accessor: [(Kind.CREDENTIAL_CHANGE, event)]}, cause)


def compromised(tx: Connection, accessor: str, cause: Cause) -> int:
    """A token was found in a public place. The number of signals."""
    event = claims.credential_compromise(cause)
    return _tell(tx, {accessor: [(Kind.CREDENTIAL_COMPROMISE, event)]}, cause)


def new_id() -> str:
    """A token's `jti`."""
    return f"set_{secrets.token_hex(16)}"


def _tell(tx: Connection, told: Mapping[str, Sequence[tuple[Kind, str]]], cause: Cause) -> int:
    """`told` is what to say of each accessor, in order."""
    listening = sinks.listening(tx) if told else []
    if not listening:
        return 0
    new = [
        NewSignal(new_id(), sink, accessor, kind, event)
        for accessor, events in told.items()
        for kind, event in events
        for sink in listening
    ]
    return signals.insert_all(tx, cause.txn, new, at=cause.at)
