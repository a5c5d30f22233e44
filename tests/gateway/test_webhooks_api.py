"""`/v1/webhook_endpoints`: shapes, limits, secrets, whose they are."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from desk import START, Desk, DeskMaker, bearer_of
from receiver import receiving

pytestmark = pytest.mark.anyio

PUBLIC = "https://93.184.215.14/hook"
GIVEN = {"name": "mine", "url": PUBLIC, "event_types": ["video.completed", "video.failed"]}
BASE = "/v1/webhook_endpoints"


async def create(desk: Desk, headers: dict[str, str], **changes: Any) -> dict[str, Any]:
    answer = await desk.http.post(BASE, json={**GIVEN, **changes}, headers=headers)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_the_secret_is_in_the_answers_to_creating_and_rotating_only(desk: Desk) -> None:
    headers = await desk.bearer()
    made = await create(desk, headers)
    secret = made.pop("signing_secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    id = made["id"]
    assert made == {
        "id": id,
        "object": "webhook_endpoint",
        **GIVEN,
        "created_at": int(START),
        "updated_at": int(START),
        "signing_secret_hint": f"whsec_…{secret.rstrip('=')[-4:]}",
    }
    assert (await desk.http.get(f"{BASE}/{id}", headers=headers)).json() == made
    assert (await desk.http.get(BASE, headers=headers)).json()["data"] == [made]

    desk.clock.advance(10)
    rotated = (await desk.http.post(f"{BASE}/{id}/rotate_secret", headers=headers)).json()
    assert rotated["signing_secret"] not in (secret, "")
    assert (rotated["updated_at"], rotated["created_at"]) == (int(START) + 10, int(START))
    everything = [(await desk.http.get("/control/webhooks/deliveries", headers=desk.admin)).text]
    everything.append((await desk.http.get("/control/events", headers=desk.admin)).text)
    everything.append((await desk.http.get(f"{BASE}/{id}", headers=headers)).text)
    for text in everything:
        assert secret not in text
        assert rotated["signing_secret"] not in text


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"name": None}, "name", "missing_required_parameter"),
        ({"url": None}, "url", "missing_required_parameter"),
        ({"event_types": None}, "event_types", "missing_required_parameter"),
        ({"name": " "}, "name", "invalid_value"),
        ({"name": "x" * 81}, "name", "invalid_value"),
        ({"name": 3}, "name", "invalid_value"),
        ({"event_types": []}, "event_types", "invalid_value"),
        ({"event_types": "video.completed"}, "event_types", "invalid_value"),
        ({"event_types": ["video.completed", "batch.completed"]}, "event_types.1", "invalid_value"),
        ({"event_types": ["video.completed"] * 21}, "event_types", "invalid_value"),
        ({"colour": "red"}, "colour", "unknown_parameter"),
        ({"url": "http://127.0.0.1:9/"}, "url", "url_not_allowed"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "url", "url_not_allowed"),
        ({"url": "http://169.254.169.254/latest"}, "url", "url_not_allowed"),
        ({"url": "ftp://93.184.215.14/"}, "url", "url_not_allowed"),
        ({"url": "x"}, "url", "url_not_allowed"),
        ({"url": "https://no-such-name.invalid/"}, "url", "url_unreachable"),
        ({"url": ["https://93.184.215.14/"]}, "url", "invalid_value"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(desk: Desk, changes: Any, param: str, code: str) -> None:
    headers = await desk.bearer()
    answer = await desk.http.post(BASE, json={**GIVEN, **changes}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), answer.text
    assert answer.json()["error"]["param"] == param
    made = await create(desk, headers)
    if None not in changes.values():  # None means: leave it as it is
        updated = await desk.http.post(f"{BASE}/{made['id']}", json=changes, headers=headers)
        assert (updated.status_code, updated.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize("body", [b"[]", b"{", b'"x"', b"\xff", b"[" * 20_000])
@pytest.mark.parametrize("path", ["", "/ID", "/ID/rotate_secret", "/ID/test"])
async def test_a_body_that_is_no_object_is_refused(desk: Desk, path: str, body: bytes) -> None:
    headers = await desk.bearer()
    made = await create(desk, headers)
    answer = await desk.http.post(
        BASE + path.replace("ID", made["id"]),
        content=body,
        headers={**headers, "Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


async def test_an_update_that_changes_nothing_leaves_updated_at_alone(desk: Desk) -> None:
    headers = await desk.bearer()
    made = await create(desk, headers)
    path = f"{BASE}/{made['id']}"
    desk.clock.advance(5)
    same = await desk.http.post(path, json={"name": "mine"}, headers=headers)
    assert same.json()["updated_at"] == int(START)
    changed = await desk.http.post(path, json={"event_types": ["video.failed", "video.failed"]}, headers=headers)
    assert changed.json()["updated_at"] == int(START) + 5
    assert changed.json()["event_types"] == ["video.failed"]
    assert (changed.json()["name"], changed.json()["url"]) == ("mine", PUBLIC)
    told = await desk.events("webhook.")
    assert [(one["kind"], one["data"].get("fields")) for one in told] == [
        ("webhook.created", None),
        ("webhook.updated", ["event_types"]),
    ]


async def test_pages_go_from_the_newest_to_the_oldest(desk: Desk) -> None:
    headers = await desk.bearer()
    made = [(await create(desk, headers, name=f"n{number}"))["id"] for number in range(3)]
    first = (await desk.http.get(BASE, params={"limit": 2}, headers=headers)).json()
    assert [one["id"] for one in first["data"]] == [made[2], made[1]]
    assert (first["object"], first["has_more"], first["first_id"], first["last_id"]) == ("list", True, made[2], made[1])
    rest = (await desk.http.get(BASE, params={"after": made[1]}, headers=headers)).json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == ([made[0]], False)
    assert (await desk.http.get(BASE, params={"after": "whep_x"}, headers=headers)).status_code == 404


async def test_ten_a_token_and_another_token_has_its_own(desk: Desk) -> None:
    headers, other = await desk.bearer(), await desk.bearer("tester-002")
    made = [await create(desk, headers) for _ in range(10)]
    answer = await desk.http.post(BASE, json=GIVEN, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "webhook_endpoint_limit")
    await create(desk, other)
    gone = await desk.http.delete(f"{BASE}/{made[0]['id']}", headers=headers)
    assert gone.json() == {"id": made[0]["id"], "object": "webhook_endpoint.deleted", "deleted": True}
    await create(desk, headers)


async def test_somebody_elses_endpoint_is_not_there(desk: Desk) -> None:
    made = await create(desk, await desk.bearer())
    other = await desk.bearer("tester-002")
    path = f"{BASE}/{made['id']}"
    calls = [
        desk.http.get(path, headers=other),
        desk.http.post(path, json={"name": "theirs"}, headers=other),
        desk.http.delete(path, headers=other),
        desk.http.post(f"{path}/rotate_secret", json={}, headers=other),
        desk.http.post(f"{path}/test", json={"event_type": "video.failed"}, headers=other),
    ]
    assert [(await call).status_code for call in calls] == [404] * 5
    assert (await desk.http.get(BASE, headers=other)).json()["data"] == []


async def test_changing_needs_the_scope_to_write(desk: Desk) -> None:
    issued = await desk.issue()
    made = await create(desk, bearer_of(issued))
    path = f"{BASE}/{made['id']}"
    quarantine = {"state": "quarantined"}
    await desk.http.patch(f"/control/tokens/{issued['accessor']}", json=quarantine, headers=desk.admin)
    for headers in (bearer_of(issued), await desk.bearer("reader", scopes=["videos:read"])):
        calls = [
            desk.http.post(BASE, json=GIVEN, headers=headers),
            desk.http.post(path, json={"name": "x"}, headers=headers),
            desk.http.delete(path, headers=headers),
            desk.http.post(f"{path}/rotate_secret", json={}, headers=headers),
            desk.http.post(f"{path}/test", json={"event_type": "video.failed"}, headers=headers),
        ]
        assert [(await call).status_code for call in calls] == [403] * 5
        assert (await desk.http.get(BASE, headers=headers)).status_code == 200
        types = await desk.http.get("/v1/webhook_event_types", headers=headers)
        assert types.json() == {"object": "list", "data": ["video.completed", "video.failed"]}


async def test_a_revoked_bearer_reaches_none_of_it(desk: Desk) -> None:
    issued = await desk.issue()
    headers = bearer_of(issued)
    made = await create(desk, headers)
    await desk.revoke({"accessor": issued["accessor"]})
    path = f"{BASE}/{made['id']}"
    calls = [
        desk.http.get(BASE, headers=headers),
        desk.http.get(path, headers=headers),
        desk.http.post(BASE, json=GIVEN, headers=headers),
        desk.http.post(f"{path}/rotate_secret", json={}, headers=headers),
        desk.http.post(f"{path}/test", json={"event_type": "video.failed"}, headers=headers),
        desk.http.get("/v1/webhook_event_types", headers=headers),
    ]
    assert [(await call).status_code for call in calls] == [401] * 6


async def test_a_test_event_is_signed_and_the_status_is_told(make_desk: DeskMaker) -> None:
    desk = await make_desk(allow_private_targets="loopback")
    headers = await desk.bearer()
    with receiving() as receiver:
        receiver.answer = lambda path, before: (418, {})
        made = await create(desk, headers, url=receiver.url())
        answer = await desk.http.post(f"{BASE}/{made['id']}/test", json={"event_type": "video.failed"}, headers=headers)
        assert answer.json() == {
            "object": "webhook_endpoint.test",
            "webhook_endpoint_id": made["id"],
            "event_type": "video.failed",
            "status_code": 418,
            "success": True,
        }
        (call,) = receiver.calls
        assert call.signed_with(made["signing_secret"])
        assert call.headers["content-type"] == "application/json"
        assert call.headers["webhook-timestamp"] == str(int(START))
        event = call.event
        assert (event["object"], event["type"], event["created_at"]) == ("event", "video.failed", int(START))
        assert event["id"].startswith("evt_")
        assert event["data"]["id"].startswith("video_test_")
    unanswered = await desk.http.post(f"{BASE}/{made['id']}/test", json={"event_type": "video.failed"}, headers=headers)
    assert (unanswered.status_code, unanswered.json()["error"]["code"]) == (400, "url_unreachable")
    log = await desk.http.get("/control/webhooks/deliveries", headers=desk.admin)
    assert log.json() == {"data": []}
