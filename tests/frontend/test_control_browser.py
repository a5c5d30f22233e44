"""The control room in a real browser against a real gateway: what an instructor sees, presses and hears."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from browsing import LISTEN, PATIENCE_MS, Watched, faults_of, launched, let_seconds_pass, page_process
from control_desk import Serve, control_app
from gateway.supervisor import free_port
from live import Live, eventually, live_gateway

HOSTILE = "<img src=x onerror=alert(1)> <b>Five minutes</b> ‮ 🎬"
NAME = "Zoë <i>"

# Sizes of all text that can be seen, in CSS pixels.
TEXT_SIZES = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = {};
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest(".unseen, title")) continue;
    found[text.slice(0, 40)] = parseFloat(getComputedStyle(element).fontSize);
  }
  return found;
}"""

# Nothing in the page has the focus, or it has a ring around it.
FOCUS_SEEN = """() => {
  const style = getComputedStyle(document.activeElement);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return document.activeElement === document.body || ring;
}"""


@dataclass
class Room:
    """A gateway with a worker, and the page."""

    live: Live
    page: str

    @property
    def gateway(self) -> str:
        return self.live.url

    @property
    def token(self) -> str:
        return self.live.supervisor.admin_token

    def control(self, method: str, path: str, body: dict[str, Any]) -> None:
        self.live.control(method, f"/control/{path}", json=body)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def room(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    data = tmp_path_factory.mktemp("room")
    with (
        live_gateway(data, workers=1) as live,
        page_process(data / "page.log", free_port(), LEAKDRILL_GATEWAY_URL=live.url) as page,
    ):
        yield Room(live, page)


@pytest.fixture
def clean(room: Room) -> Room:
    room.control("POST", "reset", {"confirm": "reset"})
    return room


Opener = Callable[..., Page]


@pytest.fixture
def open_room(chromium: Browser, clean: Room) -> Iterator[Opener]:
    """`open_room()` is a page of an instructor of their own who is logged in."""
    contexts: list[BrowserContext] = []

    def open_room(name: str = NAME, **options: Any) -> Page:
        given = {"viewport": {"width": 1280, "height": 900}, **options}
        context = chromium.new_context(**given)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        log_in(page, clean.page, clean.token, name)
        return page

    yield open_room
    for context in contexts:
        context.close()


def log_in(page: Page, url: str, token: str, name: str = NAME, path: str = "/control") -> None:
    page.goto(url + path)
    page.fill("#token", token)
    page.fill("#name", name)
    page.press("#name", "Enter")
    # The script has run once the phase is known; before that nothing answers to a press.
    expect(page.locator('#banner:not([data-phase="unknown"]), #notes').first).to_be_visible()


def make(room: Room, token: str, prompt: str = "a dog") -> dict[str, Any]:
    """A video that has been made."""
    headers = {"Authorization": f"Bearer {token}"}
    body = {"model": "turbo", "prompt": prompt, "seconds": "1", "size": "480x480"}
    video = httpx.post(f"{room.gateway}/v1/videos", json=body, headers=headers).raise_for_status().json()
    url = f"{room.gateway}/v1/videos/{video['id']}"
    eventually(lambda: httpx.get(url, headers=headers).json()["status"] == "completed", within=60)
    found: dict[str, Any] = video
    return found


def revoked_room(room: Room) -> str:
    """A morning in which a cohort was revoked, and tried afterwards; the token that was tried."""
    room.control("PUT", "clock", {"time": "2024-11-26T08:30:00-05:00", "speed": 42})
    room.control("PATCH", "state", {"phase": "exposed"})
    token: str = room.live.issue("tester-private-name")["token"]
    room.live.issue("bystander", "press")
    video = make(room, token, "a-private-prompt")
    room.control("PUT", "broadcast", {"text": HOSTILE})
    room.control("POST", "revocations", {"selector": {"cohort": "alpha"}, "reason": "a-private-reason"})
    headers = {"Authorization": f"Bearer {token}"}
    httpx.get(f"{room.gateway}/v1/videos/{video['id']}", headers=headers)
    httpx.get(f"{room.gateway}/v1/videos/{video['id']}/content", headers=headers)
    return token


def focused(page: Page) -> str:
    told: str = page.evaluate("document.activeElement.id || document.activeElement.textContent.trim().slice(0, 40)")
    return told


def walk_to(page: Page, what: str) -> None:
    """Presses Tab until that has the focus, which must be seen at each stop."""
    for _ in range(80):
        page.keyboard.press("Tab")
        seen = page.evaluate(FOCUS_SEEN)
        assert seen, focused(page)
        if focused(page) == what:
            return
    raise AssertionError(f"{what} was not reached by Tab")


def test_the_login_lets_in_with_the_admin_token_and_leaves_no_trace_of_it(chromium: Browser, clean: Room) -> None:
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    watched = Watched(context.new_page())
    page, token = watched.page, clean.token
    watched.start()
    page.goto(f"{clean.page}/control")
    expect(page.locator("h1")).to_have_text("Control room")
    assert watched.complaints == []
    page.fill("#token", "lda_CANARYinTheCoalMine")
    page.click("button[type=submit]")
    expect(page.locator("#answer")).to_contain_text("does not take this admin token")
    assert page.evaluate("document.activeElement.id") == "answer"
    # The browser itself notes the refusal; nothing else may be wrong.
    assert [one for one in watched.complaints if "401" not in one] == []
    watched.complaints.clear()
    page.fill("#token", token)
    page.fill("#name", NAME)
    page.click("button[type=submit]")
    expect(page.locator('[data-part="me"]')).to_have_text(f"Logged in as {NAME}")
    page.wait_for_timeout(1500)
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    for place in (stored, page.content(), page.url, json.dumps(context.storage_state())):
        assert token not in place
        assert "CANARY" not in place
    assert page.evaluate("document.cookie") == ""
    assert (watched.outside, watched.complaints) == ([], [])
    page.click("#logout")
    expect(page.locator("#token")).to_be_visible()
    assert httpx.get(f"{clean.page}/control/state").status_code == 401
    context.close()


def test_two_instructors_and_a_projector_see_each_others_deeds_as_text(open_room: Opener, clean: Room) -> None:
    zoe, adam = open_room(NAME), open_room("Adam")
    dialogs: list[str] = []
    for one in (zoe, adam):
        one.on("dialog", lambda dialog: dialogs.append(dialog.message))
    wall = zoe.context.new_page()
    wall.goto(f"{clean.page}/control/projector")
    expect(wall.locator("#banner")).to_have_attribute("data-phase", "normal")
    adam.fill("#line", HOSTILE)
    adam.press("#line", "Enter")
    expect(adam.locator("#broadcast .answer")).to_have_text("The line is on every page.")
    for one in (zoe, wall):
        expect(one.locator('[data-part="broadcast"]')).to_have_text(HOSTILE)
    expect(zoe.locator('[data-part="log"] tr').first).to_contain_text("admin (Adam)")
    zoe.bring_to_front()
    zoe.get_by_role("button", name="Open to everyone").click()
    expect(adam.locator("#banner")).to_have_attribute("data-phase", "exposed")
    expect(adam.locator('[data-part="log"] tr').first).to_contain_text(NAME)
    assert zoe.locator("#banner img, #banner b, .room table i").count() == 0
    assert dialogs == []


def test_a_cohort_is_revoked_by_keyboard_alone_and_every_page_knows(open_room: Opener, clean: Room) -> None:
    tokens = [clean.live.issue(f"tester-{n}")["token"] for n in range(3)]
    bystander = clean.live.issue("bystander", "press")["token"]
    clean.control("PATCH", "state", {"phase": "exposed"})
    page, other = open_room(), open_room("Adam")
    expect(other.locator("#banner")).to_have_attribute("data-phase", "exposed")
    expect(page.locator("#revoke-which option")).to_have_count(4)
    page.bring_to_front()
    walk_to(page, "revoke-kind")
    page.keyboard.type("a cohort")
    expect(page.locator("#revoke-which option")).to_have_count(2)
    walk_to(page, "revoke-which")
    page.keyboard.type("alpha")
    walk_to(page, "revoke-reason")
    page.keyboard.type("tokens behind a public page")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).to_be_visible()
    expect(page.locator('[data-part="confirm-words"]')).to_contain_text("Revoking cohort alpha ends 3 tokens")
    expect(page.locator('[data-part="confirm-words"]')).to_contain_text("Bystanders: 1 token outside")
    page.keyboard.press("Escape")
    expect(page.locator("#revoke .answer")).to_have_text("Nothing was done.")
    assert httpx.get(f"{clean.gateway}/v1/videos", headers={"Authorization": f"Bearer {tokens[0]}"}).status_code == 200

    page.focus("#revoke-reason")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).to_be_visible()
    walk_to(page, "confirm-yes")
    page.keyboard.press("Enter")
    for one in (page, other):
        expect(one.locator("#banner")).to_have_attribute("data-phase", "revoked")
    expect(page.locator("#revoke .answer")).to_contain_text("Revoked 3 tokens of cohort alpha")
    assert page.evaluate("document.activeElement.className") == "answer"
    expect(page.locator(".checklist li")).to_have_count(11)
    expect(page.locator("#revoke-which option")).to_have_text(["press · 1 token"])
    for token, status in ((tokens[0], 401), (bystander, 200)):
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{clean.gateway}/v1/videos", headers=headers).status_code == status
    line = page.locator(".checklist li", has_text="Asking about a video")
    expect(line).to_have_attribute("data-state", "refused")


def test_everybody_is_revoked_only_after_the_word_is_typed(open_room: Opener, clean: Room) -> None:
    token = clean.live.issue("tester")["token"]
    page = open_room()
    page.select_option("#revoke-kind", "all")
    expect(page.locator("#revoke [data-which]")).to_be_hidden()
    page.fill("#revoke-reason", "drill")
    page.get_by_role("button", name="Preview the revocation").dblclick()
    expect(page.locator("#confirm-yes")).to_have_text("Revoke 1 token")
    expect(page.locator("#confirm-yes")).to_be_disabled()
    page.fill("#typed", "everybody")
    expect(page.locator("#confirm-yes")).to_be_disabled()
    page.fill("#typed", "all")
    page.locator("#confirm-yes").click()
    expect(page.locator("#revoke .answer")).to_contain_text("Revoked 1 token of everybody")
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{clean.gateway}/v1/videos", headers=headers).status_code == 401
    assert len(clean.live.control("GET", "/control/revocations")["data"]) == 1


def test_everybody_is_revoked_and_the_room_reset_by_keyboard_alone(open_room: Opener, clean: Room) -> None:
    clean.live.issue("tester")
    page = open_room()
    expect(page.locator("#revoke-which option")).to_have_count(1)
    walk_to(page, "revoke-kind")
    page.keyboard.type("everybody")
    walk_to(page, "revoke-reason")
    page.keyboard.type("drill")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).to_be_visible()
    walk_to(page, "typed")
    page.keyboard.type("all")
    walk_to(page, "confirm-yes")
    page.keyboard.press("Enter")
    expect(page.locator("#revoke .answer")).to_be_focused()
    expect(page.locator("#revoke .answer")).to_contain_text("Revoked 1 token of everybody")
    expect(page.locator("#banner")).to_have_attribute("data-phase", "revoked")

    walk_to(page, "Reset the room …")
    page.keyboard.press("Enter")
    expect(page.locator('[data-part="confirm-words"]')).to_contain_text("1 token, 0 videos with their clips")
    assert page.evaluate("document.getElementById('confirm').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(page.locator("#reset .answer")).to_have_text("Nothing was done.")
    expect(page.locator("#reset .answer")).to_be_focused()
    assert clean.live.control("GET", "/control/tokens")["data"]

    page.keyboard.press("Shift+Tab")
    assert focused(page) == "Reset the room …"
    page.keyboard.press("Space")
    expect(page.locator("#confirm-yes")).to_have_text("Reset the room")
    walk_to(page, "confirm-yes")
    page.keyboard.press("Enter")
    expect(page.locator("#reset .answer")).to_contain_text("The room is clean.")
    expect(page.locator("#reset .answer")).to_be_focused()
    assert page.evaluate(FOCUS_SEEN)
    expect(page.locator("#banner")).to_have_attribute("data-phase", "normal")
    assert clean.live.control("GET", "/control/tokens")["data"] == []


def test_a_reset_says_what_is_lost_and_asks_once(open_room: Opener, clean: Room) -> None:
    clean.live.issue("tester")
    page = open_room()
    expect(page.locator('[data-part="tokens"]')).to_have_text("1 active")
    page.get_by_role("button", name="Reset the room").click()
    expect(page.locator('[data-part="confirm-words"]')).to_contain_text("1 token, 0 videos with their clips")
    page.keyboard.press("Escape")
    expect(page.locator("#reset .answer")).to_have_text("Nothing was done.")
    page.get_by_role("button", name="Reset the room").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#reset .answer")).to_contain_text("The room is clean.")
    expect(page.locator('[data-part="tokens"]')).to_have_text("none")


def test_what_the_gateway_refuses_is_told_where_it_was_asked_for(open_room: Opener) -> None:
    page = open_room()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#clock .answer")).to_contain_text("There is no replay clock yet")
    expect(page.locator("#clock .answer")).to_have_attribute("data-ok", "false")
    page.get_by_role("button", name="Start at about 08:30").click()
    expect(page.locator("#clock .answer")).to_contain_text("08:30 and runs ×14")
    expect(page.locator('[data-part="clock"]')).to_contain_text("ET ×14")
    expect(page.locator("svg text", has_text="page public, about 08:30")).to_have_count(1)


def test_the_live_region_is_silent_for_a_minute_and_speaks_of_each_phase_once(open_room: Opener, clean: Room) -> None:
    page = open_room()
    page.clock.install()
    page.reload()
    expect(page.locator("#banner")).to_have_attribute("data-phase", "normal")
    assert page.locator("[aria-live], [role=status], [role=alert], [role=log]").count() == 1
    page.evaluate(LISTEN, ["#banner", "#announcer"])
    clean.control("PUT", "broadcast", {"text": "hello"})
    clean.control("PUT", "clock", {"time": "2024-11-26T08:30:00-05:00", "speed": 42})
    expect(page.locator('[data-part="broadcast"]')).to_have_text("hello")
    let_seconds_pass(page, 60)
    assert page.evaluate("window.spoken") == []
    said = []
    for phase, words in (("exposed", "Open to everyone."), ("normal", "Preview by invitation.")):
        clean.control("PATCH", "state", {"phase": phase})
        expect(page.locator("#announcer")).to_contain_text(words)
        let_seconds_pass(page, 5)
        said.append(words)
        assert [one[: len(words)] for one, words in zip(page.evaluate("window.spoken"), said, strict=True)] == said


def test_the_timeline_has_a_sentence_and_a_table_beside_the_picture(open_room: Opener, clean: Room) -> None:
    revoked_room(clean)
    page = open_room()
    svg = page.locator(".chart svg")
    expect(svg).to_have_attribute("aria-labelledby", "summary")
    expect(page.locator("#summary")).to_contain_text("1 order accepted, 1 finished, 2 refused. Access was revoked once")
    page.locator("details summary").click()
    cells = page.locator('[data-part="rows"] td').all_inner_texts()
    assert sum(map(int, cells)) == 4
    for name in ("accepted", "finished", "refused"):
        expect(svg.locator("text", has_text=f"{name}: ")).to_have_count(1)
        expect(svg.locator(f"rect.bar.{name}").first).to_have_attribute("fill", f"url(#fill-{name})")
    expect(svg.locator("text", has_text="reported end, about 11:30 to 12:00")).to_have_count(1)
    expect(svg.locator("text", has_text="Revoked 1 token")).to_have_count(1)


def test_the_projector_is_readable_from_the_back_and_keeps_secrets(open_room: Opener, clean: Room, axe: str) -> None:
    token = revoked_room(clean)
    page = open_room(viewport={"width": 1920, "height": 1080})
    notes = page.context.new_page()
    notes.goto(f"{clean.page}/control/notes")
    notes.fill("#notes", "a-private-note")
    page.goto(f"{clean.page}/control/projector")
    expect(page.locator(".checklist li")).to_have_count(11)
    expect(page.locator('[data-part="summary"]')).to_contain_text("2 refused")
    sizes = page.evaluate(TEXT_SIZES)
    assert len(sizes) > 30
    assert {text: size for text, size in sizes.items() if size < 24} == {}
    shown = page.content()
    for secret in ("tester-private-name", "a-private", "tok_", "lda_", NAME, token):
        assert secret not in shown
    assert "not checked" in page.locator(".checklist").inner_text()
    assert page.evaluate("document.documentElement.scrollHeight") <= 1080
    assert faults_of(page, axe) == []
    notes.reload()
    expect(notes.locator("#notes")).to_have_value("a-private-note")
    assert "a-private-note" not in str(clean.live.control("GET", "/control/events?limit=1000"))


def joined(room: Room, code: str, name: str) -> int:
    """Joins as a student; the status."""
    return httpx.post(f"{room.gateway}/join", json={"code": code, "name": name}).status_code


def points(place: Locator) -> float:
    """How large its text is, in CSS pixels."""
    size: float = place.evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
    return size


def test_a_class_is_opened_watched_and_ended_from_the_room(open_room: Opener, clean: Room, axe: str) -> None:
    page = open_room(viewport={"width": 1920, "height": 1080})
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.fill("#students", "4")
    page.fill("#names", f"{HOSTILE}\nBeryl")
    page.get_by_role("button", name="Preview the class").click()
    expect(page.locator('[data-part="confirm-words"]')).to_contain_text("makes 4 seats with a token each")
    page.keyboard.press("Escape")
    expect(page.locator("#classroom > .answer")).to_have_text("Nothing was done.")
    page.get_by_role("button", name="Preview the class").dblclick()
    expect(page.locator("#confirm-yes")).to_have_text("Open a class of 4")
    page.locator("#confirm-yes").click()
    seats = page.locator(".seats li")
    expect(seats).to_have_count(4)
    expect(page.locator("#classroom > .answer")).to_contain_text("The class is open with 4 seats")
    expect(page.locator("#class-open")).to_be_hidden()
    expect(seats.first.locator(".who")).to_have_text(f"1 {HOSTILE}")
    code = page.locator("#class .code").inner_text()
    assert points(page.locator("#class .code")) >= 48

    wall = page.context.new_page()
    wall.goto(f"{clean.page}/control/projector")
    expect(wall.locator(".join .code")).to_have_text(code)
    expect(wall.locator(".join")).to_contain_text(f"Join at {clean.page}")
    assert points(wall.locator(".join .code")) >= 90
    assert joined(clean, code, "Beryl") == 200
    expect(wall.locator(".join")).to_contain_text("1 of 4 joined")
    assert "Beryl" not in wall.content()
    assert faults_of(wall, axe) == []

    page.bring_to_front()
    expect(seats.nth(1)).to_have_attribute("data-state", "joined")
    expect(seats.nth(1).locator(".state")).to_contain_text("joined")
    signs = [seats.nth(at).evaluate("element => getComputedStyle(element, '::before').content") for at in (0, 1)]
    assert signs == ['"○"', '"✓"']
    assert faults_of(page, axe) == []
    page.get_by_role("button", name="Reset seat 2, Beryl").click()
    expect(page.locator('[data-part="confirm-words"]')).to_contain_text("Freeing seat 2, Beryl, ends 1 token")
    page.locator("#confirm-yes").click()
    expect(seats.nth(1)).to_have_attribute("data-state", "free")
    assert joined(clean, code, "Beryl") == 200

    page.get_by_role("button", name="End the class").click()
    expect(page.locator('[data-part="confirm-words"]')).to_contain_text("Ending the class ends 4 tokens")
    expect(page.locator("#confirm-yes")).to_have_text("End the class and 4 tokens")
    page.locator("#confirm-yes").click()
    expect(page.locator("#class-open")).to_be_visible()
    expect(page.locator("#classroom > .answer")).to_contain_text("The class has ended")
    assert joined(clean, code, "Beryl") == 403
    wall.bring_to_front()
    expect(wall.locator(".join")).to_be_hidden()
    assert dialogs == []


def test_thirty_seats_the_sheet_and_the_wall_fit(open_room: Opener, clean: Room, axe: str) -> None:
    revoked_room(clean)
    opened = clean.live.control("POST", "/control/class", json={"names": ["W" * 60, "a b"], "students": 30})
    page = open_room(viewport={"width": 1920, "height": 1080})
    page.goto(f"{clean.page}/control/projector")
    expect(page.locator(".join .code")).to_have_text(opened["code"])
    expect(page.locator(".checklist li")).to_have_count(11)
    assert page.evaluate("document.documentElement.scrollHeight") <= 1080
    assert {text: size for text, size in page.evaluate(TEXT_SIZES).items() if size < 24} == {}
    page.goto(f"{clean.page}/control/sheet")
    expect(page.locator(".names li")).to_have_count(30)
    expect(page.locator(".sheet .code")).to_have_text(opened["code"])
    assert page.locator(".names li").last.inner_text() == "☐ 30 Student 30"
    assert faults_of(page, axe) == []
    page.emulate_media(media="print")
    expect(page.locator("#print")).to_be_hidden()
    page.emulate_media(media="screen")
    page.goto(f"{clean.page}/control")
    expect(page.locator(".seats li")).to_have_count(30)
    for path in ("/control", "/control/sheet", "/control/projector"):
        page.goto(clean.page + path)
        expect(page.locator(".code").first).to_have_text(opened["code"])
        for width in (320, 640):
            page.set_viewport_size({"width": width, "height": 700})
            page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")


def test_injects_are_fired_held_and_skipped_from_the_private_page_alone(
    open_room: Opener, clean: Room, axe: str
) -> None:
    page, other = open_room(), open_room("Adam")
    for one in (page, other):
        one.goto(f"{clean.page}/control/notes")
        expect(one.locator(".injects li")).to_have_count(9)
    clean.control("PUT", "clock", {"time": "2024-11-26T09:40:30-05:00", "running": False})
    third = page.locator(".injects li").nth(2)
    expect(third).to_have_attribute("data-state", "due")
    expect(third.locator(".state")).to_have_text("due now")
    expect(page.locator('[data-part="due"]')).to_have_text("3 due now")
    page.bring_to_front()
    walk_to(page, "Fire")  # by keyboard, that of the first
    page.get_by_role("button", name="Fire: inject m3").click()
    expect(third.locator(".answer")).to_have_text("m3: Its text is on every page.")
    assert page.evaluate("document.activeElement.className") == "answer"
    expect(third.locator(".state")).to_contain_text("fired at 09:40 replay time")
    expect(third.locator("button:visible")).to_have_count(0)
    assert httpx.get(f"{clean.gateway}/status").json()["broadcast"].startswith("The queue is long.")
    page.get_by_role("button", name="Hold: inject m4").click()
    page.get_by_role("button", name="Skip: inject m5").click()
    other.bring_to_front()
    for place, state in ((2, "fired"), (3, "held"), (4, "skipped")):
        expect(other.locator(".injects li").nth(place)).to_have_attribute("data-state", state)
    expect(other.locator(".injects li").nth(3).locator("button:visible")).to_have_count(4)
    for one in (page, other):
        assert faults_of(one, axe) == []

    other.locator("#by-clock").check()
    expect(other.locator("#injects-answer")).to_have_text("Injects are fired by the clock now.")
    page.bring_to_front()
    expect(page.locator("#by-clock")).to_be_checked()
    other.goto(f"{clean.page}/control")
    expect(other.locator('[data-part="due"]')).to_have_text("2 injects due")
    expect(other.locator(".chart svg text", has_text="Inject m3")).to_have_count(1)
    wall = page.context.new_page()
    wall.goto(f"{clean.page}/control/projector")
    expect(wall.locator(".chart svg text", has_text="Inject m3")).to_have_count(1)
    for private in ("Hoped for", "m4", "m5", "due", "held"):
        assert private not in wall.content()


def test_open_pages_are_counted_on_the_top_line_without_a_trace(
    chromium: Browser, open_room: Opener, clean: Room
) -> None:
    page = open_room()
    count = page.locator('#banner [data-part="pages"]')
    expect(count).to_have_text("0 pages connected", timeout=PATIENCE_MS)
    visitors = [chromium.new_context() for _ in range(2)]
    for visitor in visitors:
        for _ in range(1 if visitor is visitors[0] else 2):
            visitor.new_page().goto(clean.page)
        visitor.pages[-1].bring_to_front()
    expect(count).to_have_text("3 pages connected")
    for visitor in visitors:
        kept = visitor.storage_state()
        assert (kept["cookies"], kept["origins"]) == ([], [])
        visitor.close()
    expect(count).to_have_text("0 pages connected", timeout=PATIENCE_MS)


def test_the_after_action_page_tells_what_happened_and_prints_on_white(
    open_room: Opener, clean: Room, axe: str, tmp_path: Path
) -> None:
    token = revoked_room(clean)
    clean.control("PUT", "injects/m1", {"state": "fired", "line": "The page is public."})
    page = open_room(color_scheme="dark")
    page.get_by_role("link", name="After-action").wait_for()
    notes = page.context.new_page()
    notes.goto(f"{clean.page}/control/notes")
    notes.fill("#notes", "a-private-note")
    page.goto(f"{clean.page}/control/after-action")
    expect(page.locator('[data-part="report"]')).to_be_visible()
    cells = page.locator('[data-part="revocations"] tr').first.locator("td").all_inner_texts()
    assert cells[2:] == ["admin", "cohort alpha", "a-private-reason", "1", "0 waiting, 0 running"]
    assert page.locator('[data-part="exposures"] tr').count() == 1
    assert page.locator('[data-part="checklist"] tr').count() == 11
    assert page.locator('[data-part="injects"] tr').count() == 9
    expect(page.locator('[data-part="injects"] tr').first).to_contain_text("fired at")
    expect(page.locator('[data-part="broadcasts"] tr').first).to_contain_text("Five minutes")
    shown = page.content()
    for secret in (token, "lda_", "ldk_", "a-private-note"):
        assert secret not in shown
    assert page.locator("[data-part=report] img, [data-part=report] b, [data-part=report] i").count() == 0
    assert faults_of(page, axe) == []
    page.fill("#strengths", "We counted first.")
    page.get_by_label("Owner of action 1").fill("Zoë")
    for width in (320, 640):
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator("#print")).to_be_hidden()
    colours = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    assert colours == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    page.emulate_media(media="screen")
    page.pdf(path=tmp_path / "after-action.pdf", prefer_css_page_size=True)
    printed = (tmp_path / "after-action.pdf").read_bytes()
    assert b"/MediaBox [0 0 594" in printed or b"/MediaBox [0 0 595" in printed  # A4, in points


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(chromium: Browser, open_room: Opener, clean: Room, axe: str, scheme: Any) -> None:
    context = chromium.new_context(color_scheme=scheme)
    login = context.new_page()
    login.goto(f"{clean.page}/control")
    assert faults_of(login, axe) == []
    context.close()
    page = open_room(color_scheme=scheme)
    expect(page.locator("#banner")).to_have_attribute("data-phase", "normal")
    assert faults_of(page, axe) == []
    revoked_room(clean)
    expect(page.locator(".checklist li")).to_have_count(11)
    page.locator("details summary").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#clock .answer")).to_contain_text("paused")
    assert faults_of(page, axe) == []
    page.select_option("#revoke-kind", "all")
    page.fill("#revoke-reason", "drill")
    page.get_by_role("button", name="Preview the revocation").click()
    expect(page.locator("#confirm")).to_be_visible()
    assert faults_of(page, axe) == []


@pytest.mark.parametrize("path", ["/control", "/control/projector", "/control/notes", "/control/after-action"])
def test_a_narrow_page_scrolls_one_way_only(open_room: Opener, clean: Room, path: str) -> None:
    revoked_room(clean)
    clean.control("PUT", "broadcast", {"text": "x" * 300})
    page = open_room(viewport={"width": 320, "height": 700}, reduced_motion="reduce")
    page.goto(clean.page + path)
    if path in ("/control", "/control/projector"):
        expect(page.locator(".checklist li")).to_have_count(11)
        expect(page.locator(".chart svg")).to_be_visible()
    for width in (320, 640):  # the second is 1280 at 200 %
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")


def test_eight_tabs_of_one_browser_all_work(open_room: Opener, clean: Room) -> None:
    page = open_room()
    tabs = [page.context.new_page() for _ in range(8)]
    for tab in tabs:
        tab.goto(f"{clean.page}/control")
        expect(tab.locator("#banner")).to_have_attribute("data-phase", "normal")
    tabs[-1].get_by_role("button", name="Open to everyone").click()
    expect(tabs[-1].locator("#phase .answer")).to_have_text("The phase is: Open to everyone.")


def test_a_page_says_that_the_gateway_is_away_and_recovers(chromium: Browser, serve: Serve, tmp_path: Path) -> None:
    with live_gateway(tmp_path, workers=0) as live:
        url = serve(control_app(live.url))
        context = chromium.new_context()
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        log_in(page, url, live.supervisor.admin_token)
        banner = page.locator("#banner")
        expect(banner).to_have_attribute("data-phase", "normal")
        live.kill_gateway()
        expect(banner).to_have_attribute("data-phase", "away")
        expect(page.locator('[data-part="old_words"]')).to_contain_text("Figures from")
        page.get_by_role("button", name="Open to everyone").click()
        expect(page.locator("#phase .answer")).to_contain_text("look at the log when it is back")
        live.start_gateway()
        expect(banner).to_have_attribute("data-phase", "normal")
        expect(page.locator('[data-part="old_words"]')).to_be_hidden()
        page.get_by_role("button", name="Open to everyone").click()
        expect(banner).to_have_attribute("data-phase", "exposed")
        context.close()


def test_a_page_says_that_a_gateway_hangs_and_that_its_own_server_is_gone(
    chromium: Browser, free_port: int, tmp_path: Path
) -> None:
    with live_gateway(tmp_path / "gateway", workers=0) as live:
        context = chromium.new_context()
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        banner = page.locator("#banner")
        with page_process(tmp_path / "first.log", free_port, LEAKDRILL_GATEWAY_URL=live.url) as url:
            log_in(page, url, live.supervisor.admin_token)
            expect(banner).to_have_attribute("data-phase", "normal")
            hanging = live.supervisor.children[0].process
            hanging.send_signal(signal.SIGSTOP)
            try:
                expect(banner).to_have_attribute("data-phase", "away", timeout=15_000)
            finally:
                hanging.send_signal(signal.SIGCONT)
            expect(banner).to_have_attribute("data-phase", "normal", timeout=15_000)
        expect(banner).to_have_attribute("data-phase", "lost", timeout=15_000)
        expect(banner).to_contain_text("Page disconnected")
        # Logins are kept in the server's memory: what comes back is the login.
        with page_process(tmp_path / "second.log", free_port, LEAKDRILL_GATEWAY_URL=live.url):
            expect(page.locator("#token")).to_be_visible(timeout=15_000)
        context.close()


@pytest.mark.parametrize(
    ("path", "ready", "most"),
    [
        ("/", "#ld-generate", 1_000_000),
        ("/control", '#banner[data-phase="normal"]', 100_000),
        ("/control/projector", '#banner[data-phase="normal"]', 100_000),
        ("/control/notes", ".injects li", 100_000),
        ("/control/after-action", '[data-part="report"]', 100_000),
    ],
)
def test_a_first_view_is_light(open_room: Opener, clean: Room, path: str, ready: str, most: int) -> None:
    # How long it takes is for benchmarks/first_view.py.
    page = open_room().context.new_page()
    sizes: list[int] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    session.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    page.goto(clean.page + path)
    page.locator(ready).first.wait_for()
    page.wait_for_load_state("networkidle" if path == "/" else "load")
    assert 10_000 < sum(sizes) < most


def test_a_revocation_is_on_ten_open_pages(open_room: Opener, clean: Room) -> None:
    # How soon is for benchmarks/first_view.py.
    clean.live.issue("tester")
    first = open_room()
    pages = [first, *(first.context.new_page() for _ in range(9))]
    for number, page in enumerate(pages):
        page.goto(f"{clean.page}{'/control/projector' if number % 2 else '/control'}")
        expect(page.locator("#banner")).to_have_attribute("data-phase", "normal")
    body = {"selector": {"all": True}, "confirm": "all", "reason": "drill"}
    clean.control("POST", "revocations", body)
    for page in pages:
        expect(page.locator("#banner")).to_have_attribute("data-phase", "revoked")
