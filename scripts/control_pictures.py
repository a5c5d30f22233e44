"""The pictures of the control room: a busy morning, the cut, the wall, a class, and what is printed afterwards."""

from __future__ import annotations

import httpx
from playwright.sync_api import Page, expect

from frontend.injects import load_injects
from scripts.camera import TEACHER, Camera
from scripts.picture_room import Room, room, until

DESK, WALL, PAPER = (1280, 960), (1920, 1080), (794, 1123)  # CSS pixels
MARGIN = 53  # of paper
REASON = "tokens behind a public page"
QUICK = 300  # times as fast as the morning was
# By five minutes, from 08:35 on.
ORDERS = (1, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 3, 5, 4, 5, 6, 4, 5, 6, 5, 4, 5, 3, 4, 4, 3, 4, 3, 2, 3)

# Which inject is fired with which of these.
FIRED = {0: "m1", 4: "m2", 13: "m3"}
STUDENTS = ("Amira", "Bao", "Chidi", "Dana", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jakub")
SEATS, JOINED_BY_NUMBER = 16, 3


def a_busy_morning(place: Room) -> list[str]:
    """From 08:30 to shortly after 11:10 on the replay clock, five minutes a second; the tokens that were used."""
    testers = [place.issue(f"tester-{number:02}", "alpha") for number in range(1, 13)]
    place.issue("press-01", "press")
    place.issue("press-02", "press")
    place.clock("08:30", QUICK)
    place.control("PATCH", "state", {"phase": "exposed"})
    for number, orders in enumerate(ORDERS):
        minutes = 8 * 60 + 36 + 5 * number
        place.wait_for_clock(f"{minutes // 60:02}:{minutes % 60:02}")
        if number in FIRED:
            fire(place, FIRED[number])
        for one in range(orders):
            place.order(testers[(number + one) % len(testers)])
    place.control("PUT", "clock", {"speed": 14})
    until(lambda: place.line() == (0, 0), "an empty line")
    return testers


def everything_is_tried(place: Room, token: str, video: str, link: str) -> None:
    """What people whose access has ended do next: each surface is asked once."""
    place.ask(token, "POST", "", {"model": "turbo", "prompt": "once more", "seconds": "1"})
    for path in ("", f"/{video}", f"/{video}/content", f"/{video}/events"):
        place.ask(token, "GET", path)
    httpx.get(link, trust_env=False, timeout=30)


def log_in(camera: Camera, place: Room, address: str | None = None) -> Page:
    """The control room, as somebody who calls themselves Facilitator and came by that address."""
    page = camera.open(f"{address or place.supervisor.page_url}/control", *DESK)
    page.fill("#token", place.supervisor.admin_token)
    page.fill("#name", "Facilitator")
    page.press("#name", "Enter")
    expect(page.locator("#banner")).not_to_have_attribute("data-phase", "unknown")
    return page


def control_pictures(camera: Camera) -> None:
    """The same morning from the control room: busy, then after the cohort was revoked, then on the wall."""
    with room(render="cached") as place:
        testers = a_busy_morning(place)
        mine = place.ask(testers[0], "GET", "").raise_for_status().json()["data"]
        video = next(one["id"] for one in mine if one["status"] == "completed")
        link = place.ask(testers[0], "POST", f"/{video}/link").raise_for_status().json()["url"]
        place.control("PUT", "broadcast", {"text": "The queue is long. Write down what you see, and when."})
        page = log_in(camera, place)
        injects(camera, place, page)
        place.control("PUT", "profile", {"name": "standard", "seed": 7})
        for token in testers[:6]:
            place.order(token)
        until(lambda: place.line() == (5, 1), "a running job")
        page.goto(f"{place.supervisor.page_url}/control")
        expect(page.locator('[data-part="waiting"]')).to_have_text("5")
        camera.take(page, "control-live")

        revoke_alpha(page, len(testers))
        place.control("PUT", "clock", {"speed": QUICK})
        for number, time_of_day in enumerate(("11:30", "11:35", "11:40", "11:45", "11:50")):
            place.wait_for_clock(time_of_day)
            for token in testers[2 * number :]:
                everything_is_tried(place, token, video, link)
        expect(page.locator('.checklist li[data-state="refused"]')).to_have_count(5)
        # From where it is: a clock that is set back begins its morning anew.
        place.control("PUT", "clock", {"speed": 14})
        expect(page.locator('[data-part="clock"]')).to_contain_text("×14")
        page.evaluate("scrollTo(0, 0)")
        camera.take(page, "control-revoked", full=True)

        page.set_viewport_size({"width": WALL[0], "height": WALL[1]})
        page.goto(f"{place.supervisor.page_url}/control/projector")
        expect(page.locator(".checklist li")).to_have_count(11)
        expect(page.locator(".chart svg")).to_be_visible()
        camera.take(page, "projector")

        page.set_viewport_size({"width": PAPER[0] - 2 * MARGIN, "height": PAPER[1] - 2 * MARGIN})
        page.goto(f"{place.supervisor.page_url}/control/after-action")
        expect(page.locator('[data-part="report"]')).to_be_visible()
        page.emulate_media(media="print")
        camera.take(page, "after-action", margin=MARGIN)


def fire(place: Room, id: str) -> None:
    """As the instructor does whose clock it is; the second is told by hand."""
    inject = next(one for one in load_injects() if one.id == id)
    place.control("PUT", f"injects/{id}", {"state": "fired", **({} if id == "m2" else {"line": inject.text})})


def injects(camera: Camera, place: Room, page: Page) -> None:
    """Two are fired, one was told by hand, one is held, one is due, and the others wait."""
    page.goto(f"{place.supervisor.page_url}/control/notes")
    page.fill("#notes", "Group 2 counts bystanders first. Ask them how.")
    page.get_by_role("button", name="Hold: inject m5").click()
    held = page.locator(".injects li").nth(4)
    expect(held.locator(".answer")).to_be_visible()
    expect(held).to_have_attribute("data-state", "held")
    expect(page.locator(".injects li").nth(3)).to_have_attribute("data-state", "due")
    page.reload()
    expect(page.locator(".injects li")).to_have_count(9)
    camera.take(page, "injects", full=True)


def revoke_alpha(page: Page, tokens: int) -> None:
    """As an instructor does it, by the form and its question."""
    page.select_option("#revoke-kind", "cohort")
    alpha = page.locator("#revoke-which option", has_text="alpha")
    page.select_option("#revoke-which", value=alpha.get_attribute("value"))
    page.fill("#revoke-reason", REASON)
    page.press("#revoke-reason", "Enter")
    page.locator("#confirm-yes").click()
    expect(page.locator("#revoke .answer")).to_contain_text(f"Revoked {tokens} tokens")


def class_pictures(camera: Camera) -> None:
    """A class that is joining: the roster, the code on the wall, and the page on which a student types it."""
    with room() as place:
        address = place.supervisor.page_url.replace("127.0.0.1", TEACHER)
        opened = place.control("POST", "class", {"names": list(STUDENTS), "students": SEATS})
        for name in STUDENTS[::2]:
            join(place, opened["code"], name)
        for _ in range(JOINED_BY_NUMBER):
            join(place, opened["code"], None)
        page = log_in(camera, place, address)
        expect(page.locator('.seats li[data-state="joined"]')).to_have_count(len(STUDENTS[::2]) + JOINED_BY_NUMBER)
        visitors = [camera.open(address, *DESK) for _ in range(3)]
        expect(page.locator('[data-part="pages"]')).to_have_text("3 pages connected")
        camera.take(page, "class-room", full=True)

        page.set_viewport_size({"width": WALL[0], "height": WALL[1]})
        page.goto(f"{address}/control/projector")
        expect(page.locator(".join .code")).to_have_text(opened["code"])
        camera.take(page, "class-projector")

        student = visitors[0]
        student.get_by_text("Join a class").click()
        student.get_by_label("Class code").fill(opened["code"])
        camera.take(student, "class-join")


def join(place: Room, code: str, name: str | None) -> None:
    """As a student does."""
    body = {"code": code} if name is None else {"code": code, "name": name}
    answer = httpx.post(f"{place.supervisor.gateway_url}/join", json=body, trust_env=False, timeout=30)
    answer.raise_for_status()
