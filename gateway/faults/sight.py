"""How one gateway sees tokens: as their rows are, or late, or never again, as it was told to.

Lag is what the check does, not a refusal that is drawn by chance: a bounded replica reads states as they were, a cache
remembers a token that it has found good, and a gateway that looks at the expiry alone reads nothing else. Every reading
that judges a token passes here (`by_hash` and `by_accessor` in `gateway/store/tokens.py`), so that links, transactions,
streams and webhooks lag as requests do. In strict mode without a defect it costs a request one comparison.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.faults import consistency, defects, modes
from gateway.faults.consistency import Kind
from gateway.faults.defects import Cache
from gateway.faults.modes import RIGHT, Mode
from gateway.store import Connection, Store, replicas, tokens
from gateway.store.defects import Defect
from gateway.store.tokens import Token, TokenFilter

log = logging.getLogger("leakdrill.gateway")

LOOK_SECONDS = 0.25  # how often its row is read
SKEW_SECONDS = 60.0
HANG_SECONDS = 120.0
GAP_SECONDS = 0.25  # between forgetting and writing, where that is the wrong way round
MOST_REMEMBERED = 100_000
SEEN_SECONDS = 2.0

_JUDGING = frozenset(
    {Defect.FAIL_OPEN, Defect.SKEW_REVIVES, *(one for one, what in defects.DEFECTS.items() if what.cache)}
)


@dataclass
class _Entry:
    """A token that was found good. `fresh` is Unix seconds: from there its time is counted."""

    token: Token
    fresh: float


class Sight:
    """One gateway's eyes. `name` is the replica's."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._mode = RIGHT
        self._blurred = False
        self._speed = 1.0
        self._look_at = 0.0
        # Writes run in a thread, reads on the event loop or in threads; all judge. What is read on the way may look
        # anew.
        self._lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}
        self._names: dict[bytes, str] = {}
        self._late: dict[str, tuple[float, Token]] = {}
        self._evicted_at = 0.0

    @property
    def mode(self) -> Mode:
        """What it does, as it was read last."""
        return self._mode

    def forget(self) -> None:
        """Reads its row anew before the next request is judged."""
        self._look_at = 0.0

    def makes(self, defect: Defect) -> bool:
        """Whether it makes that mistake, as far as it was told when it last read its row."""
        return defect in self._mode.defects

    def blurred(self, tx: Connection) -> bool:
        """Whether it sees tokens otherwise than they are, at present."""
        if time.monotonic() >= self._look_at:
            self._look(tx)
        return self._blurred

    def errs(self, tx: Connection, defect: str) -> bool:
        """Whether it makes that mistake."""
        if time.monotonic() >= self._look_at:
            self._look(tx)
        return defect in self._mode.defects

    def by_hash(self, tx: Connection, secret_hash: bytes) -> Token | None:
        """The token behind a bearer, as this gateway sees it."""
        with self._lock:
            now = self._clock.now()
            kept = self._remembered(tx, self._names.get(secret_hash), now)
            if kept is not None:
                return kept
            token = tokens.seen_by_hash(tx, secret_hash, self._reading(tx, now))
            if token is not None:
                self._names[secret_hash] = token.accessor
            self._remember(token, now)
            return token

    def by_accessor(self, tx: Connection, accessor: str) -> Token | None:
        """The token that `accessor` names, as this gateway sees it."""
        with self._lock:
            now = self._clock.now()
            kept = self._remembered(tx, accessor, now)
            if kept is not None:
                return kept
            token = tokens.seen_by_accessor(tx, accessor, self._reading(tx, now))
            self._remember(token, now)
            return token

    async def before_revocation(self, store: Store, which: TokenFilter) -> None:
        """What it does wrong before a revocation is written."""
        await store.read(self._look)
        wrong = self._mode.defects & {Defect.EVICT_BEFORE_WRITE, Defect.BULK_HANGS}
        if not wrong:
            return
        meant = await store.read(lambda tx: tokens.find_tree(tx, which))
        if Defect.BULK_HANGS in wrong and len(meant) > 1:
            await asyncio.sleep(HANG_SECONDS)
        if Defect.EVICT_BEFORE_WRITE in wrong:
            self._evict(one.accessor for one in meant)
            await asyncio.sleep(GAP_SECONDS)

    async def after_revocation(self, store: Store, accessors: tuple[str, ...]) -> None:
        """What it does, right or wrong, once these tokens were revoked."""
        if Defect.LOCAL_EVICT_ONLY in self._mode.defects:
            self._evict(accessors)
        if Defect.CLEAN_UP_TAKES_LIVE in self._mode.defects:
            now = self._clock.now()
            await store.write(lambda tx: tokens.clean_up(tx, reason="cleaned up after its expiry", at=now))
        if any(Defect.FIRST_WORKER_WINS in one.mode.defects for one in await modes.show(store, self._clock.now())):
            await store.write(lambda tx: replicas.leave_wakeup(tx, accessors))

    async def heed(self, store: Store) -> None:
        """Ends a mode whose time is over, and takes the notes that revocations leave."""
        now = self._clock.now()
        if self._mode.at(now) is not self._mode:
            await store.write(lambda tx: modes.expire(tx, self.name, now))
            self.forget()
        if await store.read(lambda tx: self.errs(tx, Defect.FIRST_WORKER_WINS)):
            self._evict(await store.write(replicas.take_wakeups))

    def _look(self, tx: Connection) -> Mode:
        found = modes.present(tx, self.name, self._clock.now())
        if found != self._mode:
            with self._lock:
                for memory in (self._entries, self._names, self._late):
                    memory.clear()
            self._mode = found
            if not found.right:
                log.warning("action=errs_on_purpose replica=%s mode=%s", self.name, shown(found))
        self._speed = 1.0 if found.right else modes.speed(tx)
        self._blurred = found.consistency.kind is not Kind.STRICT or bool(found.defects & _JUDGING)
        self._look_at = time.monotonic() + LOOK_SECONDS
        return found

    def _cache(self) -> Cache | None:
        """What it remembers, with the time as this replay has it. A mistake is there to be seen: it does not become
        shorter than a few answers take."""
        profile = self._mode.consistency
        if profile.kind is Kind.CACHE_TTL and profile.seconds is not None:
            return Cache(profile.seconds / self._speed)
        wrong = defects.cache_of(self._mode.defects)
        if wrong is None:
            return None
        return replace(wrong[1], seconds=max(wrong[1].seconds / self._speed, SEEN_SECONDS))

    def _remembered(self, tx: Connection, accessor: str | None, now: float) -> Token | None:
        """A token that was found good, while its time lasts."""
        cache = self._cache()
        if cache is None or accessor is None:
            return None
        if cache.late:
            self._land(tx, now)
        entry = self._entries.get(accessor)
        if entry is None or now - entry.fresh >= cache.seconds:
            return None
        if cache.sliding:
            entry.fresh = now
        if cache.late and accessor not in self._late:
            token = tokens.seen_by_accessor(tx, accessor)
            if token is not None and token.accepted(now):
                self._late[accessor] = now + cache.late, token
        return entry.token

    def _remember(self, token: Token | None, now: float) -> None:
        if token is None or self._cache() is None or not token.accepted(now):
            return
        if len(self._entries) >= MOST_REMEMBERED:
            self._entries.clear()
            self._names.clear()
        self._entries[token.accessor] = _Entry(token, now)

    def _land(self, tx: Connection, now: float) -> None:
        """Forgets everything where a revocation has come, as is right; then stores what was read before, as is not."""
        if replicas.revoked_since(tx, self._evicted_at):
            self._entries.clear()
            self._evicted_at = now
        for accessor, (due, token) in list(self._late.items()):
            if due <= now:
                self._entries[accessor] = _Entry(token, now)
                del self._late[accessor]

    def _evict(self, accessors: Iterable[str]) -> None:
        with self._lock:
            for accessor in accessors:
                self._entries.pop(accessor, None)

    def _reading(self, tx: Connection, now: float) -> tokens.Reading:
        profile, wrong = self._mode.consistency, self._mode.defects
        if profile.kind is Kind.BOUNDED and profile.seconds is not None:
            return tokens.as_of(consistency.copied_at(now, profile.seconds / self._speed, self.name))
        if profile.kind is Kind.EXPIRY_ONLY:
            return tokens.AS_ISSUED
        if wrong & {Defect.FAIL_OPEN, Defect.STORE_ERROR_IGNORED} and replicas.revoked_since(tx, self._mode.since):
            if Defect.STORE_ERROR_IGNORED in wrong:
                raise StoreUnavailable("The token store did not answer. Ask again.")
            return tokens.AS_ISSUED
        return tokens.forgiving(SKEW_SECONDS) if Defect.SKEW_REVIVES in wrong else tokens.AS_IT_IS


def shown(mode: Mode) -> str:
    """A mode as one word for logs and headers: its profile and its defects."""
    return ",".join([mode.consistency.name, *sorted(mode.defects)])


async def watch(sight: Sight, store: Store, clock: Clock, url: str) -> None:
    """Tells the others that this gateway runs, and heeds what it was told, for ever."""
    await store.write(lambda tx: replicas.announce(tx, sight.name, url, clock.now()))
    beat, warned = time.monotonic(), time.monotonic()
    while True:
        await asyncio.sleep(0.1)
        try:
            await sight.heed(store)
            if time.monotonic() - beat >= 2.0:
                beat = time.monotonic()
                await store.write(lambda tx: replicas.note_alive(tx, sight.name, clock.now()), brief=True)
        except StoreUnavailable as exc:
            log.warning("action=replica_unheard replica=%s reason=%s", sight.name, exc)
        if not sight.mode.right and time.monotonic() - warned >= 60:
            warned = time.monotonic()
            log.warning("action=errs_on_purpose replica=%s mode=%s", sight.name, shown(sight.mode))
