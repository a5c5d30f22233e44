"""The waiting line, as far as a poll needs to know it: how long it is, who works on it, how long a render takes.

Every poll of a waiting video tells its place and its estimated time. Counting the line for each would make polls as
slow as the line is long; so what they share is read once and reused for a moment. While the line is short, its places
are part of that; in a long one the place follows from where the job stands between the line's first and last arrival,
which is exact as long as nobody in between has left.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass

from gateway.faults import latency, profiles
from gateway.store import Connection, fairness, jobs, workers
from gateway.store.jobs import Job, LineSegment, Place, QueueCounts
from gateway.store.tokens import Token

FIRST_GUESS_SECONDS = 2.0  # render time assumed until one job has finished
LISTED = 500  # waiting jobs up to which every place is read
# A long line is read again only after this many times what reading it took.
REST = 100


@dataclass(frozen=True)
class Load:
    """The line as a whole: counts, live workers, their slots (at least 1), seconds that one render takes; the waiting
    jobs by priority, the `seq` of the newest, and while there are few of them each one's place, first served
    first."""

    queue: QueueCounts
    workers: tuple[workers.Worker, ...]
    slots: int
    render_seconds: float
    segments: tuple[LineSegment, ...]
    newest: int
    places: tuple[Place, ...] | None

    def eta_seconds(self, ahead: int) -> float:
        """Seconds until a job with `ahead` before it is done: rounds of all slots, half a round for what is running."""
        busy = min(self.queue.running, self.slots) / self.slots / 2
        return self.render_seconds * (1 + ahead / self.slots + busy)


class Line:
    """What this process knows of the line, at most `reuse_seconds` old; 0 reads it anew each time. `fair` says that
    tokens are served in turn."""

    def __init__(self, reuse_seconds: float, *, fair: bool = False) -> None:
        self.fair = fair
        self._reuse = reuse_seconds
        self._load: Load | None = None
        self._good_until = 0.0
        # Both only grow, and the second is taken before the line is read. Units of work may run in several threads: to
        # count a job twice for a moment does no harm, while not to count it lets the line grow too long.
        self._arrived = 0
        self._counted = 0

    def load(self, tx: Connection, now: float, *, fresh: bool = False) -> Load:
        """The line as it was a moment ago at the most; `fresh`, as it is."""
        # Wall time, not the exercise's: this is about what a query costs here and now.
        at = time.monotonic()
        if self._load is None or fresh or at >= self._good_until:
            arrived = self._arrived
            self._load = _read(tx, now)
            self._counted = arrived
            self._good_until = time.monotonic() + max(self._reuse, REST * (time.monotonic() - at) if self._reuse else 0)
        return self._load

    def waiting(self, tx: Connection, now: float, limit: int) -> int:
        """How many wait; exact where it matters, which is close to `limit`."""
        waiting = self.load(tx, now).queue.waiting + self._joined
        return jobs.queue_counts(tx).waiting if waiting >= limit * 0.9 else waiting

    def turn(self, tx: Connection, token: Token, priority: int) -> int:
        """The turn of the token's next job: its own, or that of whoever came last."""
        return fairness.take(tx, token, priority) if self.fair else fairness.latest(tx, priority)

    def joined(self) -> None:
        """Another job has come in."""
        self._arrived += 1

    @property
    def _joined(self) -> int:
        return self._arrived - self._counted

    def recent(self) -> Load | None:
        """The line as it was a moment ago at the most; None where it must be read."""
        return self._load if time.monotonic() < self._good_until else None

    def ahead(self, tx: Connection, load: Load, job: Job) -> int:
        """How many waiting jobs will be served before this one; `load` is what `load()` has just said."""
        place = self.place(load, job)
        return jobs.ahead_of(tx, job) if place is None else place

    def place(self, load: Load, job: Job) -> int | None:
        """The same as far as `load` tells it, which is `recent`: None for a job that has come since into a short line,
        and must be counted."""
        if load.places is not None and job.seq <= load.newest:
            return bisect_left(load.places, job.place)
        if load.queue.waiting + self._joined <= LISTED:
            return None
        before = sum(one.count for one in load.segments if one.priority < job.priority)
        own = next((one for one in load.segments if one.priority == job.priority), None)
        if own is None:
            return before
        if not own.by_arrival:
            return None
        if job.seq <= own.first:
            return before
        if job.seq > own.last:
            return before + own.count + max(0, self._joined - 1)
        return before + round(own.count * (job.seq - own.first) / max(1, own.last - own.first + 1))


def _read(tx: Connection, now: float) -> Load:
    segments = tuple(jobs.segments(tx))
    alive = tuple(workers.alive(tx, now - latency.WORKER_SILENCE_SECONDS))
    queue = QueueCounts(waiting=sum(one.count for one in segments), running=jobs.running(tx))
    slots = max(1, sum(worker.slots for worker in alive))
    places = tuple(jobs.waiting_places(tx)) if queue.waiting <= LISTED else None
    newest = max((one.last for one in segments), default=0)
    return Load(queue, alive, slots, _render_seconds(tx, now, queue, slots), segments, newest, places)


def _render_seconds(tx: Connection, now: float, queue: QueueCounts, slots: int) -> float:
    """What jobs took under the present latency profile; before any has finished, what the profile expects."""
    in_force = latency.present(tx, now).now
    return (
        jobs.mean_render_seconds(tx, in_force.since)
        or latency.guess(in_force, profiles.Load(queue.waiting, queue.running, slots))
        or jobs.mean_render_seconds(tx)
        or FIRST_GUESS_SECONDS
    )
