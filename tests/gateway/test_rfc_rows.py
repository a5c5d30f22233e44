"""One row for each rule of the RFCs that tokens end and are looked at by: status, headers and body, to the byte.

RFC 7009 is revocation, RFC 7662 introspection, RFC 6750 the use of bearers. `test_token_ladder.py` has what may become
of a token, and that clocks do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message

from desk import Desk, bearer_of
from gateway.tokens import secret
from tampering import raw, statements

pytestmark = pytest.mark.anyio

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SCOPES = ["videos:read", "videos:write", "tokens:mint"]
PUBLIC = (
    b'{"error":{"message":"Incorrect API key provided. It is unknown, expired or no longer accepted; ask whoever gave '
    b'it to you for another.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}'
)
INVALID_REQUEST = (
    b'{"error":"invalid_request","error_description":"Send one token as application/x-www-form-urlencoded."}'
)


async def moved(desk: Desk, token: dict[str, Any], state: str) -> dict[str, Any]:
    path = f"/control/tokens/{token['accessor']}"
    assert (await desk.http.patch(path, json={"state": state}, headers=desk.admin)).status_code == 200
    return token


async def minted(desk: Desk, parent: dict[str, Any]) -> dict[str, Any]:
    answer = await desk.http.post("/v1/tokens", json={"scopes": SCOPES}, headers=bearer_of(parent))
    child: dict[str, Any] = answer.json()
    return child


async def unknown(_desk: Desk) -> str:
    return secret.mint()


async def malformed(_desk: Desk) -> str:
    return "garbage"


async def miswritten(_desk: Desk) -> str:
    good = secret.mint()
    return good[:10] + ("a" if good[10] != "a" else "b") + good[11:]


async def revoked(desk: Desk) -> str:
    token = await desk.issue("revoked")
    await desk.revoke({"principal": "revoked"})
    return str(token["token"])


async def suspended(desk: Desk) -> str:
    return str((await moved(desk, await desk.issue("suspended"), "suspended"))["token"])


async def expired(desk: Desk) -> str:
    token = await desk.issue("expired", expires_in=1)
    desk.clock.advance(1)
    return str(token["token"])


async def of_a_suspended_parent(desk: Desk) -> str:
    parent = await desk.issue("parent", scopes=SCOPES)
    child = await minted(desk, parent)
    await moved(desk, parent, "suspended")
    return str(child["token"])


async def of_a_revoked_parent(desk: Desk) -> str:
    parent = await desk.issue("parent", scopes=SCOPES)
    child = await minted(desk, parent)
    await desk.revoke({"accessor": parent["accessor"]})
    return str(child["token"])


INACTIVE: list[Callable[[Desk], Awaitable[str]]] = [
    unknown,
    malformed,
    miswritten,
    revoked,
    suspended,
    expired,
    of_a_suspended_parent,
    of_a_revoked_parent,
]


def named(one: object) -> str:
    return getattr(one, "__name__", repr(one))


# RFC 7009


@pytest.mark.parametrize("state", [*INACTIVE, None], ids=lambda one: "known" if one is None else named(one))
async def test_7009_2_2_every_token_is_answered_200_and_nothing(
    desk: Desk, state: Callable[[Desk], Awaitable[str]] | None
) -> None:
    value = (await desk.issue())["token"] if state is None else await state(desk)
    answer = await desk.http.post("/oauth/revoke", data={"token": value})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert "content-type" not in answer.headers
    refused = await desk.http.get("/v1/videos", headers={"Authorization": f"Bearer {value}"})
    assert (refused.status_code, refused.content) == (401, PUBLIC)


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "urn:example:another", "", "\u00e9"])
async def test_7009_2_1_no_hint_hides_a_token(desk: Desk, hint: str) -> None:
    issued = await desk.issue()
    answer = await desk.http.post("/oauth/revoke", data={"token": issued["token"], "token_type_hint": hint})
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 401


async def test_7009_2_1_the_end_is_immediate_and_takes_what_the_token_minted(desk: Desk) -> None:
    parent = await desk.issue(scopes=SCOPES)
    child = await minted(desk, parent)
    grandchild = await minted(desk, child)
    other = await desk.issue("other")
    await desk.http.post("/oauth/revoke", data={"token": parent["token"]})
    tokens = (parent, child, grandchild, other)
    seen = [(await desk.http.get("/v1/videos", headers=bearer_of(one))).status_code for one in tokens]
    assert seen == [401, 401, 401, 200]


async def test_7009_2_1_a_child_may_end_without_its_parent(desk: Desk) -> None:
    parent = await desk.issue(scopes=SCOPES)
    child = await minted(desk, parent)
    await desk.http.post("/oauth/revoke", data={"token": child["token"]})
    seen = [(await desk.http.get("/v1/videos", headers=bearer_of(one))).status_code for one in (child, parent)]
    assert seen == [401, 200]


async def test_7009_2_2_1_503_means_that_the_token_is_still_there(desk: Desk) -> None:
    issued = await desk.issue()
    raw(desk, "ALTER TABLE revocations RENAME TO elsewhere")
    answer = await desk.http.post("/oauth/revoke", data={"token": issued["token"]})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "store_unavailable"
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 200
    raw(desk, "ALTER TABLE elsewhere RENAME TO revocations")
    again = await desk.http.post("/oauth/revoke", data={"token": issued["token"]})
    assert (again.status_code, again.content) == (200, b"")
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 401


@pytest.mark.parametrize("path", ["/oauth/revoke", "/oauth/introspect"])
@pytest.mark.parametrize(
    ("content", "headers"),
    [
        ("", FORM),
        ("token=", FORM),
        ("token_type_hint=access_token", FORM),
        ("token={}&token={}", FORM),
        ("token={}&token_type_hint=a&token_type_hint=b", FORM),
        ('{{"token": "{}"}}', {"Content-Type": "application/json"}),
        ("token={}", {"Content-Type": "text/plain"}),
        ("token={}", {}),
    ],
)
async def test_7009_2_2_1_what_is_no_such_form_is_an_invalid_request(
    desk: Desk, path: str, content: str, headers: dict[str, str]
) -> None:
    issued = await desk.issue()
    body = content.format(issued["token"], issued["token"]).encode()
    answer = await desk.http.post(path, content=body, headers={**desk.admin, **headers})
    assert (answer.status_code, answer.content) == (400, INVALID_REQUEST)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 200


async def test_7009_2_1_unknown_parameters_are_ignored_and_only_post_revokes(desk: Desk) -> None:
    issued = await desk.issue()
    asked = await desk.http.get("/oauth/revoke", params={"token": issued["token"]})
    assert (asked.status_code, asked.headers["allow"]) == (405, "POST")
    assert (await desk.http.post("/oauth/revoke", params={"token": issued["token"]})).status_code == 400
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 200
    form = {"token": issued["token"], "client_id": "x", "callback": "y"}
    assert (await desk.http.post("/oauth/revoke", data=form)).status_code == 200
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 401


# RFC 7662


async def test_7662_2_1_who_asks_must_say_who_it_is(desk: Desk) -> None:
    issued = await desk.issue()
    for headers, challenge in (
        ({}, 'Bearer realm="leakdrill"'),
        (bearer_of(issued), 'Bearer realm="leakdrill", error="invalid_token"'),
        ({"Authorization": "Bearer garbage"}, 'Bearer realm="leakdrill", error="invalid_token"'),
    ):
        answer = await desk.http.post("/oauth/introspect", data={"token": issued["token"]}, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
        assert b"active" not in answer.content


@pytest.mark.parametrize("state", INACTIVE, ids=named)
async def test_7662_2_2_an_inactive_token_is_told_nothing_else(
    desk: Desk, state: Callable[[Desk], Awaitable[str]]
) -> None:
    answer = await desk.http.post("/oauth/introspect", data={"token": await state(desk)}, headers=desk.admin)
    assert (answer.status_code, answer.content) == (200, b'{"active":false}')
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_7662_2_2_an_active_token_is_told_by_the_registered_names(desk: Desk) -> None:
    issued = await desk.issue(expires_in=100)
    form = {"token": issued["token"], "token_type_hint": "refresh_token"}
    answer = await desk.http.post("/oauth/introspect", data=form, headers=desk.admin)
    now = int(desk.clock.now())
    assert answer.json() == {
        "active": True,
        "scope": "videos:read videos:write",
        "username": "tester-001",
        "token_type": "Bearer",
        "iat": now,
        "exp": now + 100,
        "jti": issued["accessor"],
        "cohort": "alpha",
    }
    assert answer.headers["cache-control"] == "no-store"
    without_end = await desk.issue()
    answer = await desk.http.post("/oauth/introspect", data={"token": without_end["token"]}, headers=desk.admin)
    assert "exp" not in answer.json()


async def test_7662_2_2_a_child_ends_no_later_than_what_stands_above_it(desk: Desk) -> None:
    parent = await desk.issue(scopes=SCOPES, expires_in=50)
    child = await minted(desk, parent)
    answer = await desk.http.post("/oauth/introspect", data={"token": child["token"]}, headers=desk.admin)
    assert answer.json()["exp"] == int(desk.clock.now()) + 50


# RFC 6750


@pytest.mark.parametrize("state", INACTIVE, ids=named)
async def test_6750_3_1_every_bearer_that_is_not_accepted_is_told_the_same(
    desk: Desk, state: Callable[[Desk], Awaitable[str]]
) -> None:
    headers = {"Authorization": f"Bearer {await state(desk)}"}
    for method, path in (("GET", "/v1/videos"), ("GET", "/v1/videos/video_1/events"), ("DELETE", "/v1/videos/video_1")):
        answer = await desk.http.request(method, path, headers=headers)
        assert (answer.status_code, answer.content) == (401, PUBLIC)
        told = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
        assert told == {
            "content-length": str(len(PUBLIC)),
            "content-type": "application/json",
            "www-authenticate": 'Bearer realm="leakdrill", error="invalid_token"',
            "x-should-retry": "false",
            "leakdrill-replica": "r1",
        }


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "}])
async def test_6750_3_1_without_credentials_there_is_no_error_code(desk: Desk, headers: dict[str, str]) -> None:
    for params in ({}, {"access_token": (await desk.issue())["token"]}):  # section 2.3, which we do not offer
        answer = await desk.http.get("/v1/videos", headers=headers, params=params)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="leakdrill"')


@pytest.mark.parametrize(
    ("scopes", "state", "method", "path", "wanted"),
    [
        (["videos:read"], "active", "POST", "/v1/videos", "videos:write"),
        (["videos:write"], "active", "GET", "/v1/videos", "videos:read"),
        (["videos:write"], "active", "GET", "/v1/videos/video_1/events", "videos:read"),
        (["videos:read", "videos:write"], "active", "POST", "/v1/tokens", "tokens:mint"),
        (["videos:read", "videos:write"], "quarantined", "POST", "/v1/videos", "videos:write"),
    ],
)
async def test_6750_3_1_a_scope_that_is_missing_is_named(
    desk: Desk, scopes: list[str], state: str, method: str, path: str, wanted: str
) -> None:
    issued = await moved(desk, await desk.issue(scopes=scopes), state)
    answer = await desk.http.request(method, path, json={"prompt": "x"}, headers=bearer_of(issued))
    challenge = f'Bearer realm="leakdrill", error="insufficient_scope", scope="{wanted}"'
    assert (answer.status_code, answer.headers["www-authenticate"]) == (403, challenge)
    assert answer.json()["error"]["code"] == "insufficient_scope"


# No oracle by timing, as far as it can be said without a clock: refusing takes the same statements.


async def asked(desk: Desk, method: str, path: str, value: str) -> list[str]:
    """What the gateway asks the database for a request. What it notes of a refusal afterwards is left out."""
    with statements(desk, "reader", "writer") as found:
        headers = {"Authorization": f"Bearer {value}"}
        answer = await desk.http.request(method, path, json={"prompt": "x"}, headers=headers)
    assert (answer.status_code, answer.content) == (401, PUBLIC)
    whole = re.sub(r"BEGIN IMMEDIATE\n.*?\nCOMMIT\n", "", "".join(f"{sql}\n" for sql in found), flags=re.DOTALL)
    return re.sub(r"x'[0-9a-f]{64}'", "?", whole, flags=re.IGNORECASE).splitlines()


@pytest.mark.sqlite_alone
@pytest.mark.parametrize("state", ["revoked", "suspended", "expired", "revoked child"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/videos/{}"),
        ("GET", "/v1/videos/{}/content"),
        ("GET", "/v1/videos/{}/events"),
        ("GET", "/v1/videos"),
        ("POST", "/v1/videos"),
        ("POST", "/v1/tokens"),
    ],
)
async def test_a_refused_token_costs_what_an_unknown_one_does(desk: Desk, state: str, method: str, path: str) -> None:
    issued = await desk.issue("leaked", scopes=SCOPES, expires_in=100)
    if state == "revoked child":
        issued = await minted(desk, issued)
    path = path.format((await desk.create(bearer_of(issued)))["id"])
    if state.startswith("revoked"):
        await desk.revoke({"principal": "leaked"}, in_flight={"queued": "keep"})  # its video still waits
    elif state == "suspended":
        await moved(desk, issued, "suspended")
    else:
        desk.clock.advance(100)
    known = await asked(desk, method, path, issued["token"])
    assert len(known) >= 1
    assert known == await asked(desk, method, path, secret.mint())


async def test_the_event_of_a_refusal_is_written_after_the_answer(desk: Desk) -> None:
    value = await revoked(desk)
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/videos",
        "raw_path": b"/v1/videos",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", f"Bearer {value}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 1),
    }
    seen: list[tuple[str, int]] = []

    def refusals() -> int:
        ((count,),) = raw(desk, "SELECT count(*) FROM events WHERE kind = 'request.refused'")
        return int(count)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        seen.append((message["type"], refusals()))

    await desk.http._transport.app(scope, receive, send)  # type: ignore[attr-defined]
    assert seen == [("http.response.start", 0), ("http.response.body", 0)]
    assert refusals() == 1
