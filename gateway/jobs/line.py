"""The waiting line, as far as a poll needs to know it: how long it is, who works on it, how long a render takes.

Every poll of a waiting video tells its place and its estimated time. Counting the line for each would make polls as
slow as the line is long; so what they share is read once and reused for a moment: the first places one by one, and the
rest as blocks of some hundred. How many of its own block are before a job is counted once, and again when somebody of
that block has come or gone. So a place is exact, as of the moment at which the line was read.
"""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from dataclasses import dataclass

from gateway.faults import latency, profiles
from gateway.store import Connection, fairness, jobs, places, workers
from gateway.store.jobs import Job, Place, QueueCounts
from gateway.store.places import Blocks
from gateway.store.tokens import Token

FIRST_GUESS_SECONDS = 2.0  # render time assumed until one job has finished
LISTED = 500  # jobs at the head of the line of which each one's place is read
# A long line is read again only after this many times what reading it took.
REST = 100
REMEMBERED = 50_000  # jobs whose rank in their block is known


@dataclass(frozen=True)
class Load:
    """The line as a whole: counts, live workers, their slots (at least 1), seconds that one render takes; the places of
    the first jobs, `newest` being the latest `seq` of those, the blocks, and by priority the last place and how many
    wait up to it, which is known only of a line that is longer than `first`. `turns` are the last turns by priority.
    `plain_seconds` is what an attempt takes for which no time is simulated."""

    queue: QueueCounts
    workers: tuple[workers.Worker, ...]
    slots: int
    render_seconds: float
    first: tuple[Place, ...]
    newest: int
    blocks: Blocks
    ends: dict[int, tuple[Place, int]]
    turns: dict[int, int]
    plain_seconds: float

    def running_seconds(self, job: Job) -> float:
        """Seconds that the whole of a running job's attempt takes: its own hold, which stays what it was drawn as
        whatever profile comes into force."""
        return self.plain_seconds if job.hold is None else job.hold

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
        self._since: list[Place] = []  # those that arrived here since the line was read, in the order of service
        self._ranks: dict[int, tuple[Place, int, int]] = {}  # by `seq`: its block, that block's changes, the rank
        self._told: dict[int, int] = {}  # by `seq`: what follows from the present reading alone

    def load(self, tx: Connection, now: float, *, fresh: bool = False) -> Load:
        """The line as it was a moment ago at the most; `fresh`, as it is."""
        # Wall time, not the exercise's: this is about what a query costs here and now.
        at = time.monotonic()
        if self._load is None or fresh or at >= self._good_until:
            arrived = self._arrived
            self._since = []
            self._told = {}
            self._load = _read(tx, now)
            self._counted = arrived
            self._good_until = time.monotonic() + max(self._reuse, REST * (time.monotonic() - at) if self._reuse else 0)
        return self._load

    def waiting(self, tx: Connection, now: float, limit: int) -> int:
        """How many wait; exact where it matters, which is close to `limit`."""
        waiting = self.load(tx, now).queue.waiting + self._joined
        return places.waiting(tx) if waiting >= limit * 0.9 else waiting

    def turn(self, tx: Connection, token: Token, priority: int, now: float) -> int:
        """The turn of the token's next job: its own, or that of whoever is last. The latter stays what it was when the
        line was read, for whoever came since was given the same."""
        return fairness.take(tx, token, priority) if self.fair else self.load(tx, now).turns.get(priority, 0)

    def joined(self, job: Job) -> None:
        """Another job has come in."""
        self._arrived += 1
        insort(self._since, job.place)

    @property
    def _joined(self) -> int:
        return self._arrived - self._counted

    def recent(self) -> Load | None:
        """The line as it was a moment ago at the most; None where it must be read."""
        return self._load if time.monotonic() < self._good_until else None

    def ahead(self, tx: Connection, load: Load, job: Job) -> int:
        """How many waiting jobs will be served before this one; `load` is what `load()` or `recent()` has just said."""
        told = self._told.get(job.seq)
        if told is not None:
            return told
        if load.queue.waiting + self._joined <= LISTED:
            known = bisect_left(load.first, job.place) if job.seq <= load.newest else None
            return places.ahead_of(tx, job.place) if known is None else known
        own, place = load.ends.get(job.priority), job.place
        if own is not None and place > own[0]:
            return own[1] + bisect_left(self._since, place) - bisect_left(self._since, own[0])
        if load.first and place <= load.first[-1]:
            number = bisect_left(load.first, place)
            return number if load.first[number] == place else number + bisect_left(self._since, place)
        ahead = self._told[job.seq] = self._in_block(tx, load.blocks, place)
        return ahead

    def _in_block(self, tx: Connection, blocks: Blocks, place: Place) -> int:
        number, seq = blocks.holding(place), place[-1]
        block, changes = blocks.starts[number], blocks.changes[number]
        known = self._ranks.get(seq)
        if known is not None and known[:2] == (block, changes):
            return blocks.before[number] + known[2]
        rank = places.rank(tx, block, place)
        if len(self._ranks) >= REMEMBERED:
            self._ranks.clear()
        self._ranks[seq] = block, changes, rank
        return blocks.before[number] + rank


def _read(tx: Connection, now: float) -> Load:
    blocks = places.blocks(tx)
    alive = tuple(workers.alive(tx, now - latency.WORKER_SILENCE_SECONDS))
    queue = QueueCounts(waiting=blocks.waiting, running=jobs.running(tx))
    slots = max(1, sum(worker.slots for worker in alive))
    first = places.first(tx, LISTED)
    newest = max((seq for _, _, seq in first), default=0)
    ends = _ends(tx, blocks) if queue.waiting > LISTED else {}
    lasts = [end for end, _ in ends.values()] if ends else first  # which is in order, so that the last one counts
    turns = {priority: turn for priority, turn, _ in lasts}
    in_force = latency.present(tx, now).now
    seconds = _render_seconds(tx, in_force, queue, slots)
    # What a profile expects is nothing to those that began before it came into force.
    plain = seconds if in_force.profile.instant else jobs.mean_render_seconds(tx) or FIRST_GUESS_SECONDS
    return Load(queue, alive, slots, seconds, first, newest, blocks, ends, turns, plain)


def _ends(tx: Connection, blocks: Blocks) -> dict[int, tuple[Place, int]]:
    """By priority, the last place and how many wait up to it."""
    ends: dict[int, tuple[Place, int]] = {}
    for last in places.lasts(tx):
        number = blocks.holding(last)
        upto = blocks.before[number] + places.rank(tx, blocks.starts[number], last) + 1 if ends else blocks.waiting
        ends[last[0]] = last, upto
    return ends


def _render_seconds(tx: Connection, in_force: latency.InForce, queue: QueueCounts, slots: int) -> float:
    """What jobs took under the present latency profile; before any has finished, what the profile expects."""
    return (
        jobs.mean_render_seconds(tx, in_force.since)
        or latency.guess(in_force, profiles.Load(queue.waiting, queue.running, slots))
        or jobs.mean_render_seconds(tx)
        or FIRST_GUESS_SECONDS
    )
