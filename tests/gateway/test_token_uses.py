"""How long each surface lives after a revocation, by what was accepted and refused there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from desk import Desk, DeskMaker, bearer_of
from footage import picture
from gateway.errors import StoreUnavailable
from gateway.outbound import Policy
from gateway.store import Connection, revocations, uses
from gateway.tokens.usage import ANSWER_SECONDS, UsageBook
from gateway.web.surfaces import BY_ROUTE, FILES, OTHER, SUBMIT, surface_of
from gateway.webhooks.delivery import Deliverer
from gateway.webhooks.sending import Sender
from receiver import receiving
from tampering import raw

pytestmark = pytest.mark.anyio

Row = dict[str, Any]


async def flushed(desk: Desk) -> None:
    await desk.context.usage.flush(desk.store)


async def effect_of(desk: Desk, revocation: dict[str, Any]) -> dict[str, Any]:
    await flushed(desk)
    answer = await desk.http.get(f"/control/revocations/{revocation['id']}", headers=desk.admin)
    assert answer.status_code == 200, answer.text
    effect: dict[str, Any] = answer.json()["effect"]
    return effect


async def ends(desk: Desk, revocation: dict[str, Any]) -> dict[tuple[str, str], Row]:
    found = (await effect_of(desk, revocation))["time_to_dead"]
    return {(one["surface"], one["replica"]): one for one in found}


async def uses_of(desk: Desk, accessor: str) -> list[Row]:
    await flushed(desk)
    answer = await desk.http.get(f"/control/tokens/{accessor}", headers=desk.admin)
    found: list[Row] = answer.json()["uses"]
    return found


async def test_every_accepted_use_is_counted_at_its_surface(make_desk: DeskMaker) -> None:
    desk = await make_desk(allow_private_targets="loopback")
    issued = await desk.issue(scopes=["videos:read", "videos:write", "tokens:mint"], tier="unlimited")
    headers = bearer_of(issued)

    async def ask(method: str, path: str, **options: Any) -> Any:
        answer = await desk.http.request(method, path, headers={**headers, **options.pop("more", {})}, **options)
        assert answer.status_code < 400, answer.text
        return answer

    video = f"/v1/videos/{(await desk.create(headers))['id']}"
    await desk.finished()
    etag = (await ask("HEAD", f"{video}/content")).headers["etag"]
    link = (await ask("POST", f"{video}/link")).json()["url"].removeprefix("http://gateway.test")
    shared = (await ask("POST", f"{video}/share")).json()["url"].removeprefix("http://gateway.test")
    files = {"input_reference": ("p.png", picture(480, 480), "image/png")}
    await ask("POST", "/v1/videos", data={"prompt": "x", "size": "480x480"}, files=files)
    await ask("POST", "/v1/videos", json={"prompt": "x"}, more={"Idempotency-Key": "once"})
    await ask("POST", "/v1/videos", json={"prompt": "x"}, more={"x-stainless-retry-count": "1"})
    await ask("GET", video)
    await ask("GET", video)
    await ask("GET", f"{video}/events")
    await ask("GET", "/v1/videos")
    await ask("GET", f"{video}/content")
    await ask("GET", f"{video}/content", more={"Range": "bytes=0-3"})
    await ask("GET", f"{video}/content", more={"If-None-Match": etag})
    for path in (link, shared):
        assert (await desk.http.get(path)).status_code == 200
        assert (await desk.http.head(path)).status_code == 200
        assert (await desk.http.get(path, headers={"Range": "bytes=0-3"})).status_code == 206
        assert (await desk.http.get(path, headers={"If-None-Match": etag})).status_code == 304
    await ask("POST", "/v1/tokens", json={})
    body = {"token": issued["token"]}
    assert (await desk.http.post("/oauth/introspect", data=body, headers=desk.admin)).json()["active"]
    with receiving() as receiver:
        hook = {"name": "mine", "url": receiver.url("/"), "event_types": ["video.completed"]}
        await ask("POST", "/v1/webhook_endpoints", json=hook)
        await desk.finished()
        sender = Sender("loopback", 5.0)
        deliverer = Deliverer(desk.store, desk.clock, sender, Policy(), desk.context.usage)
        while await deliverer.sweep():
            await deliverer.flights.landed()
    found = {one["surface"]: one["accepted"] for one in await uses_of(desk, issued["accessor"])}
    assert found == {
        "submit": 1,
        "upload": 1,
        "idempotent replay": 2,
        "poll": 2,
        "stream": 1,
        "list": 1,
        "HEAD": 1,
        "download": 1,
        "range": 1,
        "304": 1,
        "new signed link": 1,
        "signed link": 1,
        "signed link, HEAD": 1,
        "signed link, range": 1,
        "signed link, 304": 1,
        "new share": 1,
        "share link": 1,
        "share link, HEAD": 1,
        "share link, range": 1,
        "share link, 304": 1,
        "mint": 1,
        "introspection": 1,
        "webhook create": 1,
        "webhook delivery": 1,
    }


async def test_whatever_takes_a_token_has_a_surface_of_its_own(desk: Desk) -> None:
    document = (await desk.http.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation.get("security") == [{"token": []}]:
                assert (method.upper(), path) in BY_ROUTE or path in FILES or (method.upper(), path) == SUBMIT

    class Elsewhere:
        path = "/status"

    assert surface_of({"method": "GET", "route": Elsewhere}) == OTHER


async def test_a_strict_gateway_accepts_nothing_late_at_any_surface(desk: Desk) -> None:
    leaked, bystander = await desk.issue("leaked"), await desk.issue("bystander")
    headers = bearer_of(leaked)
    video = f"/v1/videos/{(await desk.create(headers))['id']}"
    began = desk.clock.now()
    for _ in range(3):
        assert (await desk.http.get(video, headers=headers)).status_code == 200
    assert (await desk.http.get("/v1/videos", headers=bearer_of(bystander))).status_code == 200
    desk.clock.advance(5)
    done = (await desk.revoke({"principal": "leaked"})).json()
    desk.clock.advance(2)
    for path in (video, video, "/v1/models"):
        assert (await desk.http.get(path, headers=headers)).status_code == 401
    found = await ends(desk, done)
    assert found["poll", "r1"] == {
        "surface": "poll",
        "replica": "r1",
        "accepted": 3,
        "last_accepted_at": began,
        "seconds": 0.0,
        "late_accepts": 0,
        "refusals": 2,
        "first_refusal_at": done["acknowledged_at"] + 2,
        "bytes_after": 0,
    }
    assert (found["models", "r1"]["seconds"], found["models", "r1"]["refusals"]) == (None, 1)
    assert found["models", "r1"]["last_accepted_at"] is None
    assert found["submit", "r1"]["refusals"] == 0
    assert ("list", "r1") not in found
    assert (await effect_of(desk, done))["late_accepts"] == 0


async def test_what_a_lagging_gateway_accepts_afterwards_is_counted_to_the_request(desk: Desk) -> None:
    leaked, other = await desk.issue("leaked"), await desk.issue("other")
    lagging = UsageBook(desk.clock, "r2")
    lagging.note(leaked["accessor"], "poll", desk.clock.now())
    done = (await desk.revoke({"principal": "leaked"})).json()
    acknowledged = done["acknowledged_at"]
    for late in (0.0, 0.5, 2.5):
        lagging.note(leaked["accessor"], "poll", acknowledged + late)
    lagging.note_behind(leaked["accessor"], "signed link", acknowledged + 1.0)
    lagging.note(other["accessor"], "poll", acknowledged + 9.0)
    await lagging.flush(desk.store)
    lagging.note(leaked["accessor"], "poll", acknowledged + 1.5)
    await lagging.flush(desk.store)
    found = await ends(desk, done)
    assert {key: (one["accepted"], one["late_accepts"], one["seconds"]) for key, one in found.items()} == {
        ("poll", "r2"): (5, 3, 2.5),
        ("signed link", "r2"): (1, 1, 1.0),
    }
    assert (await effect_of(desk, done))["late_accepts"] == 4
    (use,) = [one for one in await uses_of(desk, leaked["accessor"]) if one["surface"] == "poll"]
    assert (use["replica"], use["accepted"], use["late"]) == ("r2", 5, 3)
    assert use["last_accepted_at"] == acknowledged + 2.5
    (fine,) = await uses_of(desk, other["accessor"])
    assert fine["late"] == 0


async def test_every_request_that_a_late_learner_accepts_is_told(make_desk: DeskMaker) -> None:
    desk = await make_desk(replica="r2")
    headers = await desk.bearer()
    video = f"/v1/videos/{(await desk.create(headers))['id']}"
    await desk.finished(b"0123456789")
    body = {"profile": "bounded", "seconds": 8}
    assert (await desk.http.patch("/control/replicas", json=body, headers=desk.admin)).status_code == 200
    desk.clock.advance(9)
    done = (await desk.revoke({"principal": "tester-001"})).json()
    began: dict[str, list[float]] = {"poll": [], "download": []}
    refused = dict.fromkeys(began, 0)
    for _ in range(40):
        desk.clock.advance(0.25)
        for surface, path in (("poll", video), ("download", f"{video}/content")):
            answer = await desk.http.get(path, headers=headers)
            if answer.status_code == 200:
                began[surface].append(desk.clock.now())
            else:
                refused[surface] += 1
    found = await ends(desk, done)
    for surface, starts in began.items():
        one = found[surface, "r2"]
        assert (one["late_accepts"], one["refusals"]) == (len(starts), refused[surface])
        assert one["seconds"] == max(starts) - done["acknowledged_at"]
        assert 4 < one["seconds"] <= 8
        assert one["last_accepted_at"] < one["first_refusal_at"]
    assert found["download", "r2"]["bytes_after"] == 10 * len(began["download"])


async def test_a_child_that_escaped_counts_for_the_revocation_of_its_parent(desk: Desk) -> None:
    parent = await desk.issue("leaked", scopes=["videos:read", "tokens:mint"])
    child = (await desk.http.post("/v1/tokens", json={}, headers=bearer_of(parent))).json()
    await flushed(desk)
    done = (await desk.revoke({"accessor": parent["accessor"]})).json()
    desk.context.usage.note(child["accessor"], "poll", done["acknowledged_at"] + 3)
    found = await ends(desk, done)
    assert (found["poll", "r1"]["late_accepts"], found["poll", "r1"]["seconds"]) == (1, 3.0)


async def test_a_use_waits_for_an_acknowledgement_that_is_under_way(desk: Desk) -> None:
    leaked = await desk.issue("leaked")
    done = (await desk.revoke({"principal": "leaked"})).json()
    recorded = desk.clock.now()

    def acknowledge(at: float | None) -> Callable[[Connection], int]:
        return lambda tx: tx.execute("UPDATE revocations SET acknowledged_at = :at", {"at": at})

    # As between the commit and its answer: what began then met a row that was not yet revoked.
    await desk.store.write(acknowledge(None))
    desk.context.usage.note(leaked["accessor"], "poll", recorded + 0.2)
    desk.context.usage.note(leaked["accessor"], "poll", recorded + 0.4)
    desk.clock.advance(0.5)
    assert await uses_of(desk, leaked["accessor"]) == []
    await desk.store.write(lambda tx: revocations.acknowledge(tx, done["id"], recorded + 0.3))
    (use,) = await uses_of(desk, leaked["accessor"])
    assert (use["accepted"], use["late"]) == (2, 1)
    # Nobody was told of a revocation that was never answered, so nothing came late to it.
    await desk.store.write(acknowledge(None))
    desk.context.usage.note(leaked["accessor"], "list", recorded + 0.4)
    desk.clock.advance(ANSWER_SECONDS + 1)
    (listed, _) = sorted(await uses_of(desk, leaked["accessor"]), key=lambda one: str(one["surface"]))
    assert (listed["surface"], listed["accepted"], listed["late"]) == ("list", 1, 0)


async def test_the_acknowledgement_lies_behind_the_commit(desk: Desk) -> None:
    await desk.issue("leaked")
    done = (await desk.revoke({"principal": "leaked"})).json()
    ((recorded, acknowledged),) = raw(desk, "SELECT recorded_at, acknowledged_at FROM revocations")
    assert recorded <= acknowledged == done["acknowledged_at"]


async def test_uses_that_could_not_be_written_are_written_later(desk: Desk) -> None:
    leaked = await desk.issue("leaked")
    book = desk.context.usage
    book.note(leaked["accessor"], "poll", 7.0)
    await desk.store.write(lambda tx: tx.execute("ALTER TABLE token_uses RENAME TO elsewhere"))
    with pytest.raises(StoreUnavailable):
        await book.flush(desk.store)
    book.note(leaked["accessor"], "poll", 8.0)
    await desk.store.write(lambda tx: tx.execute("ALTER TABLE elsewhere RENAME TO token_uses"))
    (use,) = await uses_of(desk, leaked["accessor"])
    assert (use["accepted"], use["last_accepted_at"]) == (2, 8.0)


async def test_a_reset_forgets_all_uses_and_none_comes_back(desk: Desk) -> None:
    leaked = await desk.issue("leaked")
    late = UsageBook(desk.clock, "r2")
    late.note(leaked["accessor"], "poll", 7.0)
    desk.context.usage.note(leaked["accessor"], "poll", 7.0)
    await flushed(desk)
    desk.context.usage.note(leaked["accessor"], "poll", 8.0)
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    await flushed(desk)
    await late.flush(desk.store)
    assert await desk.store.read(lambda tx: uses.of_token(tx, leaked["accessor"])) == []


@pytest.mark.sqlite_alone
async def test_the_report_reads_what_came_afterwards_by_index(desk: Desk) -> None:
    await desk.issue()
    done = (await desk.revoke({"principal": "tester-001"})).json()
    plans: list[str] = []

    def work(tx: Connection) -> None:
        class Explaining:
            sight = getattr(tx, "sight", None)

            def fetch_all(self, sql: str, params: dict[str, object]) -> list[Any]:
                plans.extend(row["detail"] for row in tx.fetch_all(f"EXPLAIN QUERY PLAN {sql}", params))
                return []

        uses.refused_after(Explaining(), done["id"], 0)  # type: ignore[arg-type]
        uses.bytes_after(Explaining(), done["id"], 0)  # type: ignore[arg-type]

    await desk.store.read(work)
    assert sum("USING INDEX events_afterwards" in plan for plan in plans) == 2, plans
    assert not [plan for plan in plans if plan.startswith("SCAN events")]
