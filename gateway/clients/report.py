"""The report: each token's client, what it was seen doing, a verdict and advice."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.clients.habits import HABITS, is_fault
from gateway.errors import NotFound
from gateway.store import Connection, Store, findings, jobs, tokens
from gateway.store.findings import Finding
from gateway.tokens import Token, TokenFilter


@dataclass(frozen=True)
class ClientReport:
    """One token's client. `advice` has a sentence for each fault, the most frequent first."""

    token: Token
    findings: list[Finding]

    @property
    def faults(self) -> list[Finding]:
        """What was seen more often than is tolerated."""
        return [one for one in self.findings if is_fault(one.finding, one.count)]

    @property
    def advice(self) -> list[str]:
        """What to do about the faults."""
        return [HABITS[one.finding].advice for one in self.faults]


async def report(store: Store, which: TokenFilter, limit: int) -> list[ClientReport]:
    """The clients of the tokens that match and were used, oldest token first."""

    def work(tx: Connection) -> list[ClientReport]:
        found = tokens.find(tx, which, limit)
        seen = findings.of_tokens(tx, [token.accessor for token in found])
        return [
            ClientReport(token, seen[token.accessor])
            for token in found
            if token.last_used_at is not None or seen[token.accessor]
        ]

    return await store.read(work)


async def report_one(store: Store, accessor: str) -> ClientReport:
    """One token's client; raises NotFound."""

    def work(tx: Connection) -> ClientReport | None:
        token = tokens.by_accessor(tx, accessor)
        return ClientReport(token, findings.of_tokens(tx, [accessor])[accessor]) if token else None

    found = await store.read(work)
    if found is None:
        raise NotFound(f"There is no token {accessor[:80]!r}.", param="accessor", code="token_not_found")
    return found


async def owner_of(store: Store, video: str) -> str | None:
    """The accessor of the token that a video belongs to."""
    job = await store.read(lambda tx: jobs.get(tx, video))
    return job.accessor if job else None
