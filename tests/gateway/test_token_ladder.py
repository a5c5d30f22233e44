"""What may become of a token: an illegal move is refused and recorded, nothing leads back from revoked, and no clock
that is set brings anything back."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import pytest

from desk import Desk, bearer_of
from gateway.events import first_broken
from gateway.store import events
from gateway.tokens import TokenState
from gateway.tokens.service import LADDER
from tampering import raw

pytestmark = pytest.mark.anyio

BY_HAND = ("active", "quarantined", "suspended")


async def move(desk: Desk, token: dict[str, Any], state: str) -> Any:
    path = f"/control/tokens/{token['accessor']}"
    return await desk.http.patch(path, json={"state": state}, headers=desk.admin)


async def state_of(desk: Desk, token: dict[str, Any]) -> str:
    answer = await desk.http.get(f"/control/tokens/{token['accessor']}", headers=desk.admin)
    return str(answer.json()["state"])


async def refusals(desk: Desk) -> list[tuple[str, str, dict[str, Any]]]:
    found = await desk.events("token.move_refused")
    return [(event["actor"], event["accessor"], event["data"]) for event in found]


@pytest.mark.parametrize("to", BY_HAND)
@pytest.mark.parametrize("at", [*BY_HAND, "revoked"])
async def test_every_move_is_made_or_refused_and_recorded_either_way(desk: Desk, at: str, to: str) -> None:
    issued = await desk.issue()
    if at == "revoked":
        await desk.revoke({"accessor": issued["accessor"]})
    else:
        assert (await move(desk, issued, at)).status_code == 200
    made = await desk.events("token.state_changed")
    answer = await move(desk, issued, to)
    legal = at == to or TokenState(to) in LADDER[TokenState(at)]
    if legal:
        assert (answer.status_code, answer.json()["state"], await refusals(desk)) == (200, to, [])
        assert len(await desk.events("token.state_changed")) == len(made) + (at != to)
        return
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert await refusals(desk) == [("admin", issued["accessor"], {"from": at, "to": to})]
    assert await desk.events("token.state_changed") == made
    assert await state_of(desk, issued) == at


async def test_a_refused_move_that_cannot_be_recorded_is_not_told_as_refused(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.revoke({"accessor": issued["accessor"]})
    raw(desk, "ALTER TABLE events RENAME TO elsewhere")
    answer = await move(desk, issued, "active")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    raw(desk, "ALTER TABLE elsewhere RENAME TO events")
    assert await refusals(desk) == []


async def test_no_call_takes_a_token_to_or_from_a_state_that_has_none(desk: Desk) -> None:
    issued = await desk.issue()
    for state in ("revoked", "expired", "Active", ""):
        answer = await move(desk, issued, state)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_value")
    assert await state_of(desk, issued) == "active"


async def test_nothing_leads_back_from_revoked(desk: Desk) -> None:
    parent = await desk.issue(scopes=["videos:read", "tokens:mint"])
    child = (await desk.http.post("/v1/tokens", json={}, headers=bearer_of(parent))).json()
    await desk.revoke({"accessor": child["accessor"]})
    for state in ("suspended", "active"):  # what its parent goes through does not bring it back
        assert (await move(desk, parent, state)).status_code == 200
    for state in BY_HAND:
        assert (await move(desk, child, state)).status_code == 409
    assert (await desk.revoke({"accessor": child["accessor"]})).json()["items"][0]["outcome"] == "already"
    assert (await desk.http.get("/v1/videos", headers=bearer_of(child))).status_code == 401
    assert (await desk.http.get("/v1/videos", headers=bearer_of(parent))).status_code == 200
    # Not even for who writes to the database.
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError), match="stays revoked"):
        raw(desk, "UPDATE tokens SET state = 'active' WHERE accessor = :it", it=child["accessor"])
    raw(desk, "UPDATE tokens SET state = 'revoked' WHERE accessor = :it", it=child["accessor"])


@pytest.mark.parametrize("jump", [-10 * 365 * 86_400, -3600, -0.001, 3600, 10 * 365 * 86_400])
async def test_a_clock_that_is_set_resurrects_nothing_and_breaks_no_chain(desk: Desk, jump: float) -> None:
    leaked, other = await desk.issue("leaked"), await desk.issue("other")
    headers = bearer_of(leaked)
    video = (await desk.create(headers))["id"]
    await desk.finished()
    link = (await desk.http.post(f"/v1/videos/{video}/link", headers=headers)).json()["url"]
    done = (await desk.revoke({"principal": "leaked"})).json()
    for _ in range(3):
        desk.clock.jump(jump)
        assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 401
        assert (await desk.http.get(f"/v1/videos/{video}/events", headers=headers)).status_code == 401
        assert (await desk.http.get(link)).status_code in (401, 403)
        assert (await desk.http.get("/v1/videos", headers=bearer_of(other))).status_code == 200
        asked = await desk.http.post("/oauth/introspect", data={"token": leaked["token"]}, headers=desk.admin)
        assert asked.json() == {"active": False}
        assert (await move(desk, leaked, "active")).status_code == 409
        desk.clock.jump(-jump / 3)
    assert await state_of(desk, leaked) == "revoked"
    assert first_broken(await desk.store.read(lambda tx: events.page(tx, after=0, limit=10_000))) is None
    # What came afterwards is told by the order of the list, whatever the clock showed.
    await desk.context.usage.flush(desk.store)
    effect = (await desk.http.get(f"/control/revocations/{done['id']}", headers=desk.admin)).json()["effect"]
    told = {one["surface"]: one["count"] for one in effect["refused"]}
    assert told["GET /v1/videos"] == told["GET /v1/videos/{video_id}/events"] == 3
    assert effect["late_accepts"] == 0
