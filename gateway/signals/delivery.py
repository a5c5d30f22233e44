"""Pushes what is queued to the sinks, from within the gateway (RFC 8935). Any number of gateways may do so.

A sink has one connection from each gateway, so that it gets the oldest first; what it did not take waits, and the next
one goes. The row and the sink are looked at again when the connection stands.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.events import EventKind
from gateway.outbound import Flights, Policy, Reach, Reply, Resolver, Stopped, post, system_resolver
from gateway.outbound.rounds import LEASE_SPARE_SECONDS, asked_seconds, retry_delay, tried
from gateway.signals import claims
from gateway.signals.keys import TYPE, Signer
from gateway.store import Connection, Store, attempts, events, signals, sinks
from gateway.store.signals import OUTBOX, Signal, SignalState
from gateway.store.sinks import Sink, SinkStatus

ACTOR = "gateway"
ACCEPTED = 202
# Refusals that ask for another attempt themselves (RFC 9110, section 15.5.9; RFC 6585, section 4).
PATIENT = frozenset({408, 429})
GONE = "The sink was deleted."
INTERRUPTED = "The gateway was ended during the last attempt."
MAX_ANSWER = 4096
ERR = re.compile(r"[A-Za-z_]{1,40}")


@dataclass(frozen=True)
class Pusher:
    """How tokens go out. `timeout` is seconds for the whole call."""

    allow_private: Reach
    timeout: float
    resolve: Resolver = system_resolver


@dataclass(frozen=True)
class Verdict:
    """What an attempt came to: taken (no `error`), `final`, or to be tried again, not before `asked` seconds."""

    status: int | None = None
    error: str | None = None
    err: str | None = None
    final: bool = False
    asked: float | None = None


class SignalDeliverer:
    """Takes due signals, signs and sends them. `run` it for ever; after cancelling that, close its `flights`."""

    def __init__(self, store: Store, clock: Clock, signer: Signer, pusher: Pusher, policy: Policy) -> None:
        self._store = store
        self._clock = clock
        self._signer = signer
        self._pusher = pusher
        self._policy = policy
        self.flights = Flights(policy, "signal")

    async def run(self, every: float) -> None:
        """Looks for due signals each `every` seconds, and whenever one of ours has made room."""
        await self.flights.run(self.sweep, every)

    async def sweep(self) -> int:
        """Starts what is due and has room; the number of rows it moved."""
        now = self._clock.now()
        if not await self._store.read(lambda tx: attempts.any_due(tx, OUTBOX, now), snapshot=False):
            return 0
        ready = self.flights.with_room(
            await self._store.read(lambda tx: signals.due(tx, now)), lambda signal: signal.sink
        )
        if not ready:
            return 0
        until = now + self._pusher.timeout + LEASE_SPARE_SECONDS
        moved, ours = await self._store.write(lambda tx: _claim(tx, ready, self._policy, now, until), brief=True)
        for signal, sink in ours:
            self.flights.start(sink.id, self._push(signal, sink))
        return moved

    async def _push(self, signal: Signal, sink: Sink) -> bool | None:
        """Whether the sink answered as one that works; None where nothing was sent."""
        reply = await tried(self._send(signal, sink), what="signal", id=signal.id)
        if reply is None:
            return None
        verdict = judged(reply, sink, self._clock.now())
        await self._store.write(lambda tx: self._settle(tx, signal, verdict), brief=True)
        return verdict.error is None or verdict.final

    async def _send(self, signal: Signal, sink: Sink) -> Reply:
        token = await asyncio.to_thread(self._signer.sign, claims.whole(signal, sink))
        headers = {"Content-Type": f"application/{TYPE}", "Accept": "application/json"}
        if sink.authorization is not None:
            headers["Authorization"] = sink.authorization
        return await post(
            sink.url,
            content=token.encode(),
            headers=headers,
            allow_private=self._pusher.allow_private,
            timeout=self._pusher.timeout,
            resolve=self._pusher.resolve,
            before_sending=lambda: self._last_look(signal),
            wanted=MAX_ANSWER,
        )

    async def _last_look(self, signal: Signal) -> None:
        """Raises Stopped where the row ended, or its sink was paused, since the claim."""

        def look(tx: Connection) -> tuple[bool, Sink | None]:
            return attempts.still_pending(tx, OUTBOX, signal), sinks.get(tx, signal.sink)

        pending, sink = await self._store.read(look)
        paused = sink is not None and sink.status is SinkStatus.PAUSED
        if pending and paused:
            await self._store.write(lambda tx: signals.unclaim(tx, signal), brief=True)
        if paused or not pending:
            raise Stopped(signal.id)

    def _settle(self, tx: Connection, signal: Signal, verdict: Verdict) -> None:
        now = self._clock.now()
        if verdict.error is None:
            _end(tx, signal, SignalState.DELIVERED, verdict, now)
        elif verdict.final or signal.attempts >= self._policy.attempts:
            _end(tx, signal, SignalState.DEAD, verdict, now)
        else:
            wait = retry_delay(self._policy, signal.attempts, seed=signal.id, asked=verdict.asked)
            attempts.postpone(tx, OUTBOX, signal, until=now + wait, status_code=verdict.status, error=verdict.error)


def judged(reply: Reply | str, sink: Sink, now: float) -> Verdict:
    """What an answer, or the reason why there is none, means (RFC 8935, sections 2.2 to 2.4)."""
    if isinstance(reply, str):
        return Verdict(error=reply)
    if reply.status == ACCEPTED:
        return Verdict(reply.status)
    asked = asked_seconds(reply.retry_after, now)
    error, err = f"The sink answered {reply.status}.", None
    final = 400 <= reply.status < 500 and reply.status not in PATIENT
    if reply.status == 400:
        err, description = _refusal(reply.content, hidden=(sink.authorization or "").split())
        error = f"The sink refused it: {err or 'no err was given'}{': ' + description if description else '.'}"
    return Verdict(reply.status, error, err, final, asked)


def _refusal(content: bytes, hidden: Sequence[str]) -> tuple[str | None, str]:
    """`err` and `description` of a refusal, as far as the body has them and they can be shown: the words of the header
    that went with the event, which a sink may repeat, are `hidden`."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None, ""
    fields = body if isinstance(body, dict) else {}
    err, description = fields.get("err"), fields.get("description")
    shown = "".join(one if one.isprintable() else "�" for one in description) if isinstance(description, str) else ""
    for word in hidden:
        shown = shown.replace(word, "[authorization]")
    return err if isinstance(err, str) and ERR.fullmatch(err) and err not in hidden else None, shown[:200]


def _claim(
    tx: Connection, due: Sequence[Signal], policy: Policy, now: float, until: float
) -> tuple[int, list[tuple[Signal, Sink]]]:
    """How many rows were moved, and those that are ours to send."""
    moved, ours = 0, []
    for signal in due:
        sink = sinks.get(tx, signal.sink)
        if sink is None or sink.status is SinkStatus.DISABLED:
            moved += _end(tx, signal, SignalState.DROPPED, Verdict(error=GONE), now)
        elif sink.status is SinkStatus.PAUSED:
            moved += signals.hold(tx, sink.id)
        elif signal.attempts >= policy.attempts:
            moved += _end(tx, signal, SignalState.DEAD, Verdict(error=INTERRUPTED), now)
        elif (claimed := signals.claim(tx, signal, now=now, until=until)) is not None:
            moved += 1
            ours.append((claimed, sink))
    return moved, ours


_ENDS = {
    SignalState.DELIVERED: EventKind.SIGNAL_DELIVERED,
    SignalState.DEAD: EventKind.SIGNAL_DEAD,
    SignalState.DROPPED: EventKind.SIGNAL_DROPPED,
}


def _end(tx: Connection, signal: Signal, state: SignalState, verdict: Verdict, now: float) -> bool:
    ended = attempts.end(tx, OUTBOX, signal, state, status_code=verdict.status, error=verdict.error, at=now)
    if not ended:
        return False
    if verdict.err is not None:
        signals.set_err(tx, signal, verdict.err)
    data = {
        "signal": signal.id,
        "sink": signal.sink,
        "event": signal.kind,
        "txn": signal.txn,
        "attempts": signal.attempts,
        "status_code": verdict.status,
        "err": verdict.err,
    }
    events.append(tx, _ENDS[state], at=now, actor=ACTOR, accessor=signal.accessor, data=data)
    return True
