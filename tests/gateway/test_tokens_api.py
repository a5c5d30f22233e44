import re

import pytest

from desk import Desk, bearer_of
from gateway.tokens import secret
from tampering import everything_kept

pytestmark = pytest.mark.anyio


async def test_the_secret_is_shown_once_and_kept_as_a_hash(desk: Desk) -> None:
    issued = await desk.issue("tester-001", "alpha", labels=["wave-1"], expires_in=60)
    assert secret.well_formed(issued["token"])
    assert (issued["principal"], issued["cohort"], issued["labels"]) == ("tester-001", "alpha", ["wave-1"])
    assert issued["expires_at"] == desk.clock.now() + 60
    assert issued["scopes"] == ["videos:read", "videos:write"]
    shown = (await desk.http.get(f"/control/tokens/{issued['accessor']}", headers=desk.admin)).json()
    listed = (await desk.http.get("/control/tokens", headers=desk.admin)).json()["data"]
    assert listed == [{name: shown[name] for name in listed[0]}]
    assert "token" not in shown
    kept = everything_kept(desk)
    assert issued["token"].encode() not in kept
    assert issued["accessor"].encode() in kept


async def test_control_is_for_the_admin_alone(desk: Desk) -> None:
    document = (await desk.http.get("/openapi.json")).json()
    routes = [
        (re.sub(r"{\w+}", "tok_1", path), verb.upper())
        for path, verbs in document["paths"].items()
        for verb in verbs
        if path.startswith("/control") or path == "/oauth/introspect"
    ]
    assert len(routes) >= 30
    assert {("/control/tokens", "POST"), ("/control/revocations", "POST"), ("/control/reset", "POST")} <= set(routes)
    tester = await desk.bearer()
    for path, method in routes:
        for headers in [{}, {"Authorization": "Bearer nonsense"}, tester]:
            answer = await desk.http.request(method, path, headers=headers)
            assert answer.status_code == 401, (path, method, headers)
            assert answer.json()["error"]["code"] == "invalid_api_key"
            assert "admin.token" in answer.json()["error"]["message"]


async def test_unknown_truncated_miswritten_expired_suspended_and_revoked_look_alike(desk: Desk) -> None:
    expired = await desk.issue("tester-001", expires_in=5)
    suspended = await desk.issue("tester-002")
    revoked = await desk.issue("tester-003")
    unknown = secret.mint()
    desk.clock.advance(5)
    path = f"/control/tokens/{suspended['accessor']}"
    await desk.http.patch(path, json={"state": "suspended"}, headers=desk.admin)
    await desk.revoke({"accessor": revoked["accessor"]})
    miswritten = unknown[:10] + ("a" if unknown[10] != "a" else "b") + unknown[11:]
    answers = [
        await desk.http.get("/v1/videos", headers={"Authorization": f"Bearer {value}"})
        for value in (unknown, unknown[:-1], miswritten, expired["token"], suspended["token"], revoked["token"])
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["www-authenticate"] for answer in answers}) == 1
    assert 'error="invalid_token"' in answers[0].headers["www-authenticate"]
    assert answers[0].json()["error"]["code"] == "invalid_api_key"
    assert answers[0].headers["x-should-retry"] == "false"


async def test_no_credentials_get_a_challenge_without_an_error(desk: Desk) -> None:
    for headers in [{}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer "}]:
        answer = await desk.http.get("/v1/videos", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="leakdrill"'


async def test_the_scheme_is_case_insensitive(desk: Desk) -> None:
    issued = await desk.issue()
    answer = await desk.http.get("/v1/videos", headers={"Authorization": f"bearer {issued['token']}"})
    assert answer.status_code == 200


async def test_refused_use_of_a_known_token_is_kept_as_evidence(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.revoke({"accessor": issued["accessor"]})
    await desk.http.get("/v1/videos/video_1", headers=bearer_of(issued))
    await desk.http.get("/v1/videos", headers={"Authorization": f"Bearer {secret.mint()}"})
    refused = await desk.events("request.refused")
    assert [(event["accessor"], event["data"]) for event in refused] == [
        (
            issued["accessor"],
            {"reason": "revoked", "surface": "GET /v1/videos/{video_id}", "use": "poll", "replica": "r1"},
        )
    ]


async def test_scopes_bound_what_a_token_may_do(desk: Desk) -> None:
    reads = await desk.bearer(scopes=["videos:read"])
    assert (await desk.http.get("/v1/videos", headers=reads)).status_code == 200
    answer = await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=reads)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")
    assert 'scope="videos:write"' in answer.headers["www-authenticate"]
    writes = await desk.bearer(scopes=["videos:write"])
    assert (await desk.http.get("/v1/videos", headers=writes)).status_code == 403


async def test_the_ladder_up_and_down(desk: Desk) -> None:
    issued = await desk.issue()
    headers, path = bearer_of(issued), f"/control/tokens/{issued['accessor']}"

    async def move(state: str) -> int:
        return (await desk.http.patch(path, json={"state": state}, headers=desk.admin)).status_code

    async def reads_and_writes() -> tuple[int, int]:
        read = await desk.http.get("/v1/videos", headers=headers)
        write = await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=headers)
        return read.status_code, write.status_code

    assert await reads_and_writes() == (200, 200)
    assert await move("quarantined") == 200
    assert await reads_and_writes() == (200, 403)
    assert await move("suspended") == 200
    assert await reads_and_writes() == (401, 401)
    assert await move("active") == 200
    assert await reads_and_writes() == (200, 200)
    await desk.revoke({"accessor": issued["accessor"]})
    for state in ("active", "quarantined", "suspended"):
        answer = await desk.http.patch(path, json={"state": state}, headers=desk.admin)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    changes = [event["data"]["to"] for event in await desk.events("token.state_changed")]
    assert changes == ["quarantined", "suspended", "active"]


async def test_a_suspended_tokens_job_waits_for_its_return(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.create(bearer_of(issued))
    path = f"/control/tokens/{issued['accessor']}"
    await desk.http.patch(path, json={"state": "suspended"}, headers=desk.admin)
    assert await desk.claim() is None
    await desk.http.patch(path, json={"state": "active"}, headers=desk.admin)
    assert await desk.claim() is not None


async def test_last_use_is_remembered(desk: Desk) -> None:
    from gateway.store import tokens
    from gateway.tokens.usage import UsageBook

    issued = await desk.issue()
    book = UsageBook(desk.clock, "r1")
    book.note(issued["accessor"], "poll", 10.0)
    book.note(issued["accessor"], "list", 30.0)
    await book.flush(desk.store)
    await desk.store.write(lambda tx: tokens.touch(tx, [(issued["accessor"], 20.0)]))
    shown = await desk.http.get(f"/control/tokens/{issued['accessor']}", headers=desk.admin)
    assert shown.json()["last_used_at"] == 30.0


async def test_oauth_revocation_by_the_rows_of_rfc_7009(desk: Desk) -> None:
    issued = await desk.issue()
    form = {"token": issued["token"], "token_type_hint": "refresh_token"}
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 200
    first = await desk.http.post("/oauth/revoke", data=form)
    assert (first.status_code, first.content) == (200, b"")
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 401
    for again in (form, {"token": secret.mint()}, {"token": "garbage"}):
        answer = await desk.http.post("/oauth/revoke", data=again)
        assert (answer.status_code, answer.content) == (200, b"")
    assert len(await desk.events("revocation.applied")) == 2
    for wrong in ({}, {"token": ""}, {"token": ["a", "b"]}):
        answer = await desk.http.post("/oauth/revoke", data=wrong)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    answer = await desk.http.post("/oauth/revoke", json=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_introspection_tells_an_inactive_token_nothing(desk: Desk) -> None:
    issued = await desk.issue(expires_in=100)
    active = (await desk.http.post("/oauth/introspect", data={"token": issued["token"]}, headers=desk.admin)).json()
    assert active == {
        "active": True,
        "scope": "videos:read videos:write",
        "username": "tester-001",
        "token_type": "Bearer",
        "iat": int(desk.clock.now()),
        "exp": int(desk.clock.now()) + 100,
        "jti": issued["accessor"],
        "cohort": "alpha",
    }
    await desk.revoke({"accessor": issued["accessor"]})
    for value in (issued["token"], secret.mint(), "garbage"):
        answer = await desk.http.post("/oauth/introspect", data={"token": value}, headers=desk.admin)
        assert answer.json() == {"active": False}
