"""What a Security Event Token says: its kinds, the claims of each event, and the whole.

Sources: RFC 8417 (the token), RFC 9493 (the subject), OpenID CAEP 1.0, RISC 1.0 and Shared Signals Framework 1.0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from gateway.store.signals import Signal
from gateway.store.sinks import Sink
from gateway.tokens import secret as secrets_format

SCHEMAS = "https://schemas.openid.net/secevent"
CREDENTIAL = "api_key"  # CAEP and RISC leave the list open to agreement
INITIATORS = {"admin": "admin", "holder": "user", "reporter": "policy"}


class Kind(StrEnum):
    """Every event that is sent."""

    SESSION_REVOKED = "session-revoked"
    CREDENTIAL_CHANGE = "credential-change"
    CREDENTIAL_COMPROMISE = "credential-compromise"
    VERIFICATION = "verification"

    @property
    def uri(self) -> str:
        """The event's name on the wire."""
        return f"{SCHEMAS}/{_PROFILES[self]}/event-type/{self}"


_PROFILES = {
    Kind.SESSION_REVOKED: "caep",
    Kind.CREDENTIAL_CHANGE: "caep",
    Kind.CREDENTIAL_COMPROMISE: "risc",
    Kind.VERIFICATION: "ssf",
}


@dataclass(frozen=True)
class Cause:
    """What signals of one change have in common. `txn` ties them to those of other changes with the same cause; `at` is
    Unix seconds; `reason` is for the eyes of operators."""

    txn: str
    at: float
    actor: str
    reason: str


def session_revoked(cause: Cause) -> str:
    """CAEP 1.0, section 3.1: all use of the token has ended. JSON text."""
    return _text(_caep(cause))


def credential_change(change: Literal["revoke", "update"], cause: Cause) -> str:
    """CAEP 1.0, section 3.3. JSON text."""
    return _text({"credential_type": CREDENTIAL, "change_type": change, **_caep(cause)})


def credential_compromise(cause: Cause) -> str:
    """RISC 1.0, section 2.7: the token is known to others. JSON text."""
    event = {"event_timestamp": int(cause.at), "reason_admin": _admins(cause.reason)}
    return _text({"credential_type": CREDENTIAL, **event})


def verification(state: str | None) -> str:
    """Shared Signals Framework 1.0; `state` is repeated as it was given. JSON text."""
    return _text({} if state is None else {"state": state})


def whole(signal: Signal, sink: Sink) -> dict[str, Any]:
    """All claims of the token. There is no `exp` (RFC 8417, section 2.2) and no `sub` (Shared Signals Framework 1.0);
    the subject is the accessor, or the sink itself where that is to be verified."""
    return {
        "iss": sink.issuer,
        "iat": int(signal.created_at),
        "jti": signal.id,
        "aud": sink.audience,
        "txn": signal.txn,
        "sub_id": {"format": "opaque", "id": signal.accessor or sink.id},
        "events": {Kind(signal.kind).uri: json.loads(signal.event)},
    }


def initiating_entity(actor: str) -> str:
    """Who made it happen, in CAEP's words: admin, user, policy, or else system."""
    return INITIATORS.get(actor, "system")


def _caep(cause: Cause) -> dict[str, Any]:
    return {
        "event_timestamp": int(cause.at),
        "initiating_entity": initiating_entity(cause.actor),
        "reason_admin": _admins(cause.reason),
    }


def _admins(reason: str) -> dict[str, str]:
    """By language (BCP 47). Whoever wrote the reason may have quoted the secret; it goes no further."""
    return {"en": secrets_format.PATTERN.sub("[token]", reason)}


def _text(event: dict[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
