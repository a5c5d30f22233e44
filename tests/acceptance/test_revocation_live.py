"""Bulk revocations among processes: a gateway that is killed in the middle, two at once, and minting throughout."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from gateway.store import Connection, chain, jobs, open_store, tokens
from gateway.store.jobs import RenderRequest
from gateway.store.tokens import Token, TokenFilter, TokenState
from live import Live, eventually, live_gateway

T = TypeVar("T")

TOKENS = 300
JOBS = 10_000
REQUEST = RenderRequest("rain", "standard", "standard", "1280x720", 4, 30, 1)
COHORT = TokenFilter(cohort="alpha")


def in_store(live: Live, work: Callable[[Connection], T]) -> T:
    """Runs `work` on the gateways' database from outside, as one transaction."""

    async def run() -> T:
        store = open_store(live.supervisor.settings.database)
        try:
            return await store.write(work)
        finally:
            await store.close()

    return asyncio.run(run())


def fill(tx: Connection) -> None:
    """A cohort with a long waiting line, and a bystander."""
    now = time.time()
    for number in range(TOKENS + 1):
        name, cohort = f"tok_{number:03}", "alpha" if number < TOKENS else "beta"
        row = Token(
            name, name, cohort, ("videos:read",), (), "unlimited", TokenState.ACTIVE, now, None, None, None, None, None
        )
        tokens.insert(tx, row, os.urandom(32), os.urandom(32).hex())
    for number in range(JOBS):
        jobs.insert(tx, id=f"video_{number:032x}", accessor=f"tok_{number % TOKENS:03}", request=REQUEST, at=now)


def revoke(url: str, admin: str, **selector: Any) -> dict[str, Any]:
    answer = httpx.post(
        f"{url}/control/revocations",
        json={"selector": selector, "reason": "drill"},
        headers={"Authorization": f"Bearer {admin}"},
        timeout=60,
        trust_env=False,
    )
    answer.raise_for_status()
    done: dict[str, Any] = answer.json()
    return done


def standing(tx: Connection) -> tuple[Counter[str], int]:
    """States of the cohort's tokens, and how many jobs wait."""
    return Counter(str(one.state) for one in tokens.find(tx, COHORT)), jobs.queue_counts(tx).waiting


@pytest.mark.parametrize("after", [0.01, 0.05, 0.15])
def test_a_gateway_killed_amid_a_bulk_revocation_leaves_all_or_nothing(tmp_path: Path, after: float) -> None:
    with live_gateway(tmp_path / "data", workers=0, replicas=2, queue_limit=1_000_000) as live:
        in_store(live, fill)
        admin, (one, other) = live.supervisor.admin_token, live.urls

        def broken_off() -> None:
            with suppress(httpx.TransportError):  # or it was quicker than the end
                revoke(one, admin, cohort="alpha")

        asking = threading.Thread(target=broken_off)
        asking.start()
        time.sleep(after)
        live.supervisor.children[0].process.kill()
        live.supervisor.children[0].process.wait()
        asking.join()
        states, waiting = in_store(live, standing)
        assert (states, waiting) in (({"active": TOKENS}, JOBS), ({"revoked": TOKENS}, 0))
        live.supervisor.tend()  # starts it again, while the other one revokes
        done = revoke(other, admin, cohort="alpha")
        outcome = "revoked" if states == {"active": TOKENS} else "already"
        assert Counter(item["outcome"] for item in done["items"]) == {outcome: TOKENS}
        assert in_store(live, standing) == ({"revoked": TOKENS}, 0)
        assert in_store(live, lambda tx: tokens.find(tx, TokenFilter(cohort="beta")))[0].state is TokenState.ACTIVE
        eventually(lambda: ready(one))
    assert chain.verify(live.supervisor.settings.database).broken is None


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_two_revocations_at_once_take_each_token_once(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=0, replicas=2, queue_limit=1_000_000) as live:
        in_store(live, fill)
        admin = live.supervisor.admin_token
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(revoke, live.urls[number % 2], admin, cohort="alpha") for number in range(4)]
            answers = [one.result() for one in asked]
        outcomes = Counter((item["accessor"], item["outcome"]) for one in answers for item in one["items"])
        assert Counter(outcome for (_, outcome), _ in outcomes.items()) == {"revoked": TOKENS, "already": TOKENS}
        assert sum(one["tokens"] for one in answers) == TOKENS
        assert sum(one["jobs"]["queued"] for one in answers) == JOBS
        assert in_store(live, standing) == ({"revoked": TOKENS}, 0)
    assert chain.verify(live.supervisor.settings.database).broken is None


class Minter(threading.Thread):
    """Mints children that mint, and children of these, at one replica after the other, until all of them refuse."""

    def __init__(self, urls: list[str], first: str) -> None:
        super().__init__(daemon=True)
        self.urls = urls
        self.minted = [first]
        self.newest_that_mints = first
        self.refused = 0

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as http:
            for turn in range(100_000):
                shall_mint = turn % 4 == 0
                token = self.minted[0] if shall_mint else self.newest_that_mints
                answer = http.post(
                    f"{self.urls[turn % len(self.urls)]}/v1/tokens",
                    json={"scopes": ["videos:read", "tokens:mint"] if shall_mint else ["videos:read"]},
                    headers={"Authorization": f"Bearer {token}"},
                )
                assert answer.status_code in (201, 401), answer.text
                if answer.status_code == 201:
                    self.minted.append(answer.json()["token"])
                    if shall_mint:
                        self.newest_that_mints = self.minted[-1]
                self.refused = self.refused + 1 if answer.status_code == 401 else 0
                if self.refused >= 20:
                    return


def test_minting_at_every_replica_throughout_a_bulk_revocation_leaves_no_survivor(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=0, replicas=3) as live:
        scopes = ["videos:read", "tokens:mint"]
        parents = [
            live.control(
                "POST",
                "/control/tokens",
                json={"principal": f"p{number}", "cohort": "alpha", "tier": "unlimited", "scopes": scopes},
            )["token"]
            for number in range(4)
        ]
        bystander = live.issue("bystander", "beta")["token"]
        minters = [Minter(live.urls, parent) for parent in parents]
        for minter in minters:
            minter.start()
        eventually(lambda: all(len(minter.minted) > 5 for minter in minters))
        revoke(live.urls[1], live.supervisor.admin_token, cohort="alpha")
        for minter in minters:
            minter.join(60)
            assert not minter.is_alive()
        minted = [token for minter in minters for token in minter.minted]
        with httpx.Client(trust_env=False) as http:
            for url in live.urls:
                found = Counter(
                    http.get(f"{url}/v1/videos", headers={"Authorization": f"Bearer {token}"}).status_code
                    for token in minted
                )
                assert found == {401: len(minted)}
                good = http.get(f"{url}/v1/videos", headers={"Authorization": f"Bearer {bystander}"})
                assert good.status_code == 200
        states, _ = in_store(live, standing)
        assert set(states) == {"revoked"}
        assert states.total() == len(minted)
