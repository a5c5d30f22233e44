"""Whom a selector means, what becomes of what is under way, and the report afterwards."""

import hashlib
from typing import Any

import pytest

from desk import Desk, bearer_of
from gateway.jobs import lifecycle
from tampering import raw, refusing

pytestmark = pytest.mark.anyio


def digest(token: dict[str, Any]) -> str:
    return hashlib.sha256(token["token"].encode()).hexdigest()


async def preview(desk: Desk, **selector: Any) -> dict[str, Any]:
    answer = await desk.http.post("/control/revocations/preview", json={"selector": selector}, headers=desk.admin)
    assert answer.status_code == 200, answer.text
    counts: dict[str, Any] = answer.json()
    return counts


async def report(desk: Desk, id: str) -> dict[str, Any]:
    answer = await desk.http.get(f"/control/revocations/{id}", headers=desk.admin)
    assert answer.status_code == 200, answer.text
    effect: dict[str, Any] = answer.json()["effect"]
    return effect


def listening(desk: Desk, issued: dict[str, Any], id: str) -> None:
    """Gives the token a webhook endpoint that nobody is asked about."""
    raw(
        desk,
        "INSERT INTO webhook_endpoints (id, accessor, name, url, event_types, secret, created_at, updated_at) "
        "VALUES (:id, :accessor, 'mine', 'https://192.0.2.1/', '[\"video.completed\"]', 'whsec_x', 0, 0)",
        id=id,
        accessor=issued["accessor"],
    )


def jobs_of(desk: Desk) -> dict[str, tuple[str, str | None]]:
    return {id: (status, code) for id, status, code in raw(desk, "SELECT id, status, error_code FROM jobs")}


async def test_a_label_means_every_token_that_has_it(desk: Desk) -> None:
    first = await desk.issue("a1", labels=["wave-1", "press"])
    second = await desk.issue("a2", "beta", labels=["wave-1"])
    other = await desk.issue("a3", labels=["wave-10"])
    plain = await desk.issue("a4")
    assert (await preview(desk, label="wave-1"))["bystanders"] == 2
    done = (await desk.revoke({"label": "wave-1"})).json()
    assert done["selector"] == {"label": "wave-1"}
    assert {item["principal"] for item in done["items"]} == {"a1", "a2"}
    seen = [
        (await desk.http.get("/v1/videos", headers=bearer_of(one))).status_code for one in (first, second, other, plain)
    ]
    assert seen == [401, 401, 200, 200]
    assert (await desk.revoke({"label": "wave"})).json()["error"]["code"] == "token_not_found"


@pytest.mark.parametrize("spelled", ["{}", "sha256:{}", "upper"])
async def test_a_fingerprint_means_the_token_it_was_made_of(desk: Desk, spelled: str) -> None:
    leaked, other = await desk.issue("a1"), await desk.issue("a2")
    text = digest(leaked).upper() if spelled == "upper" else spelled.format(digest(leaked))
    done = await desk.revoke({"fingerprint": text})
    assert [item["accessor"] for item in done.json()["items"]] == [leaked["accessor"]]
    assert (await desk.http.get("/v1/videos", headers=bearer_of(leaked))).status_code == 401
    assert (await desk.http.get("/v1/videos", headers=bearer_of(other))).status_code == 200


@pytest.mark.parametrize(
    ("fingerprint", "status"),
    [("0" * 64, 404), ("0" * 63, 400), ("g" * 64, 400), ("", 400), ("sha256:", 400), ("\ud800", 422), ("%", 400)],
)
async def test_a_fingerprint_of_nothing(desk: Desk, fingerprint: str, status: int) -> None:
    headers = await desk.bearer()
    body = '{"selector": {"fingerprint": "' + fingerprint.replace("\ud800", "\\ud800") + '"}, "reason": "drill"}'
    more = {"content-type": "application/json", **desk.admin}
    answer = await desk.http.post("/control/revocations", content=body, headers=more)
    assert answer.status_code == status, answer.text
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 200


async def test_a_preview_counts_what_hangs_on_the_tokens(desk: Desk) -> None:
    issued = await desk.issue("a1", scopes=["videos:read", "videos:write", "tokens:mint"])
    bystander = await desk.issue("p1", "partner")
    child = (await desk.http.post("/v1/tokens", json={}, headers=bearer_of(issued))).json()
    for one in (issued, child, bystander):
        headers = bearer_of(one)
        listening(desk, one, f"whe_{one['accessor']}")
        video = (await desk.create(headers))["id"]
        await desk.finished()
        assert (await desk.http.post(f"/v1/videos/{video}/share", headers=headers)).json()["state"] == "approved"
        await desk.create(headers)
        await desk.claimed()
    for one in (issued, issued, child, bystander):
        await desk.create(bearer_of(one))
    counts = await preview(desk, accessor=issued["accessor"])
    expected = {
        "tokens": 2,
        "children": 1,
        "links": 2,
        "webhook_endpoints": 2,
        "pending_deliveries": 2,
        "bystanders": 1,
    }
    assert {name: counts[name] for name in expected} == expected
    assert counts["jobs"] == {"queued": 3, "running": 2}
    done = (await desk.revoke({"accessor": issued["accessor"]})).json()
    assert (done["tokens"], done["children"], done["jobs"]) == (2, 1, counts["jobs"])
    effect = await report(desk, done["id"])
    assert effect["jobs_stopped"] == counts["jobs"]
    assert (effect["deliveries_stopped"], effect["webhook_endpoints"], effect["links"]) == (2, 2, 2)
    assert (effect["children"], effect["bystanders"], effect["bystanders_touched"]) == (1, 1, 0)
    ended = {one["surface"]: one["ended"] for one in effect["surfaces"]}
    assert (ended["queued jobs"], ended["running jobs"], ended["share links"]) == (3, 2, 2)
    assert all(one["mechanism"] for one in effect["surfaces"])
    again = await preview(desk, accessor=issued["accessor"])
    assert {again[name] for name in ("tokens", "children", "links", "webhook_endpoints", "pending_deliveries")} == {0}


async def test_a_row_that_does_not_change_is_told_as_failed(desk: Desk) -> None:
    stuck, other = await desk.issue("a1"), await desk.issue("a2")
    with refusing(desk, "UPDATE", "tokens", f"old.accessor = '{stuck['accessor']}'", silently=True):
        done = (await desk.revoke({"cohort": "alpha"})).json()
        assert {item["principal"]: item["outcome"] for item in done["items"]} == {"a1": "failed", "a2": "revoked"}
        assert done["tokens"] == 1
        assert (await desk.http.get("/v1/videos", headers=bearer_of(stuck))).status_code == 200
    done = (await desk.revoke({"cohort": "alpha"})).json()
    assert {item["principal"]: item["outcome"] for item in done["items"]} == {"a1": "revoked", "a2": "already"}
    (first, second) = await desk.events("revocation.applied")
    assert first["data"]["outcomes"] == {"failed": 1, "revoked": 1}
    assert second["data"]["outcomes"] == {"already": 1, "revoked": 1}
    assert (first["data"]["housekeeping"], second["data"]["housekeeping"]) == (False, False)
    assert (await desk.http.get("/v1/videos", headers=bearer_of(other))).status_code == 401


async def leaked(desk: Desk, **more: Any) -> tuple[dict[str, Any], str, Any]:
    """A token, the id of its waiting job, and its running job."""
    issued = await desk.issue("a1", **more)
    await desk.create(bearer_of(issued))
    running = await desk.claimed()
    return issued, (await desk.create(bearer_of(issued)))["id"], running


async def refused(desk: Desk, issued: dict[str, Any], video: str) -> None:
    """Nothing of the video can be had with the token."""
    for path in (f"/v1/videos/{video}", f"/v1/videos/{video}/content", "/v1/videos"):
        assert (await desk.http.get(path, headers=bearer_of(issued))).status_code == 401


async def test_kept_jobs_are_rendered_and_served_to_nobody(desk: Desk) -> None:
    issued, queued, running = await leaked(desk)
    done = (await desk.revoke({"principal": "a1"}, in_flight={"queued": "keep"})).json()
    assert (done["jobs"], done["kept"]) == ({"queued": 0, "running": 1}, {"queued": 1, "running": 0})
    assert done["in_flight"] == {"queued": "keep", "running": "cancel", "transfers": "cut"}
    assert await desk.complete(running) is False
    assert (await report(desk, done["id"]))["jobs_spared"] == {"waiting": 1, "running": 0, "stored": 0, "withheld": 0}
    job = await desk.claimed()
    assert job.id == queued
    assert await lifecycle.lost(desk.store, [(job.id, job.attempt)]) == []
    assert await desk.complete(job) is True
    assert jobs_of(desk) == {queued: ("completed", None), running.id: ("failed", "access_revoked")}
    assert (desk.settings.media / f"{queued}.1.mp4").exists()
    await refused(desk, issued, queued)
    effect = await report(desk, done["id"])
    assert effect["jobs_spared"] == {"waiting": 0, "running": 0, "stored": 1, "withheld": 0}
    assert [(one["surface"], one["count"]) for one in effect["refused"]] == [
        ("GET /v1/videos", 1),
        ("GET /v1/videos/{video_id}", 1),
        ("GET /v1/videos/{video_id}/content", 1),
    ]
    assert {one["first_at"] for one in effect["refused"]} == {desk.clock.now()}


async def test_kept_jobs_wait_their_turn_behind_a_limit(desk: Desk) -> None:
    """The claim that passes over a token at its limit finds kept jobs, and only those, of revoked tokens."""
    limited = await desk.issue("p1", "partner")
    raw(desk, "UPDATE tokens SET in_flight = 1 WHERE accessor = :it", it=limited["accessor"])
    for _ in range(2):
        await desk.create(bearer_of(limited))
    issued = await desk.issue("a1")
    kept = (await desk.create(bearer_of(issued)))["id"]
    first = await desk.claimed()
    await desk.revoke({"principal": "a1"}, in_flight={"queued": "keep"})
    assert (await desk.claimed()).id == kept
    assert await desk.claim() is None
    assert first.accessor == limited["accessor"]


@pytest.mark.parametrize(("running", "stored"), [("finish", True), ("finish_withhold", False)])
async def test_a_running_job_finishes_and_is_stored_or_withheld(desk: Desk, running: str, stored: bool) -> None:
    issued, queued, job = await leaked(desk)
    done = (await desk.revoke({"principal": "a1"}, in_flight={"running": running})).json()
    assert (done["jobs"], done["kept"]) == ({"queued": 1, "running": 0}, {"queued": 0, "running": 1})
    assert await lifecycle.lost(desk.store, [(job.id, job.attempt)]) == [], "the worker goes on"
    assert await desk.complete(job) is stored
    outcome = ("completed", None) if stored else ("failed", "access_revoked")
    assert jobs_of(desk) == {queued: ("failed", "access_revoked"), job.id: outcome}
    await refused(desk, issued, job.id)
    spared = (await report(desk, done["id"]))["jobs_spared"]
    assert spared == {"waiting": 0, "running": 0, "stored": int(stored), "withheld": int(not stored)}
    if not stored:
        (event,) = [one for one in await desk.events("job.failed") if one["job"] == job.id]
        assert event["data"]["withheld"] is True


@pytest.mark.parametrize("running", ["finish", "finish_withhold"])
async def test_a_worker_that_is_lost_hands_a_spared_job_on(desk: Desk, running: str) -> None:
    _, _, job = await leaked(desk)
    await desk.revoke({"principal": "a1"}, in_flight={"running": running})
    desk.clock.advance(6)
    again = await desk.claimed("w2")
    assert (again.id, again.attempt) == (job.id, 2)
    assert await desk.complete(again) is (running == "finish")


async def test_a_stricter_revocation_ends_what_an_earlier_one_spared(desk: Desk) -> None:
    _, queued, job = await leaked(desk)
    mild = {"queued": "keep", "running": "finish", "transfers": "finish"}
    await desk.revoke({"principal": "a1"}, in_flight=mild)
    again = (await desk.revoke({"principal": "a1"}, in_flight=mild)).json()
    assert (again["tokens"], again["jobs"], again["kept"]) == (
        0,
        {"queued": 0, "running": 0},
        {"queued": 0, "running": 0},
    )
    held = (await desk.revoke({"principal": "a1"}, in_flight={"queued": "keep", "running": "finish_withhold"})).json()
    assert held["kept"] == {"queued": 0, "running": 1}
    await desk.revoke({"principal": "a1"}, in_flight=mild)
    assert await desk.complete(job) is False, "what was withheld stays withheld"
    last = (await desk.revoke({"principal": "a1"})).json()
    assert (last["tokens"], last["jobs"]) == (0, {"queued": 1, "running": 0})
    assert await desk.claim() is None
    assert jobs_of(desk) == {queued: ("failed", "access_revoked"), job.id: ("failed", "access_revoked")}


# Policy, credits given back at once, and (spent, released) once everything has ended: a job each waits and is rendered,
# at 8 credits each, of 20.
CREDITS: list[tuple[dict[str, str], int, tuple[int, int]]] = [
    ({}, 16, (0, 16)),
    ({"queued": "keep"}, 8, (8, 8)),
    ({"running": "finish"}, 8, (8, 8)),
    ({"running": "finish_withhold"}, 8, (0, 16)),
    ({"queued": "keep", "running": "finish"}, 0, (16, 0)),
    ({"queued": "keep", "running": "finish_withhold"}, 0, (8, 8)),
    ({"transfers": "finish"}, 16, (0, 16)),
]


@pytest.mark.parametrize(("policy", "at_once", "in_the_end"), CREDITS, ids=lambda value: str(value)[:60])
async def test_credits_are_given_back_as_the_policy_says(
    desk: Desk, policy: dict[str, str], at_once: int, in_the_end: tuple[int, int]
) -> None:
    issued, _, running = await leaked(desk, credits=20)
    bystander = await desk.issue("b1", "beta", credits=8)
    await desk.create(bearer_of(bystander))
    assert (await preview(desk, principal="a1"))["credits_released"] == 16
    done = (await desk.revoke({"principal": "a1"}, in_flight=policy)).json()
    assert done["credits_released"] == at_once
    assert (await desk.events("revocation.applied"))[-1]["data"]["credits_released"] == at_once
    assert (await report(desk, done["id"]))["credits_released"] == at_once
    await desk.complete(running)
    while (job := await desk.claim()) is not None:
        await desk.complete(job)
    found = (await desk.http.get("/control/credits", headers=desk.admin)).json()
    assert found["balanced"] is True
    accounts = {one["account"]: (one["reserved"], one["spent"], one["released"]) for one in found["data"]}
    assert accounts == {issued["accessor"]: (0, *in_the_end), bystander["accessor"]: (0, 8, 0)}
    assert (await report(desk, done["id"]))["credits_released"] == in_the_end[1]
    assert (await preview(desk, principal="a1"))["credits_released"] == 0


async def test_a_stricter_revocation_gives_back_what_an_earlier_one_left_held(desk: Desk) -> None:
    await leaked(desk, credits=16)
    await desk.revoke({"principal": "a1"}, in_flight={"queued": "keep", "running": "finish"})
    assert (await desk.revoke({"principal": "a1"})).json()["credits_released"] == 16
    assert (await desk.http.get("/control/credits", headers=desk.admin)).json()["balanced"] is True


async def test_a_spared_job_tells_no_webhook(desk: Desk) -> None:
    issued, _, job = await leaked(desk)
    listening(desk, issued, "whe_1")
    await desk.revoke({"principal": "a1"}, in_flight={"running": "finish"})
    assert await desk.complete(job) is True
    answer = await desk.http.get("/control/webhooks/deliveries", headers=desk.admin)
    assert answer.json()["data"] == []


@pytest.mark.parametrize(
    "in_flight",
    [{"queued": "finish"}, {"running": "keep"}, {"transfers": True}, {"uploads": "cut"}, {"queued": None}, "cancel"],
)
async def test_a_policy_that_there_is_not(desk: Desk, in_flight: Any) -> None:
    headers = await desk.bearer()
    answer = await desk.revoke({"cohort": "alpha"}, in_flight=in_flight)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_value")
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 200


async def test_a_report_on_nothing(desk: Desk) -> None:
    answer = await desk.http.get("/control/revocations/rev_0", headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "revocation_not_found")
