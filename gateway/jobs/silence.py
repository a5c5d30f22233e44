"""Who has fallen silent: found out by watching, not by comparing clocks.

A worker's heartbeats change the lease of each job that it holds. Whoever has watched a lease for `seconds` and saw it
stay as it was, knows that nobody renews it, whatever the two machines' clocks say, and however they were set meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from gateway.store.leases import Lease


class Silence:
    """One watcher. Time counts only while it watches: of the time between two looks no more than `at_most` seconds, so
    that one which was frozen itself, with its machine or alone, gives the others time to speak first."""

    def __init__(self, seconds: float, *, at_most: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._at_most = at_most
        self._clock = clock
        self._looked = clock()
        self._unchanged: dict[Lease, float] = {}  # for how long each was seen to stay

    def look(self, leases: Iterable[Lease]) -> list[Lease]:
        """Takes note of the leases as they are now; those that nobody has renewed for too long."""
        now = self._clock()
        passed = min(self._at_most, now - self._looked)
        self._looked = now
        # One that is seen for the first time has been silent for no time, as far as is known here.
        self._unchanged = {lease: self._unchanged.get(lease, -passed) + passed for lease in leases}
        return [lease for lease, seconds in self._unchanged.items() if seconds >= self._seconds]
