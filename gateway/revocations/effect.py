"""The effect report: what a revocation did, and what has happened at each surface since."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import NotFound
from gateway.store import Connection, Store, revocations, signals
from gateway.store.revocations import Refusals, Revocation, SparedJobs, Transfers
from gateway.store.signals import SignalCounts

#: What makes each surface end.
MECHANISMS = {
    "requests": "every request reads the token's row, and those of the tokens that minted it",
    "queued jobs": "failed in the revocation's transaction; a claim takes no job of a revoked token",
    "running jobs": "failed in the same transaction; the worker asks every 0.1 s whether the job is still its own",
    "spared jobs": "marked in the same transaction; a claim takes them, and nothing is served to a revoked token",
    "transfers": "each gateway looks at the tokens of open transfers every 0.1 s and resets their connections",
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
class EffectReport:
    """A revocation and what came of it, as far as it has come."""

    revocation: Revocation
    spared: SparedJobs
    transfers: Transfers
    signals: SignalCounts
    surfaces: tuple[SurfaceEffect, ...]
    refusals: tuple[Refusals, ...]


async def report(store: Store, id: str) -> EffectReport:
    """The report on one revocation; raises NotFound."""

    def work(tx: Connection) -> EffectReport | None:
        revocation = revocations.get(tx, id)
        if revocation is None:
            return None
        spared, transfers = revocations.spared_jobs(tx, id), revocations.transfers(tx, revocation)
        refusals = tuple(revocations.refusals(tx, revocation))
        surfaces = _surfaces(revocation, spared, transfers, sum(one.count for one in refusals))
        told = signals.counts(tx, revocation.txn)
        return EffectReport(revocation, spared, transfers, told, surfaces, refusals)

    found = await store.read(work)
    if found is None:
        raise NotFound(f"There is no revocation {id[:80]!r}.", param="id", code="revocation_not_found")
    return found


def _surfaces(
    revocation: Revocation, spared: SparedJobs, transfers: Transfers, refused: int
) -> tuple[SurfaceEffect, ...]:
    ended: dict[str, int | None] = {
        "requests": refused,
        "queued jobs": revocation.jobs_queued,
        "running jobs": revocation.jobs_running,
        "spared jobs": spared.stored + spared.withheld,
        "transfers": transfers.cut,
        "signed links": None,
        "share links": revocation.taken.links,
        "webhook deliveries": revocation.taken.deliveries,
        "webhook endpoints": revocation.taken.endpoints,
        "child tokens": revocation.taken.children,
    }
    return tuple(SurfaceEffect(name, ended[name], mechanism) for name, mechanism in MECHANISMS.items())
