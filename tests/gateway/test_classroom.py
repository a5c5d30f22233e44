"""A school class: its roster and code, joining, handing out on paper, one student's fresh start, the end."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from desk import Desk, DeskMaker
from gateway.classroom.codes import ALPHABET, code_of, is_code
from gateway.limits.guesses import IN_ALL, PER_ADDRESS

pytestmark = pytest.mark.anyio


async def opened(desk: Desk, **body: Any) -> dict[str, Any]:
    answer = await desk.http.post("/control/class", json=body, headers=desk.admin)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def roster(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = (await desk.http.get("/control/class", headers=desk.admin)).json()
    return found


async def join(desk: Desk, code: str, name: str | None = None, address: str = "127.0.0.1") -> httpx.Response:
    body = {"code": code} if name is None else {"code": code, "name": name}
    # Under a server that trusts no proxy the address is the connection's; here it is the transport's.
    transport = desk.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    transport.client = (address, 40000)
    return await desk.http.post("/join", json=body)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def held(desk: Desk, token: str) -> int:
    """What a request with this token is answered."""
    return (await desk.http.get("/v1/videos", headers={"Authorization": f"Bearer {token}"})).status_code


def other(code: str) -> str:
    """A code that is wrong in its last character."""
    return code[:-1] + next(letter for letter in ALPHABET if letter != code[-1])


async def test_a_class_has_thirty_named_tokens_and_a_readable_code(desk: Desk) -> None:
    found = await opened(desk)
    assert [seat["name"] for seat in found["seats"]] == [f"Student {number:02}" for number in range(1, 31)]
    assert re.fullmatch(f"[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}", found["code"])
    assert not set("0O1IL2Z5S8BUVQ") & set(ALPHABET)
    assert found["taken"] == 0
    listed = await desk.http.get("/control/tokens", params={"cohort": "class"}, headers=desk.admin)
    tokens = listed.json()["data"]
    assert {token["accessor"] for token in tokens} == {seat["accessor"] for seat in found["seats"]}
    assert {token["state"] for token in tokens} == {"active"}
    assert await roster(desk) == found
    preview = await desk.http.post(
        "/control/revocations/preview", json={"selector": {"cohort": "class"}}, headers=desk.admin
    )
    assert preview.json()["tokens"] == 30


async def test_the_code_and_the_secrets_are_kept_nowhere(desk: Desk) -> None:
    found = await opened(desk, students=2)
    joined = (await join(desk, found["code"])).json()

    def everything(tx: Any) -> str:
        return repr(
            [
                [tuple(row) for row in tx.fetch_all(f"SELECT * FROM {table}")]
                for table in ("classes", "class_seats", "tokens", "events")
            ]
        )

    kept = await desk.store.read(everything)
    assert found["id"] in kept
    for secret in (found["code"], found["code"].replace("-", ""), joined["token"]):
        assert secret not in kept
    assert code_of(desk.keys.classes, found["id"]) == found["code"]
    assert code_of(b"another key", found["id"]) != found["code"]


async def test_names_may_be_given_in_any_script_and_stay_out_of_the_event_list(desk: Desk) -> None:
    names = ["Zoë Åström", "李小龙", "<script>alert(1)</script>", "نور"]
    found = await opened(desk, names=names)
    assert [seat["name"] for seat in found["seats"]] == names
    joined = await join(desk, found["code"], "  zoë   ÅSTRÖM ")
    assert joined.json()["name"] == "Zoë Åström"
    for event in await desk.events():
        assert not [name for name in names if name in repr(event)]
    issued = await desk.http.get(f"/control/tokens/{found['seats'][0]['accessor']}", headers=desk.admin)
    assert issued.json()["principal"] == "Student 01"


async def test_seats_beyond_the_names_are_called_by_their_number(desk: Desk) -> None:
    found = await opened(desk, students=3, names=["Ada"])
    assert [seat["name"] for seat in found["seats"]] == ["Ada", "Student 02", "Student 03"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"students": 0}, 422, "students"),
        ({"students": 201}, 422, "students"),
        ({"names": []}, 422, "names"),
        ({"names": ["a\nb"]}, 400, "names"),
        ({"names": ["  "]}, 400, "names"),
        ({"names": ["x" * 61]}, 422, "names.0"),
        ({"names": ["Ada", "ada "]}, 400, "names"),
        ({"names": ["Ada", "Grace"], "students": 1}, 400, "students"),
        ({"names": ["Student 02"], "students": 2}, 400, "names"),
    ],
)
async def test_a_class_that_cannot_be_is_refused_and_nothing_is_made(
    desk: Desk, body: dict[str, Any], status: int, param: str
) -> None:
    answer = await desk.http.post("/control/class", json=body, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert (await roster(desk))["open"] is False
    assert (await desk.http.get("/control/tokens", headers=desk.admin)).json()["data"] == []


async def test_one_class_is_open_at_a_time(desk: Desk) -> None:
    first = await opened(desk, students=1)
    again = await desk.http.post("/control/class", json={}, headers=desk.admin)
    assert error_of(again) == (409, "class_open")
    assert await roster(desk) == first


async def test_a_student_takes_the_next_seat_or_one_by_name_once(desk: Desk) -> None:
    found = await opened(desk, students=3)
    desk.clock.advance(60)
    first = await join(desk, found["code"])
    assert first.headers["cache-control"] == "no-store"
    assert (first.json()["seat"], first.json()["name"]) == (1, "Student 01")
    assert await held(desk, first.json()["token"]) == 200
    third = await join(desk, found["code"].lower().replace("-", " "), "student 03")
    assert third.json()["name"] == "Student 03"
    assert error_of(await join(desk, found["code"], "Student 03")) == (409, "seat_taken")
    assert error_of(await join(desk, found["code"], "Student 99")) == (404, "seat_not_found")
    assert (await join(desk, found["code"])).json()["name"] == "Student 02"
    assert error_of(await join(desk, found["code"])) == (409, "class_full")
    now = await roster(desk)
    assert [(seat["taken_by"], seat["taken_at"]) for seat in now["seats"]] == [("join", desk.clock.now())] * 3
    assert now["taken"] == 3
    kinds = [event["kind"] for event in await desk.events("class.")]
    assert kinds.count("class.joined") == 3
    assert kinds.count("class.join_refused") == 3
    assert (await desk.events("class.joined"))[1]["data"] == {"class": found["id"], "seat": 3, "chosen": True}


async def test_a_whole_class_joins_at_once_and_no_seat_is_given_twice(desk: Desk) -> None:
    found = await opened(desk)
    answers = await asyncio.gather(*(join(desk, found["code"]) for _ in range(31)))
    taken = [answer.json() for answer in answers if answer.status_code == 200]
    assert sorted(one["seat"] for one in taken) == list(range(1, 31))
    assert len({one["token"] for one in taken}) == 30
    assert [error_of(answer) for answer in answers if answer.status_code != 200] == [(409, "class_full")]


async def test_wrong_and_stale_codes_are_told_apart_in_the_envelope(desk: Desk) -> None:
    found = await opened(desk, students=1)
    wrong = await join(desk, other(found["code"]))
    assert error_of(wrong) == (403, "invalid_join_code")
    assert wrong.json()["error"]["param"] == "code"
    for nothing in ("-", "é", "A" * 40, "\u0000"):
        assert error_of(await join(desk, nothing)) == (403, "invalid_join_code")
    assert (await desk.http.delete("/control/class", headers=desk.admin)).status_code == 200
    assert error_of(await join(desk, found["code"])) == (403, "class_ended")
    reasons = [event["data"] for event in await desk.events("class.join_refused")]
    assert reasons == [{"reason": "invalid_join_code"}] * 5 + [{"reason": "class_ended"}]


def test_a_code_is_read_as_people_type_it() -> None:
    for given in ("HKTM-4C7R", "hktm4c7r", " hktm 4c7r\n", "H-K-T-M-4-C-7-R"):
        assert is_code(given, "HKTM-4C7R")
    for given in ("", "HKTM", "HKTM-4C7RR", "HKTM-4C7N"):
        assert not is_code(given, "HKTM-4C7R")


async def test_guesses_are_limited_per_address_and_right_ones_do_not_count(desk: Desk) -> None:
    found = await opened(desk)
    for _ in range(PER_ADDRESS):
        assert error_of(await join(desk, other(found["code"]), address="10.0.0.1")) == (403, "invalid_join_code")
    limited = await join(desk, found["code"], address="10.0.0.1")
    assert error_of(limited) == (429, "too_many_guesses")
    assert limited.headers["retry-after"] == "2"
    assert (await join(desk, found["code"], address="10.0.0.2")).status_code == 200
    desk.clock.advance(2)
    assert (await join(desk, found["code"], address="10.0.0.1")).status_code == 200
    for _ in range(28):
        assert (await join(desk, found["code"], address="10.0.0.3")).status_code == 200
    assert len(await desk.events("class.join_refused")) == PER_ADDRESS


async def test_guesses_are_limited_in_all(desk: Desk) -> None:
    found = await opened(desk, students=1)
    for number in range(IN_ALL):
        answer = await join(desk, other(found["code"]), address=f"10.0.1.{number}")
        assert error_of(answer) == (403, "invalid_join_code")
    assert error_of(await join(desk, found["code"], address="10.0.2.1")) == (429, "too_many_guesses")
    desk.clock.advance(0.5)
    assert (await join(desk, found["code"], address="10.0.2.1")).status_code == 200


async def test_one_student_starts_afresh_and_nobody_else_notices(desk: Desk) -> None:
    found = await opened(desk, students=2)
    mine = (await join(desk, found["code"], "Student 01")).json()["token"]
    theirs = (await join(desk, found["code"], "Student 02")).json()["token"]
    await desk.create({"Authorization": f"Bearer {mine}"})
    await desk.http.patch("/control/state", json={"phase": "exposed"}, headers=desk.admin)
    answer = await desk.http.post("/control/class/seats/1/reset", headers=desk.admin)
    assert answer.status_code == 200, answer.text
    seat = answer.json()
    assert (seat["taken_at"], seat["state"], seat["resets"]) == (None, "active", 1)
    assert seat["accessor"] != found["seats"][0]["accessor"]
    assert (await held(desk, mine), await held(desk, theirs)) == (401, 200)
    assert (await desk.http.get("/status")).json()["phase"] == "exposed"
    assert (await desk.http.get("/status")).json()["queue"]["waiting"] == 0
    again = (await join(desk, found["code"])).json()
    assert (again["seat"], await held(desk, again["token"])) == (1, 200)
    former = await desk.http.get(f"/control/tokens/{found['seats'][0]['accessor']}", headers=desk.admin)
    assert former.json()["state"] == "revoked"
    assert (await desk.events("class.seat_reset"))[0]["data"]["before"] == found["seats"][0]["accessor"]
    (applied,) = await desk.events("revocation.applied")
    assert applied["data"]["housekeeping"] is True


async def test_a_reset_that_cannot_be_done_changes_nothing(desk: Desk) -> None:
    none = await desk.http.post("/control/class/seats/1/reset", headers=desk.admin)
    assert error_of(none) == (404, "class_not_found")
    found = await opened(desk, students=1)
    token = (await join(desk, found["code"])).json()["token"]
    missing = await desk.http.post("/control/class/seats/2/reset", headers=desk.admin)
    assert error_of(missing) == (404, "seat_not_found")
    await desk.http.put("/control/mint", json={"frozen": True}, headers=desk.admin)
    frozen = await desk.http.post("/control/class/seats/1/reset", headers=desk.admin)
    assert error_of(frozen) == (409, "minting_frozen")
    assert await held(desk, token) == 200


async def test_two_instructors_who_free_one_seat_at_once_free_it_once(desk: Desk) -> None:
    found = await opened(desk, students=1)
    await join(desk, found["code"])
    url = "/control/class/seats/1/reset"
    answers = await asyncio.gather(*(desk.http.post(url, headers=desk.admin) for _ in range(2)))
    assert 200 in {answer.status_code for answer in answers}
    assert {error_of(answer) for answer in answers if answer.status_code != 200} <= {(409, "seat_changed")}
    state = (await desk.http.get("/control/state", headers=desk.admin)).json()
    assert state["tokens"]["active"] == 1
    assert (await join(desk, found["code"])).status_code == 200


async def test_a_class_that_was_cut_off_hands_out_no_token(desk: Desk) -> None:
    found = await opened(desk, students=2)
    token = (await join(desk, found["code"])).json()["token"]
    await desk.revoke({"cohort": "class"})
    assert await held(desk, token) == 401
    assert error_of(await join(desk, found["code"])) == (409, "seat_revoked")
    assert {seat["state"] for seat in (await roster(desk))["seats"]} == {"revoked"}
    freed = await desk.http.post("/control/class/seats/2/reset", headers=desk.admin)
    assert freed.json()["state"] == "active"
    assert (await join(desk, found["code"])).json()["seat"] == 2


async def test_tokens_on_paper_take_every_free_seat(desk: Desk) -> None:
    found = await opened(desk, students=3)
    await join(desk, found["code"], "Student 02")
    answer = await desk.http.post("/control/class/tokens", headers=desk.admin)
    assert answer.headers["cache-control"] == "no-store"
    printed = answer.json()["data"]
    assert [one["name"] for one in printed] == ["Student 01", "Student 03"]
    assert [await held(desk, one["token"]) for one in printed] == [200, 200]
    assert [seat["taken_by"] for seat in (await roster(desk))["seats"]] == ["paper", "join", "paper"]
    assert error_of(await join(desk, found["code"])) == (409, "class_full")
    assert (await desk.http.post("/control/class/tokens", headers=desk.admin)).json()["data"] == []


async def test_the_end_revokes_the_class_and_leaves_others_and_the_phase_alone(desk: Desk) -> None:
    bystander = await desk.issue("tester-001", "class")
    found = await opened(desk, students=2)
    token = (await join(desk, found["code"])).json()["token"]
    await desk.http.patch("/control/state", json={"phase": "exposed"}, headers=desk.admin)
    ended = await desk.http.delete("/control/class", headers=desk.admin)
    assert ended.json() == {
        "open": False,
        "id": None,
        "code": None,
        "cohort": "class",
        "opened_at": None,
        "taken": 0,
        "seats": [],
    }
    assert (await held(desk, token), await held(desk, bystander["token"])) == (401, 200)
    assert (await desk.http.get("/status")).json()["phase"] == "exposed"
    assert (await desk.events("revocation.applied"))[-1]["data"]["housekeeping"] is True
    assert error_of(await desk.http.delete("/control/class", headers=desk.admin)) == (404, "class_not_found")
    second = await opened(desk, students=1)
    assert second["code"] != found["code"]
    assert error_of(await join(desk, found["code"])) == (403, "class_ended")
    assert (await join(desk, second["code"])).status_code == 200


async def test_a_reset_of_the_exercise_ends_the_class(desk: Desk) -> None:
    found = await opened(desk, students=2)
    token = (await join(desk, found["code"])).json()["token"]
    for _ in range(PER_ADDRESS):
        await join(desk, other(found["code"]))
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert (await roster(desk))["open"] is False
    assert await held(desk, token) == 401
    assert error_of(await join(desk, found["code"])) == (403, "class_ended")
    assert (await desk.events("reset"))[0]["data"]["classes"] == 1
    assert (await join(desk, (await opened(desk))["code"])).status_code == 200


async def test_another_gateway_of_the_same_database_knows_the_class(make_desk: DeskMaker) -> None:
    first, second = await make_desk(), await make_desk(replica="r2")
    found = await opened(first, students=2)
    assert (await roster(second))["code"] == found["code"]
    joined = await join(second, found["code"])
    assert await held(first, joined.json()["token"]) == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/control/class"),
        ("POST", "/control/class"),
        ("DELETE", "/control/class"),
        ("POST", "/control/class/tokens"),
        ("POST", "/control/class/seats/1/reset"),
    ],
)
async def test_the_class_is_the_instructors(desk: Desk, method: str, path: str) -> None:
    found = await opened(desk, students=1)
    body: dict[str, Any] = {"json": {}} if path.endswith("class") and method == "POST" else {}
    for headers in ({}, await desk.bearer()):
        assert (await desk.http.request(method, path, headers=headers, **body)).status_code == 401
    assert await roster(desk) == found
