"""Security events: what each says, which belong together, and that they exist exactly where their change does."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import psycopg
import pytest

from desk import START, Desk, DeskMaker, bearer_of
from gateway.clock import Clock
from gateway.notices import Notice
from gateway.notices.service import Policy, receive
from signalling import (
    CAEP,
    RISC,
    SSF,
    accepting,
    add_sink,
    change_sink,
    deliver,
    effect,
    move,
    opened,
    sent,
    told,
    verified,
)
from tampering import refusing, statements

pytestmark = pytest.mark.anyio

NOBODY = "http://127.0.0.1:9/"


@pytest.fixture
async def desk(make_desk: DeskMaker) -> Desk:
    return await make_desk(allow_private_targets="loopback")


async def disclose(desk: Desk, policy: Policy, *tokens: str, url: str = "https://example.test/app.py") -> None:
    clock: Clock = desk.clock
    notices = [Notice(token, "leakdrill_access_token", url, "content") for token in tokens]
    await receive(desk.store, desk.keys.tokens, notices, reporter="scanner", policy=policy, clock=clock)


async def test_a_revocation_is_told_in_these_words(desk: Desk) -> None:
    with accepting() as receiver:
        sink = await add_sink(desk, receiver.url())
        issued = await desk.issue()
        revocation = (await desk.revoke({"cohort": "alpha"})).json()
        await deliver(desk)
    first, second = receiver.calls
    assert opened(first)[0] == {"alg": "RS256", "kid": opened(first)[0]["kid"], "typ": "secevent+jwt"}
    common = {
        "iss": "http://127.0.0.1:8000",
        "iat": int(START),
        "aud": "https://soc.example.test",
        "txn": revocation["id"],
        "sub_id": {"format": "opaque", "id": issued["accessor"]},
    }
    change = {"event_timestamp": int(START), "initiating_entity": "admin", "reason_admin": {"en": "drill"}}
    assert sink["issuer"] == "http://127.0.0.1:8000"
    assert await verified(desk, first) == {
        **common,
        "jti": opened(first)[1]["jti"],
        "events": {f"{CAEP}/session-revoked": change},
    }
    assert await verified(desk, second) == {
        **common,
        "jti": opened(second)[1]["jti"],
        "events": {f"{CAEP}/credential-change": {"credential_type": "api_key", "change_type": "revoke", **change}},
    }
    assert opened(first)[1]["jti"] != opened(second)[1]["jti"]
    assert [(call.headers["content-type"], call.headers["accept"]) for call in receiver.calls] == [
        ("application/secevent+jwt", "application/json")
    ] * 2
    assert "authorization" not in first.headers


@pytest.mark.parametrize("state", ["quarantined", "suspended"])
async def test_a_move_on_the_ladder_and_back_is_an_update(desk: Desk, state: str) -> None:
    with accepting() as receiver:
        await add_sink(desk, receiver.url())
        issued = await desk.issue()
        await move(desk, issued, state)
        await move(desk, issued, state)  # where it is already
        await move(desk, issued, "active")
        await deliver(desk)
    down, up = [await verified(desk, call) for call in receiver.calls]
    assert down["events"] == {
        f"{CAEP}/credential-change": {
            "credential_type": "api_key",
            "change_type": "update",
            "event_timestamp": int(START),
            "initiating_entity": "admin",
            "reason_admin": {"en": f"active to {state}"},
        }
    }
    assert up["events"][f"{CAEP}/credential-change"]["reason_admin"] == {"en": f"{state} to active"}
    assert down["sub_id"] == up["sub_id"] == {"format": "opaque", "id": issued["accessor"]}
    assert down["txn"] != up["txn"]


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [
        ("observe", ["credential-compromise"]),
        ("quarantine", ["credential-compromise", "credential-change"]),
        ("revoke", ["credential-compromise", "session-revoked", "credential-change"]),
    ],
)
async def test_a_disclosure_and_what_it_led_to_share_one_txn(desk: Desk, policy: Policy, kinds: list[str]) -> None:
    with accepting() as receiver:
        await add_sink(desk, receiver.url())
        issued = await desk.issue()
        await disclose(desk, policy, issued["token"])
        await disclose(desk, policy, issued["token"])  # to the letter: no news
        await deliver(desk)
    claims = [await verified(desk, call) for call in receiver.calls]
    assert told(receiver.calls) == [(kind, issued["accessor"]) for kind in kinds]
    (txn,) = {one["txn"] for one in claims}
    assert txn.startswith("dis_")
    place = "disclosed by scanner: found at https://example.test/app.py"
    assert claims[0]["events"] == {
        f"{RISC}/credential-compromise": {
            "credential_type": "api_key",
            "event_timestamp": int(START),
            "reason_admin": {"en": place},
        }
    }
    for one in claims[1:]:
        (event,) = one["events"].values()
        assert event["initiating_entity"] == "policy"
        assert event["reason_admin"]["en"].startswith(place)
    if policy == "revoke":
        (revocation,) = (await desk.http.get("/control/revocations", headers=desk.admin)).json()["data"]
        assert revocation["txn"] == txn
        assert await effect(desk, revocation["id"]) == {"sent": 3, "owed": 0, "dead": 0, "dropped": 0}


async def test_all_batches_of_a_restoration_share_its_txn(desk: Desk) -> None:
    await add_sink(desk, NOBODY)
    issued = [await desk.issue(f"tester-{number}") for number in range(3)]
    for one in issued:
        await move(desk, one, "suspended")
    body = {"selector": {"cohort": "alpha"}, "reason": "false alarm", "over_seconds": 3, "batch": 1}
    begun = (await desk.http.post("/control/restorations", json=body, headers=desk.admin)).json()
    for _ in range(4):
        await desk.context.ramps.step()
        await desk.context.ramps.step()
        desk.clock.advance(2)
    rows = await sent(desk, txn=begun["id"])
    assert sorted(row["accessor"] for row in rows) == sorted(one["accessor"] for one in issued)
    assert {row["kind"] for row in rows} == {"credential-change"}
    assert len({row["created_at"] for row in rows}) == 3
    stored = await desk.store.read(lambda tx: tx.fetch_all("SELECT event FROM signals ORDER BY seq DESC LIMIT 1"))
    event = json.loads(stored[0]["event"])
    assert (event["change_type"], event["reason_admin"]) == ("update", {"en": "false alarm: suspended to active"})


async def test_each_disclosed_token_has_a_txn_of_its_own_and_is_told_once_a_batch(desk: Desk) -> None:
    await add_sink(desk, NOBODY)
    one, other = await desk.issue(), await desk.issue("tester-002")
    await disclose(desk, "revoke", one["token"], other["token"], "ldk_" + "0" * 36)
    await disclose(desk, "revoke", one["token"], url="https://example.test/elsewhere")
    rows = await sent(desk)
    assert len({row["txn"] for row in rows}) == 3
    assert [row["kind"] for row in rows if row["accessor"] == other["accessor"]] == [
        "credential-change",
        "session-revoked",
        "credential-compromise",
    ]
    # A revoked token in another place is news, but no access changes by it.
    assert [row["kind"] for row in rows if row["accessor"] == one["accessor"]].count("credential-compromise") == 2


async def test_children_go_with_their_parent_and_were_not_disclosed_themselves(desk: Desk) -> None:
    await add_sink(desk, NOBODY)
    parent = await desk.issue(scopes=["videos:read", "tokens:mint"])
    child = (await desk.http.post("/v1/tokens", json={}, headers=bearer_of(parent))).json()
    await disclose(desk, "revoke", parent["token"])
    rows = await sent(desk)
    assert {row["kind"] for row in rows if row["accessor"] == child["accessor"]} == {
        "session-revoked",
        "credential-change",
    }
    assert len({row["txn"] for row in rows}) == 1
    assert len(rows) == 5


async def test_who_made_it_happen(desk: Desk) -> None:
    await add_sink(desk, NOBODY)
    issued = await desk.issue()
    await desk.http.post("/oauth/revoke", data={"token": issued["token"]})
    rows = await desk.store.read(lambda tx: tx.fetch_all("SELECT event FROM signals"))
    assert {json.loads(row["event"])["initiating_entity"] for row in rows} == {"user"}


async def test_no_secret_is_in_what_is_sent_shown_or_recorded(desk: Desk) -> None:
    with accepting() as receiver:
        await add_sink(desk, receiver.url("/?key=private"), authorization="Bearer hush-hush-hush")
        issued, other = await desk.issue(), await desk.issue("tester-002")
        await disclose(desk, "quarantine", issued["token"], url=f"https://example.test/?q={issued['token']}")
        await desk.revoke({"token": other["token"]}, reason=f"found {other['token']} in a paste")
        await deliver(desk)
        pages = [await desk.http.get(f"/control/sinks{path}", headers=desk.admin) for path in ("", "/deliveries")]
    assert [call.headers["authorization"] for call in receiver.calls] == ["Bearer hush-hush-hush"] * 4
    everything = json.dumps([await verified(desk, call) for call in receiver.calls])
    for secret in (issued["token"], other["token"], "hush"):
        assert secret not in everything + "".join(page.text for page in pages)
    assert "found [token] in a paste" in everything
    assert "https://example.test/?q=[token]" in everything
    recorded = json.dumps([one for one in await desk.events() if one["kind"].startswith(("sink.", "signal."))])
    assert "private" not in recorded
    assert "hush" not in recorded


async def test_what_changed_nothing_tells_nothing(desk: Desk) -> None:
    await add_sink(desk, NOBODY)
    await desk.issue()
    await desk.revoke({"cohort": "alpha"})
    assert len(await sent(desk)) == 2
    again = (await desk.revoke({"cohort": "alpha"})).json()
    assert len(await sent(desk)) == 2
    assert await effect(desk, again["id"]) == {"sent": 0, "owed": 0, "dead": 0, "dropped": 0}


@pytest.mark.sqlite_alone
async def test_without_a_sink_that_listens_nothing_is_written_and_one_look_up_is_all(desk: Desk) -> None:
    sink = await add_sink(desk, NOBODY)
    await change_sink(desk, sink, status="disabled")
    issued = await desk.issue()
    with statements(desk, "writer") as seen:
        await move(desk, issued, "suspended")
    asked = [one for one in seen if "sinks" in one or "signals" in one]
    assert asked == ["SELECT id FROM sinks WHERE status <> 'disabled' ORDER BY seq"]
    assert await sent(desk) == []


async def test_every_sink_gets_its_own_token(desk: Desk) -> None:
    with accepting() as receiver:
        await add_sink(desk, receiver.url("/a"))
        await add_sink(desk, receiver.url("/b"), audience="https://other.example.test")
        await desk.issue()
        await desk.revoke({"cohort": "alpha"})
        await deliver(desk)
    claims = [await verified(desk, call) for call in receiver.calls]
    assert len({one["jti"] for one in claims}) == 4
    assert len({one["txn"] for one in claims}) == 1
    assert {opened(call)[1]["aud"] for call in receiver.to("/b")} == {"https://other.example.test"}


@pytest.mark.sqlite_alone
async def test_a_bulk_revocation_is_one_statement_and_in_order(desk: Desk) -> None:
    for path in ("/a", "/b"):
        await add_sink(desk, f"http://127.0.0.1:9{path}")
    issued = [await desk.issue(f"tester-{number:03}") for number in range(300)]
    with statements(desk, "writer") as seen:
        revocation = (await desk.revoke({"cohort": "alpha"})).json()
    assert len([one for one in seen if "INTO signals" in one]) == 1
    assert await effect(desk, revocation["id"]) == {"sent": 0, "owed": 1200, "dead": 0, "dropped": 0}
    rows = await sent(desk, limit="10000")
    order = list(dict.fromkeys(row["accessor"] for row in reversed(rows)))
    assert sorted(order) == sorted(one["accessor"] for one in issued)
    assert order == [item["accessor"] for item in revocation["items"]]


async def _revoke(desk: Desk, issued: dict[str, Any]) -> int:
    return (await desk.revoke({"accessor": issued["accessor"]})).status_code


async def _suspend(desk: Desk, issued: dict[str, Any]) -> int:
    path = f"/control/tokens/{issued['accessor']}"
    return (await desk.http.patch(path, json={"state": "suspended"}, headers=desk.admin)).status_code


async def _disclose(desk: Desk, issued: dict[str, Any]) -> int:
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await disclose(desk, "quarantine", issued["token"])
    return 500


@pytest.mark.parametrize("change", [_revoke, _suspend, _disclose])
async def test_where_the_signal_cannot_be_written_the_change_does_not_happen(desk: Desk, change: Any) -> None:
    await add_sink(desk, NOBODY)
    issued = await desk.issue()
    before = len(await desk.events())
    with refusing(desk, "INSERT", "signals"):
        assert await change(desk, issued) in (500, 503)
    shown = (await desk.http.get(f"/control/tokens/{issued['accessor']}", headers=desk.admin)).json()
    assert (shown["state"], shown["reports"]) == ("active", 0)
    assert len(await desk.events()) == before
    assert await sent(desk) == []


async def test_a_change_that_is_taken_back_leaves_no_signal(desk: Desk) -> None:
    await add_sink(desk, NOBODY)
    await desk.issue()
    with refusing(desk, "INSERT", "events"):
        assert (await desk.revoke({"cohort": "alpha"})).status_code in (500, 503)
    assert await sent(desk) == []


async def test_a_verification_names_the_sink_and_repeats_the_state(desk: Desk) -> None:
    with accepting() as receiver:
        sink = await add_sink(desk, receiver.url())
        path = f"/control/sinks/{sink['id']}/verify"
        queued = await desk.http.post(path, json={"state": "hello"}, headers=desk.admin)
        assert (queued.status_code, queued.json()["kind"]) == (202, "verification")
        assert (await desk.http.post(path, json={}, headers=desk.admin)).status_code == 202
        await deliver(desk)
    first, second = [await verified(desk, call) for call in receiver.calls]
    assert first["sub_id"] == {"format": "opaque", "id": sink["id"]}
    assert first["events"] == {f"{SSF}/verification": {"state": "hello"}}
    assert second["events"] == {f"{SSF}/verification": {}}
    assert first["jti"] == queued.json()["id"]
