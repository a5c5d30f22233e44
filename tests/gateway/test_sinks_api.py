"""`/control/sinks` and what is published beside it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from desk import START, Desk, DeskMaker
from gateway.errors import OperatorError
from gateway.signals.keys import Signer
from signalling import add_sink, change_sink, sent

pytestmark = pytest.mark.anyio

NOBODY = "http://127.0.0.1:9/"
GOOD: dict[str, Any] = {"url": NOBODY, "audience": "https://soc.example.test"}


@pytest.fixture
async def desk(make_desk: DeskMaker) -> Desk:
    return await make_desk(allow_private_targets="loopback")


async def test_a_sink_from_its_beginning_to_its_end(desk: Desk) -> None:
    made = await add_sink(desk, NOBODY, authorization="Bearer hush")
    assert made == {
        "id": made["id"],
        "url": NOBODY,
        "issuer": "http://127.0.0.1:8000",
        "audience": "https://soc.example.test",
        "authorized": True,
        "status": "enabled",
        "created_at": START,
        "updated_at": START,
    }
    path = f"/control/sinks/{made['id']}"
    assert (await desk.http.get(path, headers=desk.admin)).json() == made
    assert (await desk.http.get("/control/sinks", headers=desk.admin)).json() == {"data": [made]}
    desk.clock.advance(5)
    assert (await change_sink(desk, made))["updated_at"] == START
    changed = await change_sink(desk, made, audience="b", status="paused", authorization=None)
    assert changed == {
        **made,
        "audience": "b",
        "status": "paused",
        "authorized": False,
        "updated_at": START + 5,
    }
    assert (await change_sink(desk, made, authorization="Basic aA=="))["authorized"] is True
    await desk.http.post(f"{path}/verify", json={}, headers=desk.admin)
    assert (await desk.http.delete(path, headers=desk.admin)).json()["id"] == made["id"]
    assert [(row["state"], row["error"]) for row in await sent(desk)] == [("dropped", "The sink was deleted.")]
    kinds = [one["kind"] for one in await desk.events("sink.")]
    assert kinds == [
        "sink.created",
        "sink.updated",
        "sink.updated",
        "sink.verification_queued",
        "sink.deleted",
    ]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "POST"])
async def test_an_unknown_sink_is_not_found(desk: Desk, method: str) -> None:
    path = "/control/sinks/sink_x" + ("/verify" if method == "POST" else "")
    body: dict[str, Any] | None = None if method in ("GET", "DELETE") else {}
    answer = await desk.http.request(method, path, json=body, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "sink_not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": NOBODY},
        {**GOOD, "audience": ""},
        {**GOOD, "secret": "x"},
        {**GOOD, "status": "asleep"},
        {**GOOD, "authorization": "Bearer a\r\nHost: b"},
        {**GOOD, "authorization": "Bearer a\n"},
        {**GOOD, "authorization": " Bearer a"},
        {**GOOD, "authorization": "Bearer ü"},
        {**GOOD, "authorization": ""},
        {**GOOD, "authorization": 5},
    ],
)
async def test_what_a_sink_cannot_be(desk: Desk, body: dict[str, Any]) -> None:
    answer = await desk.http.post("/control/sinks", json=body, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_value")
    assert (await desk.http.get("/control/sinks", headers=desk.admin)).json()["data"] == []


@pytest.mark.parametrize("field", ["url", "audience", "status"])
async def test_only_the_header_can_be_taken_away(desk: Desk, field: str) -> None:
    made = await add_sink(desk, NOBODY)
    answer = await desk.http.patch(f"/control/sinks/{made['id']}", json={field: None}, headers=desk.admin)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://169.254.169.254/", "http://10.0.0.7/", "ftp://a.test/", "http://u:p@a.test/"]
)
async def test_targets_that_lead_inside_are_refused(make_desk: DeskMaker, url: str) -> None:
    desk = await make_desk()
    answer = await desk.http.post("/control/sinks", json={**GOOD, "url": url}, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "url_not_allowed")
    made = await add_sink(desk, "http://93.184.216.34/")
    answer = await desk.http.patch(f"/control/sinks/{made['id']}", json={"url": url}, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "url_not_allowed")


async def test_there_are_twenty_sinks_at_the_most(desk: Desk) -> None:
    for _ in range(20):
        await add_sink(desk, NOBODY)
    answer = await desk.http.post("/control/sinks", json=GOOD, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "sink_limit")


async def test_a_disabled_sink_cannot_be_verified(desk: Desk) -> None:
    made = await add_sink(desk, NOBODY, status="disabled")
    answer = await desk.http.post(f"/control/sinks/{made['id']}/verify", json={}, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


async def test_what_is_published_is_what_there_is(make_desk: DeskMaker) -> None:
    desk = await make_desk(public_url="https://drill.example.test/")
    assert (await desk.http.get("/.well-known/ssf-configuration")).json() == {
        "spec_version": "1_0",
        "issuer": "https://drill.example.test",
        "jwks_uri": "https://drill.example.test/.well-known/jwks.json",
        "delivery_methods_supported": ["urn:ietf:rfc:8935"],
        "default_subjects": "ALL",
    }
    (key,) = (await desk.http.get("/.well-known/jwks.json")).json()["keys"]
    assert {name: key[name] for name in ("kty", "alg", "use", "e")} == {
        "kty": "RSA",
        "alg": "RS256",
        "use": "sig",
        "e": "AQAB",
    }
    assert set(key) == {"kty", "alg", "use", "e", "n", "kid"}  # the public half, and nothing of the private


async def test_the_key_is_made_once_and_for_its_owner_alone(desk: Desk) -> None:
    path = desk.settings.data / "signals.pem"
    assert not path.exists()
    first = (await desk.http.get("/.well-known/jwks.json")).json()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Signer(path).jwks() == first == (await desk.http.get("/.well-known/jwks.json")).json()
    assert Signer(path).sign({"a": 1}) == Signer(path).sign({"a": 1})


@pytest.mark.parametrize("content", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_a_file_that_is_no_key_is_told_at_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "signals.pem").write_text(content)
    with pytest.raises(OperatorError, match="delete it to have a new one made"):
        Signer(tmp_path / "signals.pem")
