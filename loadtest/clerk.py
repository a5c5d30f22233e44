"""Hands arrivals to users at the time they are due. Brings gevent in.

Locust's users are the N people who can be served at once. The clerk does not wait for them: what is due is handed out,
and where every user is busy it waits for one. That wait is counted and told, since a load test that swallows it would
measure a kinder day than the one it planned (coordinated omission).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import gevent
from gevent.queue import SimpleQueue

from loadtest.arrivals import Arrival
from loadtest.client import Line, Session
from loadtest.history import History
from loadtest.visiting import visit

MOST_EXCHANGES = 3_000_000


class Clerk:
    """One process's share of the schedule."""

    def __init__(self, arrivals: Sequence[Arrival], tokens: Sequence[str], seed: int) -> None:
        self.history = History()
        self.line = Line(self.history, self.now, gevent.sleep)
        self._arrivals = arrivals
        self._tokens = tokens
        self._seed = seed
        self._go = math.inf
        self._due: SimpleQueue[tuple[Arrival, float, bool]] = SimpleQueue()
        self._closed = False
        self.waiting = 0
        self.handed_out = 0
        self.busy = 0

    def now(self) -> float:
        """Seconds since the schedule began."""
        return time.monotonic() - self._go

    def begin(self, go: float) -> None:
        """`go` is the moment of `time.monotonic()` at which the schedule begins."""
        self._go = go
        gevent.spawn(self._hand_out)

    def _hand_out(self) -> None:
        """Every arrival at its time, until closed."""
        for arrival in self._arrivals:
            delay = arrival.due - self.now()
            if delay > 0:
                gevent.sleep(delay)
            if self.over:
                return
            self.handed_out += 1
            held = self._due.qsize() >= self.waiting
            self._due.put((arrival, self.now(), held))

    def serve(self, session: Session, finish: Callable[[], None]) -> None:
        """Lets a user take what is due next; `finish` closes its connections."""
        self.waiting += 1
        try:
            arrival, handed, held = self._due.get()
        finally:
            self.waiting -= 1
        if self._closed:
            self.history.unstarted += 1
            return
        self.busy += 1
        try:
            token = self._tokens[arrival.token]
            visit(arrival, session, self.line, token, handed=handed, held=held, seed=self._seed)
        finally:
            self.busy -= 1
            finish()

    def close(self) -> None:
        """Hands out no more; what was handed out and not begun is counted as unstarted."""
        if self._closed:
            return
        self._closed = True
        while not self._due.empty():
            self._due.get()
            self.history.unstarted += 1

    @property
    def quiet(self) -> bool:
        """Whether nobody is being served and nothing is due."""
        return self.busy == 0 and self._due.empty()

    @property
    def full(self) -> bool:
        """Whether the history holds no more."""
        return len(self.history.exchanges) >= MOST_EXCHANGES

    @property
    def over(self) -> bool:
        """Whether the schedule is handed out, or ends here."""
        return self._closed or self.full or self.handed_out == len(self._arrivals)
