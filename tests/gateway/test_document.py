"""`/openapi.json` tells who may call what and how it is refused, and requests are read as strictly as it says."""

from __future__ import annotations

from typing import Any

import pytest

from desk import Desk

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]


async def test_every_operation_names_its_guard_and_its_refusals(desk: Desk) -> None:
    document = (await desk.http.get("/openapi.json")).json()
    guards = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            guards[f"{method.upper()} {path}"] = [name for guard in operation.get("security", []) for name in guard]
            refused = operation["responses"]["503"]["content"]["application/json"]["schema"]
            name = {"fal": "FalError", "replicate": "ReplicateError", "together": "TogetherError", "hf": "HfError"}
            assert refused == {"$ref": f"#/components/schemas/{name.get(path.split('/')[1], 'Error')}"}
            assert ("401" in operation["responses"]) == bool(guards[f"{method.upper()} {path}"])
    assert guards["POST /v1/videos"] == ["token"]
    assert guards["POST /control/revocations"] == guards["POST /oauth/introspect"] == ["admin"]
    assert guards["GET /status"] == guards["POST /oauth/revoke"] == guards["GET /media/{video_id}"] == []


async def test_the_guards_that_are_named_are_there(desk: Desk) -> None:
    document = (await desk.http.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "security" in operation:
                answer = await desk.http.request(method, path, headers={"Authorization": "Bearer ldk_wrong"})
                assert answer.status_code == 401, f"{method} {path}"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/videos", "GET, POST"),
        ("/v1/videos/video_1", "DELETE, GET"),
        ("/v1/videos/edits", "POST"),
        ("/v1/videos/video_1/content", "GET, HEAD"),
        ("/control/tokens/tok_1", "GET, PATCH"),
        ("/control/clock", "DELETE, PUT"),
    ],
)
async def test_a_wrong_method_is_told_all_methods_of_the_address(desk: Desk, path: str, allowed: str) -> None:
    answer = await desk.http.request("PROPFIND", path)
    assert (answer.status_code, answer.headers.get_list("allow")) == (405, [allowed])
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert allowed in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/control/tokens", {"principal": "a", "cohort": "b", "expires_in": "60"}),
        ("PUT", "/control/clock", {"time": "2024-11-26T08:30:00-05:00", "running": 1}),
        ("PUT", "/control/clock", {"time": 5}),
        ("PUT", "/control/clock", {"time": "1732627800"}),
        ("PUT", "/control/clock", {"time": "2024-11-26T08:30:00"}),
        ("POST", "/control/revocations/preview", {"selector": {"all": 1}}),
        ("POST", "/control/revocations/preview", {"selector": {"all": False}}),
        ("POST", "/control/revocations/preview", {"selector": {"cohort": "a", "principal": None}}),
        ("POST", "/control/revocations/preview", {"selector": {"cohort": None}}),
        ("POST", "/control/revocations/preview", {"selector": {}}),
    ],
)
async def test_what_the_document_does_not_allow_is_refused(
    desk: Desk, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = await desk.http.request(method, path, json=body, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_value")


@pytest.mark.parametrize("name", ["token", "accessor", "principal", "cohort"])
async def test_half_a_surrogate_pair_names_nobody(desk: Desk, name: str) -> None:
    headers = {**desk.admin, "Content-Type": "application/json"}
    content = f'{{"selector": {{"{name}": "a\\ud800"}}}}'
    answer = await desk.http.post("/control/revocations/preview", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "selector")
    assert "surrogate" in answer.json()["error"]["message"]


async def test_the_beginning_of_time_selects_nobody(desk: Desk) -> None:
    await desk.issue()
    body = {"selector": {"issued_before": 0}}
    answer = await desk.http.post("/control/revocations/preview", json=body, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "token_not_found")


async def test_a_whole_number_may_be_written_with_a_point(desk: Desk) -> None:
    body = {"name": "instant", "seed": 5.0, "speed": 2}
    assert (await desk.http.put("/control/profile", json=body, headers=desk.admin)).json()["seed"] == 5


async def test_an_event_number_beyond_the_store_is_refused(desk: Desk) -> None:
    most = {"after": 2**63 - 1}
    assert (await desk.http.get("/control/events", params=most, headers=desk.admin)).json()["data"] == []
    beyond = {"after": 2**63}
    assert (await desk.http.get("/control/events", params=beyond, headers=desk.admin)).status_code == 422
    beyond_as_header = {**desk.admin, "Last-Event-ID": str(2**63)}
    assert (await desk.http.get("/control/events/stream", headers=beyond_as_header)).status_code == 422


async def test_a_clock_set_to_the_end_of_the_calendar_stops_nothing(desk: Desk) -> None:
    body = {"time": "9999-12-31T23:59:59-05:00", "speed": 100_000}
    assert (await desk.http.put("/control/clock", json=body, headers=desk.admin)).status_code == 200
    desk.clock.advance(86_400)
    await desk.issue()
    assert (await desk.revoke({"cohort": "alpha"})).status_code == 200
    assert (await desk.http.get("/status")).json()["replay_clock"]["time"] == "9999-12-30T19:00:00-05:00"


@pytest.mark.parametrize("content", ["", "token=", "token=a&token=b", "token=&a=b"])
async def test_a_form_without_one_token_is_refused_as_the_rfc_says(desk: Desk, content: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await desk.http.post("/oauth/revoke", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
