"""A load test from its order to its record. Brings gevent and Locust in."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import gevent
from gevent.event import Event

from loadtest.errors import LoadError
from loadtest.fleet import Fleet, LocalFleet, MasterFleet, Pulse, arrivals_of, schedule_of
from loadtest.order import Order
from loadtest.record import Record, Revocation
from loadtest.target import Target

TICK_SECONDS = 0.1
TELL_SECONDS = 5.0
FIRST_TOLD_SECONDS = 1.0
# A target that has answered nothing for so long, while requests went out, is away.
AWAY_SECONDS = 5.0
# The gateway writes what it has counted once a second.
COUNTED_SECONDS = 1.5


class LoadTest:
    """One run. `stop` ends it early: the record is then of what was measured until then."""

    def __init__(self, order: Order, say: Callable[[str], None]) -> None:
        self._order = order
        self._say = say
        self._stop = Event()
        self._parent = os.getppid()
        self._record: Record | None = None

    def stop(self) -> None:
        """Ends the schedule and what is under way."""
        self._stop.set()

    def run(self) -> Record:
        """Raises LoadError where there is nothing to tell of. Whether the target can be used was looked at before."""
        run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        with Target(self._order, run) as target:
            left = None
            try:
                record = self._measured(target, run)
            finally:
                left = target.roll_back()
                if left:
                    self._say(left)
        record.left = left
        return record

    def _measured(self, target: Target, run: str) -> Record:
        order = self._order
        bearers = target.bearers()
        if order.warm_up:
            self._say("warming up: one video of each kind")
            target.warm_up(order.shape.clips, bearers, gevent.sleep)
        first = target.last_event() if target.controlled else 0
        arrivals = arrivals_of(schedule_of(order), bearers)
        fleet: Fleet
        if order.processes > 1 or order.role == "master":
            fleet = MasterFleet(order, bearers)
        else:
            fleet = LocalFleet(order, bearers, arrivals)
        record = Record(
            order=order,
            run=run,
            started_at=datetime.now(UTC),
            dues=[each.due for each in arrivals],
            accessors=[each.accessor for each in bearers],
            leaked=[each.leaked for each in bearers],
            history=fleet.history,
        )
        before = load_average()
        try:
            fleet.prepare()
            self._say(f"{len(arrivals)} sessions in {order.seconds:g} s, at most {order.users} at a time")
            fleet.go()
            self._play(fleet, target, record)
        finally:
            record.ended = max(0.0, fleet.now())
            fleet.finish()
        if fleet.lost:
            record.status, record.why = "broken", "; ".join(fleet.lost)
        record.load = (before, load_average())
        self._close(fleet, target, record, first)
        return record

    def _play(self, fleet: Fleet, target: Target, record: Record) -> None:
        """Until the schedule is over and what it began has ended, or cannot."""
        order = self._order
        share = order.shape.revoke_at
        revoking = None
        told = FIRST_TOLD_SECONDS - TELL_SECONDS
        closed_at: float | None = None
        while True:
            if self._stop.wait(TICK_SECONDS) or os.getppid() != self._parent:
                record.status, record.why = "stopped", f"stopped after {fleet.now():.1f} s of {order.seconds:g} s"
                return
            now, pulse = fleet.now(), fleet.pulse()
            if share is not None and revoking is None and now >= share * order.seconds:
                record.revocation = Revocation(called=now)
                revoking = gevent.spawn(self._revoke, fleet, target, record.revocation)
            if now - told >= TELL_SECONDS:
                told = now
                self._say(progress(now, pulse, record))
            if not self._goes_on(fleet, record, pulse, now):
                return
            if pulse.over and closed_at is None:
                closed_at = now
            if closed_at is not None and (pulse.quiet or now - closed_at >= order.drain_seconds):
                if revoking is not None:
                    revoking.join()
                return

    def _goes_on(self, fleet: Fleet, record: Record, pulse: Pulse, now: float) -> bool:
        """Whether there is still something to measure, and somebody who does."""
        if fleet.lost:
            return False
        if pulse.full:
            record.status, record.why = "full", f"the history was full after {now:.0f} s; shorten the load test"
            return False
        if pulse.tried > pulse.answered and now - max(pulse.answered, 0.0) > AWAY_SECONDS and now > AWAY_SECONDS:
            record.status, record.away = "away", True
            record.why = f"the target answered nothing after {pulse.answered:.1f} s"
            return False
        return True

    def _revoke(self, fleet: Fleet, target: Target, revocation: Revocation) -> None:
        revocation.called = fleet.now()
        try:
            revocation.answer = target.revoke_leaked()
        except LoadError as error:
            revocation.error = str(error)
            self._say(f"the revocation was not acknowledged: {error}")
            return
        revocation.acknowledged = fleet.now()
        fleet.tell()
        self._say(
            f"revoked {revocation.answer.tokens} tokens, acknowledged after "
            f"{(revocation.acknowledged - revocation.called) * 1000:.0f} ms"
        )

    def _close(self, fleet: Fleet, target: Target, record: Record, first: int) -> None:
        """What the target itself says of it all."""
        record.history.sort()
        revocation = record.revocation
        if revocation is not None:
            revocation.told, revocation.elsewhere = fleet.told(), fleet.elsewhere()
        if not record.away and not target.still_there():
            record.away = True
            record.why = record.why or "the target did not answer any more at the end"
        if record.away or not target.controlled:
            return
        try:
            if revocation is not None and revocation.answer is not None:
                gevent.sleep(COUNTED_SECONDS)
                record.ends = target.effect(revocation.answer.id)
            record.events = target.job_events(first, set(record.accessors))
        except LoadError as error:
            self._say(f"the target's own account could not be read: {error}")


def progress(now: float, pulse: Pulse, record: Record) -> str:
    """One line for whoever waits."""
    exchanges = record.history.exchanges
    return (
        f"{now:5.0f} s  {pulse.handed_out} sessions begun, {pulse.busy} under way, "
        f"{len(exchanges)} requests, {sum(not each.ok for each in exchanges)} of them not accepted"
    )


def load_average() -> float | None:
    """Over the last minute; None where the system does not say."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def say(words: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {words}\n")
    sys.stderr.flush()
