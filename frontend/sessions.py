"""Who is logged in to the control room: a cookie for the browser, the admin token in this process only."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

LIFE_SECONDS = 12 * 3600.0
MOST_SESSIONS = 200


@dataclass(frozen=True)
class Session:
    """One login. `name` is what the instructor calls themselves; it goes to the event list as the actor."""

    name: str
    ends_at: float
    # Not in the text of an object, which may end up in a log.
    token: str = field(repr=False)


class Sessions:
    """All logins of this process; a restart ends them. What is kept of a cookie is its hash."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._by_hash: dict[bytes, Session] = {}

    def begin(self, token: str, name: str) -> str:
        """A new login; the cookie's value, which is told this once. The oldest login goes where there are too many."""
        self._forget_ended()
        while len(self._by_hash) >= MOST_SESSIONS:
            del self._by_hash[next(iter(self._by_hash))]
        value = secrets.token_urlsafe(32)
        self._by_hash[_hash(value)] = Session(name, self._monotonic() + LIFE_SECONDS, token)
        return value

    def of(self, value: str | None) -> Session | None:
        """Whose cookie that is. Found by the hash, so that the time it takes tells nothing about the value."""
        found = self._by_hash.get(_hash(value)) if value else None
        return found if found is not None and found.ends_at > self._monotonic() else None

    def holds(self, session: Session) -> bool:
        """Whether that login still is one."""
        return session.ends_at > self._monotonic() and any(one is session for one in self._by_hash.values())

    def end(self, value: str | None) -> None:
        """Logs out."""
        if value:
            self._by_hash.pop(_hash(value), None)

    def end_all(self, token: str) -> None:
        """Logs everybody out whose admin token the gateway no longer takes."""
        self._by_hash = {key: one for key, one in self._by_hash.items() if one.token != token}

    def _forget_ended(self) -> None:
        now = self._monotonic()
        self._by_hash = {key: one for key, one in self._by_hash.items() if one.ends_at > now}


def _hash(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
