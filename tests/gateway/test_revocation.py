import asyncio
from typing import Any

import pytest

from desk import Desk, bearer_of
from gateway.jobs import lifecycle
from tampering import raw, refusing

pytestmark = pytest.mark.anyio


async def populated(desk: Desk) -> dict[str, dict[str, Any]]:
    """Three alpha testers and a partner, each with a finished, a running and a queued job; the finished one's link."""
    people: dict[str, dict[str, Any]] = {}
    for principal, cohort in [("a1", "alpha"), ("a2", "alpha"), ("a3", "alpha"), ("p1", "partner")]:
        issued = await desk.issue(principal, cohort)
        done = await desk.create(bearer_of(issued))
        await desk.finished()
        link = (await desk.http.post(f"/v1/videos/{done['id']}/link", headers=bearer_of(issued))).json()["url"]
        running = await desk.create(bearer_of(issued))
        job = await desk.claimed()
        assert job.id == running["id"]
        people[principal] = {**issued, "done": done["id"], "link": link, "running": job}
    for one in people.values():
        one["queued"] = (await desk.create(bearer_of(one)))["id"]
    return people


async def surfaces(desk: Desk, one: dict[str, Any]) -> dict[str, int]:
    """Every surface of one token and the status that it answers."""
    headers, video = bearer_of(one), f"/v1/videos/{one['done']}"
    calls: dict[str, tuple[str, str, dict[str, Any]]] = {
        "submit": ("POST", "/v1/videos", {"json": {"prompt": "x"}}),
        "poll": ("GET", video, {}),
        "list": ("GET", "/v1/videos", {}),
        "download": ("GET", f"{video}/content", {}),
        "range": ("GET", f"{video}/content", {"range": True}),
        "head": ("HEAD", f"{video}/content", {}),
        "new link": ("POST", f"{video}/link", {}),
        "cancel": ("POST", f"{video}/cancel", {}),
        "models": ("GET", "/v1/models", {}),
    }
    seen = {}
    for name, (method, path, more) in calls.items():
        extra = {"Range": "bytes=0-3"} if more.pop("range", False) else {}
        answer = await desk.http.request(method, path, headers={**headers, **extra}, **more)
        seen[name] = answer.status_code
    for name, extra in [("link", {}), ("link range", {"Range": "bytes=0-3"})]:
        seen[name] = (await desk.http.get(one["link"], headers=extra)).status_code
    seen["link head"] = (await desk.http.head(one["link"])).status_code
    return seen


SELECTORS = [
    ("token", {"a1"}),
    ("accessor", {"a1"}),
    ("principal", {"a1"}),
    ("cohort", {"a1", "a2", "a3"}),
    ("issued_before", {"a1", "a2", "a3", "p1"}),
    ("all", {"a1", "a2", "a3", "p1"}),
]


@pytest.mark.parametrize(("kind", "hit"), SELECTORS)
async def test_a_selector_takes_whom_it_names_and_nobody_else(desk: Desk, kind: str, hit: set[str]) -> None:
    people = await populated(desk)
    value: Any = {
        "token": people["a1"]["token"],
        "accessor": people["a1"]["accessor"],
        "principal": "a1",
        "cohort": "alpha",
        "issued_before": desk.clock.now() + 1,
        "all": True,
    }[kind]
    preview = (
        await desk.http.post("/control/revocations/preview", json={"selector": {kind: value}}, headers=desk.admin)
    ).json()
    answer = await desk.revoke({kind: value}, **({"confirm": "all"} if kind == "all" else {}))
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert done["tokens"] == preview["tokens"] == len(hit)
    assert done["jobs"] == preview["jobs"] == {"queued": len(hit), "running": len(hit)}
    assert preview["bystanders"] == 4 - len(hit)
    assert {item["principal"] for item in preview["items"]} == hit
    assert {(item["principal"], item["outcome"]) for item in done["items"]} == {(name, "revoked") for name in hit}
    for name, one in people.items():
        expected = {401} if name in hit else {200, 206}
        assert set((await surfaces(desk, one)).values()) <= expected, name
    assert people["a1"]["token"] not in answer.text


async def test_jobs_end_with_the_revocation(desk: Desk) -> None:
    people = await populated(desk)
    await desk.revoke({"cohort": "alpha"})
    query = (
        "SELECT status, error_code, count(*) FROM jobs JOIN tokens USING (accessor) "
        "WHERE cohort = 'alpha' GROUP BY status, error_code ORDER BY status"
    )
    assert raw(desk, query) == [("completed", None, 3), ("failed", "access_revoked", 6)]
    status = (await desk.http.get("/status")).json()
    assert status["queue"] == {"waiting": 1, "running": 1}
    # What a worker held is no longer its own, and what it made is not published.
    held = [(one["running"].id, one["running"].attempt) for one in people.values()]
    assert await lifecycle.lost(desk.store, held) == held[:3]
    assert await desk.complete(people["a1"]["running"]) is False
    assert await desk.complete(people["p1"]["running"]) is True
    # The only job left to claim is the bystander's.
    assert (await desk.claimed()).id == people["p1"]["queued"]
    assert await desk.claim() is None


async def test_everyone_needs_a_second_word(desk: Desk) -> None:
    headers = await desk.bearer()
    answer = await desk.revoke({"all": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "confirmation_required")
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 200
    assert (await desk.revoke({"all": True}, confirm="all")).status_code == 200
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 401


async def test_doing_it_again_changes_nothing(desk: Desk) -> None:
    first = await desk.issue("a1")
    await desk.revoke({"cohort": "alpha"})
    await desk.issue("a2")
    desk.clock.advance(60)
    again = (await desk.revoke({"cohort": "alpha"})).json()
    assert again["tokens"] == 1
    assert {item["principal"]: item["outcome"] for item in again["items"]} == {"a1": "already", "a2": "revoked"}
    shown = (await desk.http.get(f"/control/tokens/{first['accessor']}", headers=desk.admin)).json()
    assert shown["revoked_at"] == desk.clock.now() - 60


async def test_a_tombstone_keeps_what_an_inquiry_needs(desk: Desk) -> None:
    issued = await desk.issue("a1", labels=["wave-1"])
    done = (await desk.revoke({"accessor": issued["accessor"]}, reason="found on a public page")).json()
    shown = (await desk.http.get(f"/control/tokens/{issued['accessor']}", headers=desk.admin)).json()
    assert shown["state"] == "revoked"
    assert (shown["principal"], shown["cohort"], shown["labels"]) == ("a1", "alpha", ["wave-1"])
    assert (shown["revoked_reason"], shown["revocation"]) == ("found on a public page", done["id"])
    kept = (await desk.http.get(f"/control/revocations/{done['id']}", headers=desk.admin)).json()
    effect = kept.pop("effect")
    assert kept == done
    assert effect["bystanders_touched"] == 0
    assert (await desk.http.get("/control/revocations", headers=desk.admin)).json()["data"] == [done]


@pytest.mark.parametrize(
    ("selector", "status", "code"),
    [
        ({"accessor": "tok_0000"}, 404, "token_not_found"),
        ({"cohort": "nobody"}, 404, "token_not_found"),
        ({"token": "ldk_" + "0" * 36}, 400, "invalid_value"),
        ({"token": "not a token"}, 400, "invalid_value"),
    ],
)
async def test_a_selector_that_means_nobody(desk: Desk, selector: dict[str, Any], status: int, code: str) -> None:
    headers = await desk.bearer()
    answer = await desk.revoke(selector)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 200


async def test_where_the_event_cannot_be_written_nothing_happens(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.create(bearer_of(issued))
    with refusing(desk, "INSERT", "events"):
        answer = await desk.revoke({"cohort": "alpha"})
    assert answer.status_code in (500, 503)
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 200
    assert (await desk.claimed()).status == "in_progress"
    assert (await desk.http.get("/control/revocations", headers=desk.admin)).json()["data"] == []


async def test_no_submit_slips_past_a_revocation(desk: Desk) -> None:
    headers = await desk.bearer()

    async def submit() -> tuple[int, str]:
        answer = await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=headers)
        return answer.status_code, answer.json().get("id", "")

    submits = [asyncio.create_task(submit()) for _ in range(30)]
    revoking = asyncio.create_task(desk.revoke({"cohort": "alpha"}))
    submits += [asyncio.create_task(submit()) for _ in range(30)]
    await revoking
    answers = await asyncio.gather(*submits)
    assert {status for status, _ in answers} <= {200, 401}
    assert await submit() == (401, "")
    assert await desk.claim() is None
    assert (await desk.http.get("/status")).json()["queue"] == {"waiting": 0, "running": 0}


async def test_the_phase_follows_the_exposure(desk: Desk) -> None:
    await desk.issue("a1")
    await desk.issue("a2")

    async def phase() -> str:
        return str((await desk.http.get("/status")).json()["phase"])

    await desk.issue("left-over")
    await desk.revoke({"principal": "a1"})
    assert await phase() == "normal"
    await desk.http.patch("/control/state", json={"phase": "exposed"}, headers=desk.admin)
    assert await phase() == "exposed"
    await desk.revoke({"principal": "left-over"}, housekeeping=True)
    assert await phase() == "exposed"
    await desk.revoke({"cohort": "alpha"})
    assert await phase() == "revoked"
    await desk.http.patch("/control/state", json={"phase": "normal"}, headers=desk.admin)
    await desk.issue("a3")
    await desk.revoke({"all": True}, confirm="all")
    assert await phase() == "revoked"
    kinds = [event["kind"] for event in await desk.events()]
    assert kinds[-4:] == ["phase.changed", "token.issued", "revocation.applied", "phase.changed"]
