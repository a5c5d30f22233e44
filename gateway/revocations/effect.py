"""The effect report: what a revocation did, and what has happened at each surface since."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import NotFound
from gateway.store import Connection, Store, revocations, signals, uses
from gateway.store.revocations import EndedStreams, Refusals, Revocation, SparedJobs, Transfers
from gateway.store.signals import SignalCounts

#: What makes each surface end.
MECHANISMS = {
    "requests": "every request reads the token's row, and those of the tokens that minted it",
    "queued jobs": "failed in the revocation's transaction; a claim takes no job of a revoked token",
    "running jobs": "failed in the same transaction; the worker asks every 0.1 s whether the job is still its own",
    "spared jobs": "marked in the same transaction; a claim takes them, and nothing is served to a revoked token",
    "transfers": "each gateway looks at the tokens of open transfers every 0.1 s and resets their connections",
    "streams": "each gateway looks at the tokens of open streams every 0.1 s, and reads them with each event",
    "signed links": "the token behind a link is read at each request",
    "share links": "the token behind a share is read at each request",
    "webhook deliveries": "stopped in the same transaction, and the token is read once more before the bytes",
    "webhook endpoints": "a delivery is claimed only while the token is accepted",
    "child tokens": "revoked in the same transaction; minting reads the parent in its own",
}


@dataclass(frozen=True)
class SurfaceEffect:
    """How many of a surface's things ended; None where nothing is counted."""

    surface: str
    ended: int | None
    mechanism: str


@dataclass(frozen=True)
class TimeToDead:
    """The end of one surface at one gateway, as its requests show it. Times are Unix seconds, of the gateway's clock.

    `seconds` lie between the acknowledgement and the beginning of the last request that was accepted: 0 where none
    began later, None where none was ever accepted. `late_accepts` began later, refusals and bytes came later.
    """

    surface: str
    replica: str
    accepted: int
    last_accepted_at: float | None
    seconds: float | None
    late_accepts: int
    refusals: int
    first_refusal_at: float | None
    bytes_after: int


@dataclass(frozen=True)
class EffectReport:
    """A revocation and what came of it, as far as it has come."""

    revocation: Revocation
    spared: SparedJobs
    transfers: Transfers
    signals: SignalCounts
    streams: EndedStreams
    surfaces: tuple[SurfaceEffect, ...]
    time_to_dead: tuple[TimeToDead, ...]
    refusals: tuple[Refusals, ...]


async def report(store: Store, id: str) -> EffectReport:
    """The report on one revocation; raises NotFound."""

    def work(tx: Connection) -> EffectReport | None:
        revocation = revocations.get(tx, id)
        if revocation is None:
            return None
        spared, transfers = revocations.spared_jobs(tx, id), revocations.transfers(tx, revocation)
        refusals = tuple(revocations.refusals(tx, revocation))
        streams = revocations.streams(tx, revocation)
        told = signals.counts(tx, revocation.txn)
        surfaces = _surfaces(revocation, spared, transfers, streams, sum(one.count for one in refusals))
        return EffectReport(revocation, spared, transfers, told, streams, surfaces, _ends(tx, revocation), refusals)

    found = await store.read(work)
    if found is None:
        raise NotFound(f"There is no revocation {id[:80]!r}.", param="id", code="revocation_not_found")
    return found


def _ends(tx: Connection, revocation: Revocation) -> tuple[TimeToDead, ...]:
    """Every surface at every gateway that has seen the tokens, by name."""
    used = {(one.surface, one.replica): one for one in uses.of_ended(tx, revocation.id)}
    since = revocation.last_event
    refused = {(one.surface, one.replica): one for one in uses.refused_after(tx, revocation.id, since)}
    sent = uses.bytes_after(tx, revocation.id, since)
    found = []
    for key in sorted(used.keys() | refused.keys() | sent.keys()):
        use, refusal = used.get(key), refused.get(key)
        seconds = None if use is None else 0.0
        if use is not None and use.late:
            seconds = use.last_accepted_at - revocation.acknowledged_at
        found.append(
            TimeToDead(
                *key,
                accepted=0 if use is None else use.accepted,
                last_accepted_at=None if use is None else use.last_accepted_at,
                seconds=seconds,
                late_accepts=0 if use is None else use.late,
                refusals=0 if refusal is None else refusal.count,
                first_refusal_at=None if refusal is None else refusal.first_at,
                bytes_after=sent.get(key, 0),
            )
        )
    return tuple(found)


def _surfaces(
    revocation: Revocation, spared: SparedJobs, transfers: Transfers, streams: EndedStreams, refused: int
) -> tuple[SurfaceEffect, ...]:
    ended: dict[str, int | None] = {
        "requests": refused,
        "queued jobs": revocation.jobs_queued,
        "running jobs": revocation.jobs_running,
        "spared jobs": spared.stored + spared.withheld,
        "transfers": transfers.cut,
        "streams": streams.ended,
        "signed links": None,
        "share links": revocation.taken.links,
        "webhook deliveries": revocation.taken.deliveries,
        "webhook endpoints": revocation.taken.endpoints,
        "child tokens": revocation.taken.children,
    }
    return tuple(SurfaceEffect(name, ended[name], mechanism) for name, mechanism in MECHANISMS.items())
