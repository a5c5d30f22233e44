"""The class in the control room, over HTTP and against a real gateway: open it, watch it fill, free a seat, end it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from control_desk import Instructor, deeds, events
from frontend.classroom import join_address, public_class, room_class
from live import Live, eventually

HOSTILE = '<b>Zoë</b> "quoted" ‮ 🎬'


def shown(instructor: Instructor, *seats: str) -> dict[str, Any]:
    """The class once its seats are in these states."""

    def look() -> list[dict[str, Any]]:
        found = instructor.state()["class"]
        return [found] if found and tuple(seat["state"] for seat in found["seats"]) == seats else []

    return eventually(look)[0]


def join(live: Live, code: str, name: str | None = None) -> str:
    """A student's token."""
    body = {"code": code} if name is None else {"code": code, "name": name}
    answer = httpx.post(f"{live.url}/join", json=body, trust_env=False)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def held(live: Live, token: str) -> int:
    """What a request with this token is answered."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{live.url}/v1/videos", headers=headers, trust_env=False).status_code


def test_a_class_is_previewed_opened_once_and_fills_before_ones_eyes(zoe: Instructor, clean: Live) -> None:
    before = deeds(clean)
    preview = zoe.done("class-preview", students=3, names=f"{HOSTILE}\n\n  Adam \n")
    assert preview["words"].startswith(
        "Opening a class makes 3 seats with a token each, cohort class: 2 with the names"
    )
    assert (preview["seats"], preview["items"]) == (3, [HOSTILE, "Adam"])
    assert deeds(clean) == before
    assert zoe.state()["class"] is None

    told = zoe.done("class-open", students=3, names=f"{HOSTILE}\n\n  Adam \n")
    found = shown(zoe, "free", "free", "free")
    assert told["words"] == f"The class is open with 3 seats; its code is {found['code']}."
    assert [(seat["seat"], seat["name"]) for seat in found["seats"]] == [(1, HOSTILE), (2, "Adam"), (3, "Student 03")]
    assert events(clean, "class.opened")[-1]["actor"] == "admin (Zoë)"
    again = zoe.do("class-preview", students=3)
    assert (again.status_code, "open already" in again.json()["words"]) == (409, True)
    assert zoe.do("class-open", students=3).status_code == 409

    join(clean, found["code"], "adam")
    found = shown(zoe, "free", "joined", "free")
    assert found["words"] == "1 of 3 seats taken"
    assert found["seats"][1]["words"].startswith("joined ")
    clean.control("POST", "/control/class/tokens")
    shown(zoe, "paper", "joined", "paper")
    assert zoe.state()["log"][0]["words"] == "Tokens of 2 seats printed"


def test_without_a_number_there_is_a_seat_for_each_name_or_thirty(zoe: Instructor) -> None:
    assert zoe.done("class-preview")["seats"] == 30
    assert zoe.done("class-preview", students=None, names="Ada\nBob")["seats"] == 2


def test_a_wall_has_the_code_while_a_seat_is_free_and_no_name_ever(zoe: Instructor, clean: Live) -> None:
    zoe.done("class-open", names="Somebody Private\nAnother Private")
    code = shown(zoe, "free", "free")["code"]
    wall = zoe.state("/control/projector/state")
    assert (wall["class"], wall["join_at"]) == ({"code": code, "words": "0 of 2 joined"}, zoe.page)
    join(clean, code)
    shown(zoe, "joined", "free")
    assert zoe.state("/control/projector/state")["class"]["words"] == "1 of 2 joined"
    join(clean, code)
    found = shown(zoe, "joined", "joined")
    assert zoe.state("/control/projector/state")["class"] is None
    for number in (1, 2):
        zoe.done("class-seat-reset", **{"seat": number, "class": zoe.done("class-seat-preview", seat=number)["class"]})
    shown(zoe, "free", "free")
    text = zoe.get("/control/projector/state").text
    assert found["code"] in text
    for secret in ("Private", "tok_", "class_"):
        assert secret not in text


def test_one_student_is_freed_and_nobody_else_is_touched(zoe: Instructor, clean: Live) -> None:
    zoe.done("class-open", students=2)
    code = shown(zoe, "free", "free")["code"]
    first, second = join(clean, code), join(clean, code)
    preview = zoe.done("class-seat-preview", seat=1)
    assert preview["words"].startswith(
        "Freeing seat 1, Student 01, ends 1 token and stops 0 waiting and 0 running jobs."
    )
    assert held(clean, first) == 200
    told = zoe.done("class-seat-reset", **{"seat": 1, "class": preview["class"]})
    assert told["words"] == "Seat 1, Student 01, is free; its former token is revoked."
    shown(zoe, "free", "joined")
    assert (held(clean, first), held(clean, second)) == (401, 200)
    assert events(clean, "class.seat_reset")[-1]["actor"] == "admin (Zoë)"
    assert zoe.state()["phase"] == "normal"
    join(clean, code, "Student 01")
    shown(zoe, "joined", "joined")


def test_the_end_says_how_many_tokens_die_and_needs_its_word(zoe: Instructor, clean: Live) -> None:
    bystander = clean.issue("bystander", "press")["token"]
    zoe.done("class-open", students=3)
    token = join(clean, shown(zoe, "free", "free", "free")["code"])
    preview = zoe.done("class-end-preview")
    assert preview["tokens"] == 3
    assert preview["words"].startswith("Ending the class ends 3 tokens and stops 0 waiting and 0 running jobs. 1 of 3")
    before = deeds(clean)
    for fields in ({}, {"confirm": "yes"}, {"confirm": "end"}, {"confirm": "end", "class": "class_other"}):
        refused = zoe.do("class-end", **{"class": "", **fields})
        assert 400 <= refused.status_code < 500, fields
    assert (events(clean), held(clean, token)) == (before, 200)
    told = zoe.done("class-end", **{"class": preview["class"], "confirm": "end"})
    assert told["words"].startswith("The class has ended")
    eventually(lambda: zoe.state()["class"] is None)
    assert (held(clean, token), held(clean, bystander)) == (401, 200)
    assert zoe.state()["log"][0]["words"] == "Class ended; its code is stale"
    assert zoe.do("class-end-preview").status_code == 404


def test_what_one_instructor_previewed_is_not_done_to_the_class_of_another(
    log_in: Callable[[str], Instructor], clean: Live
) -> None:
    zoe, adam = log_in("Zoë"), log_in("Adam")
    zoe.done("class-open", students=1)
    old = zoe.done("class-end-preview")["class"]
    adam.done("class-end", **{"class": old, "confirm": "end"})
    adam.done("class-open", students=1)
    token = join(clean, shown(adam, "free")["code"])
    for deed, fields in (("class-end", {"confirm": "end"}), ("class-seat-reset", {"seat": 1})):
        refused = zoe.do(deed, **{"class": old, **fields})
        assert (refused.status_code, "Another class" in refused.json()["words"]) == (409, True)
    assert held(clean, token) == 200


@pytest.mark.parametrize(
    ("deed", "fields"),
    [
        ("class-preview", {"students": 0}),
        ("class-preview", {"students": 201}),
        ("class-preview", {"students": "many"}),
        ("class-preview", {"students": True}),
        ("class-preview", {"students": 1.5}),
        ("class-preview", {"names": ["Ada"]}),
        ("class-preview", {"names": "\ud800"}),
        ("class-preview", {"students": 1, "names": "Ada\nBob"}),
        ("class-open", {"names": "Ada\nADA"}),
        ("class-open", {"names": "Ada\x07"}),
        ("class-open", {"names": "x" * 61}),
        ("class-seat-preview", {"seat": 1}),
        ("class-seat-preview", {"seat": "../state"}),
        ("class-seat-reset", {"seat": 1, "class": "class_none"}),
        ("class-seat-reset", {"seat": None}),
        ("class-end-preview", {}),
        ("class-end", {"class": "class_none", "confirm": "end"}),
    ],
)
def test_what_cannot_be_done_is_refused_in_words_and_changes_nothing(
    zoe: Instructor, clean: Live, deed: str, fields: dict[str, Any]
) -> None:
    before = deeds(clean)
    answer = zoe.do(deed, **fields)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["ok"] is False
    assert len(answer.json()["words"]) > 10
    assert deeds(clean) == before


def test_a_seat_that_there_is_not_is_told(zoe: Instructor) -> None:
    zoe.done("class-open", students=2)
    refused = zoe.do("class-seat-preview", seat=3)
    assert (refused.status_code, refused.json()["words"]) == (404, "The class has no seat 3.")


def test_seats_are_told_apart_by_word_and_not_by_colour_alone() -> None:
    def seat(state: str, taken_by: str | None) -> dict[str, Any]:
        taken_at = None if taken_by is None else 0.0
        return {"seat": 1, "name": "Ada", "state": state, "taken_at": taken_at, "taken_by": taken_by}

    seats = [seat("active", None), seat("active", "join"), seat("active", "paper"), seat("suspended", "join")]
    roster = {"open": True, "id": "class_1", "code": "HKTM-4C7R", "taken": 3, "seats": seats}
    found = room_class(roster)
    assert found is not None
    assert [one["state"] for one in found["seats"]] == ["free", "joined", "paper", "cut"]
    assert [one["words"].split()[0] for one in found["seats"]] == ["free", "joined", "on", "suspended"]
    assert public_class(roster) is not None
    # Nobody gets a seat whose token was cut off, so that there is nothing to join for.
    cut = {**roster, "seats": [seat("revoked", None), *seats[1:]]}
    assert public_class(cut) is None
    assert (public_class({"open": False}), room_class({"open": False})) == (None, None)


@pytest.mark.parametrize(
    ("asked", "listens", "address", "warned"),
    [
        ("http://127.0.0.1:7860/", "127.0.0.1", "http://127.0.0.1:7860", True),
        ("http://localhost:7860/", "0.0.0.0", f"http://{socket.gethostname()}:7860", False),
        ("http://[::1]:7860/", "::", f"http://{socket.gethostname()}:7860", False),
        ("http://teacher.local:7860/", "0.0.0.0", "http://teacher.local:7860", False),
        ("http://[fd00::7]:7860/", "::", "http://[fd00::7]:7860", False),
        ("https://class.example/", "127.0.0.1", "https://class.example", False),
    ],
)
def test_students_are_shown_an_address_that_they_can_open(asked: str, listens: str, address: str, warned: bool) -> None:
    found, warning = join_address(urlsplit(asked), listens)
    assert (found, bool(warning)) == (address, warned)
