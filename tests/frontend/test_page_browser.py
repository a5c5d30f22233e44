"""The page in a real browser against a real gateway: a clip is made and plays, then access is cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page, expect

from browsing import LISTEN, PATIENCE_MS, Watched, faults_of, launched, let_seconds_pass
from frontend.app import create_page
from frontend.context import TITLE as CONTEXT_TITLE
from frontend.settings import Settings
from gateway.supervisor import free_port
from live import live_gateway

ROOT = Path(__file__).resolve().parents[2]

T = TypeVar("T")
# What has the focus: its name, and its outline.
FOCUSED = """() => {
  const at = document.activeElement;
  return [at.getAttribute("aria-label") || at.textContent.trim(), getComputedStyle(at).outlineStyle];
}"""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass
class Room:
    """A gateway with one worker and the page, as `up` starts them."""

    gateway: str
    page: str
    data: Path

    @property
    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.data / 'admin.token').read_text().strip()}"}

    @property
    def page_tokens(self) -> list[str]:
        return (self.data / "page.tokens").read_text().split()

    def control(self, method: str, path: str, body: dict[str, Any]) -> None:
        httpx.request(method, f"{self.gateway}/control/{path}", json=body, headers=self.admin).raise_for_status()

    def issue(self, principal: str) -> str:
        body = {"principal": principal, "cohort": "alpha"}
        answer = httpx.post(f"{self.gateway}/control/tokens", json=body, headers=self.admin).raise_for_status()
        return str(answer.json()["token"])

    def give_the_page_a_token(self) -> None:
        fresh = self.data / "page.tokens.fresh"
        fresh.write_text(f"{self.issue('tester-page')}\n")
        fresh.replace(self.data / "page.tokens")

    def jobs(self) -> list[dict[str, Any]]:
        """What the page's tokens have at the gateway, newest first."""
        found: list[dict[str, Any]] = []
        for token in self.page_tokens:
            answer = httpx.get(f"{self.gateway}/v1/videos", headers=bearer(token))
            found += answer.raise_for_status().json()["data"]
        return found


def until(ask: Callable[[], T], seconds: float, what: str) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come about within {seconds} s")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def room(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    data = tmp_path_factory.mktemp("room")
    port, page_port = free_port(), free_port()
    log = (data / "up.log").open("wb")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "up", "--workers", "1", "--port", str(port), "--page-port", str(page_port)],
        cwd=ROOT,
        env={**clean, "LEAKDRILL_DATA": str(data)},
        stdout=log,
        stderr=log,
    )
    room = Room(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{page_port}", data)

    def up() -> bool:
        assert process.poll() is None, (data / "up.log").read_text()
        try:
            return all(httpx.get(url).status_code == 200 for url in (f"{room.gateway}/readyz", f"{room.page}/state"))
        except httpx.TransportError:
            return False

    try:
        until(up, 90, "the room")
        room.give_the_page_a_token()
        room.control("PATCH", "state", {"phase": "exposed"})
        yield room
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        log.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def watched(context: BrowserContext, room: Room) -> Watched:
    watched = Watched(context.new_page())
    watched.start()
    open_page(watched.page, room)
    return watched


def open_page(page: Page, room: Room) -> None:
    page.goto(room.page)
    expect(page.locator("#ld-generate")).to_be_visible(timeout=PATIENCE_MS)


def wait_for_status(page: Page, state: str) -> str:
    status = page.locator(f'.ld-status[data-state="{state}"]')
    expect(status).to_be_visible(timeout=PATIENCE_MS)
    return status.inner_text()


def order(page: Page, prompt: str, seconds: int = 2) -> None:
    page.locator("#ld-prompt textarea").fill(prompt)
    page.locator("#ld-seconds input[type=number]").fill(str(seconds))
    page.locator("#ld-seconds input[type=number]").press("Tab")
    page.locator("#ld-generate").click()


def assert_plays(page: Page, width: int) -> None:
    """By playing, not by asking: frames arrive and time passes."""
    page.wait_for_function(
        """(width) => {
            const video = document.querySelector(".ld-clip video");
            return video && video.videoWidth === width && video.currentTime > 0.5 && !video.error
                && video.getVideoPlaybackQuality().totalVideoFrames > 5;
        }""",
        arg=width,
        timeout=PATIENCE_MS,
    )


def assert_keeps_no_token(page: Page, room: Room) -> None:
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    config = httpx.get(f"{room.page}/config").text
    assert room.page_tokens
    for token in room.page_tokens:
        for place in (stored, page.content(), config, page.url):
            assert token not in place


def test_the_page_is_complete_before_anything_is_pressed(watched: Watched, room: Room) -> None:
    page = watched.page
    expect(page.locator("#ld-banner")).to_have_attribute("data-phase", "exposed", timeout=PATIENCE_MS)
    banner = page.locator("#ld-banner").inner_text()
    assert "Open to everyone" in banner
    assert "waiting" in banner
    assert "EXERCISE" in page.locator("#ld-header").inner_text()
    page.get_by_text("a dog on a skateboard").first.click()
    expect(page.locator("#ld-prompt textarea")).to_have_value("a dog on a skateboard")
    expect(page.locator("#ld-cancel")).to_be_disabled()
    page.locator("#ld-style input").click()
    expect(page.get_by_role("option").nth(1)).to_be_visible()
    assert (watched.outside, watched.complaints) == ([], [])


def test_a_narrow_page_scrolls_one_way_only(watched: Watched) -> None:
    page = watched.page
    for width in (320, 360):
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")
    form, stage = page.locator("#ld-prompt").bounding_box(), page.locator("#ld-stage-block").bounding_box()
    assert form is not None
    assert stage is not None
    assert stage["y"] > form["y"] + form["height"]


def open_panels(page: Page) -> None:
    """What is folded away at first: the class, the call, and what happened in 2024."""
    for title, inside in (
        ("Join a class", "#ld-code"),
        ("As an API call", "#ld-call-block pre"),
        (CONTEXT_TITLE, "#ld-context-block dt"),
    ):
        page.get_by_role("button", name=title).click()
        expect(page.locator(inside).first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_with_every_panel_open(chromium: Browser, room: Room, axe: str, scheme: Any) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    open_page(page, room)
    expect(page.locator("#ld-banner")).to_have_attribute("data-phase", "exposed")
    assert faults_of(page, axe) == []
    open_panels(page)
    assert faults_of(page, axe) == []
    context.close()


def assert_fits(page: Page, width: int) -> None:
    """Nothing is beyond the edges, and the page scrolls one way only."""
    page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")
    panel = page.locator("#ld-context-block").bounding_box()
    assert panel is not None
    assert panel["x"] >= 0
    assert panel["x"] + panel["width"] <= width


def test_the_panels_are_reached_and_opened_by_keyboard(watched: Watched) -> None:
    page, seen = watched.page, list[str]()
    page.locator("#ld-generate").focus()
    for _ in range(120):
        page.keyboard.press("Tab")
        said, outline = page.evaluate(FOCUSED)
        said = said.removesuffix(" ▼")
        seen.append(said)
        if said in ("As an API call", CONTEXT_TITLE):
            assert outline != "none"
            page.keyboard.press("Enter")
        if said == CONTEXT_TITLE:
            break
    places = [seen.index(name) for name in ("As an API call", "curl", "Python", "JavaScript", CONTEXT_TITLE)]
    assert places == sorted(places)
    expect(page.locator("#ld-context-block dt").first).to_be_visible()


def test_what_happened_in_2024_is_folded_away_and_fits_a_narrow_page_when_it_is_wanted(watched: Watched) -> None:
    page = watched.page
    expect(page.get_by_role("button", name=CONTEXT_TITLE)).to_be_visible()
    expect(page.locator("#ld-context-block")).to_be_hidden()
    open_panels(page)
    said = page.locator("#ld-context-block").inner_text()
    for words in ("A reconstruction", "about 08:30", "16 people and groups", "is unknown", "Ars Technica"):
        assert words in said
    page.set_viewport_size({"width": 320, "height": 700})
    assert_fits(page, 320)
    assert (watched.outside, watched.complaints) == ([], [])


def frame_of(page: Page) -> str:
    """Where the frame lies that is shown now; empty while there is none."""
    found: str = page.evaluate('[...document.querySelectorAll(".ld-preview")].at(-1)?.src ?? ""')
    return found


def test_the_noise_is_seen_as_it_is_refined(watched: Watched, room: Room) -> None:
    page = watched.page
    room.control("PUT", "profile", {"name": "standard", "seed": 7, "speed": 2})
    try:
        order(page, "a lighthouse in the fog", seconds=1)
        first = until(lambda: frame_of(page), 30, "a frame")
        assert first.startswith(f"{room.gateway}/media/video_")
        shown = page.locator(".ld-preview").last
        assert shown.get_attribute("alt") == "The clip so far: noise on its way to a picture"
        assert shown.evaluate("(frame) => frame.naturalWidth") == 320
        for motion, arrival in (("reduce", "none"), ("no-preference", "ld-arrive")):
            page.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]
            expect(shown).to_have_css("animation-name", arrival)
        until(lambda: frame_of(page) not in ("", first), 30, "another frame")
        assert page.locator(".ld-preview").count() <= 2
    finally:
        room.control("PUT", "profile", {"name": "instant"})
    page.locator("#ld-cancel").click()
    wait_for_status(page, "cancelled")
    expect(page.locator(".ld-preview")).to_have_count(0)
    assert httpx.get(first).status_code == 404
    assert watched.outside == []


def test_a_refused_preview_is_no_error_on_the_page(watched: Watched, room: Room) -> None:
    page = watched.page
    page.route("**/media/*variant=preview*", lambda route: route.fulfill(status=401, body="{}"))
    room.control("PUT", "profile", {"name": "standard", "seed": 7, "speed": 8})
    try:
        with page.expect_response(lambda answer: "variant=preview" in answer.url and answer.status == 401):
            order(page, "a picture nobody sees", seconds=1)
    finally:
        room.control("PUT", "profile", {"name": "instant"})
    assert wait_for_status(page, "completed").startswith("Done")
    expect(page.locator(".ld-preview")).to_have_count(0)


def test_cancel_ends_the_job_at_the_gateway(watched: Watched, room: Room) -> None:
    page = watched.page
    page.locator("#ld-resolution").get_by_text("1080p").click()
    order(page, "a long clip nobody waits for", seconds=10)
    expect(page.locator("#ld-cancel")).to_be_enabled()
    page.locator("#ld-cancel").click()
    wait_for_status(page, "cancelled")
    expect(page.locator("#ld-cancel")).to_be_disabled()
    until(lambda: room.jobs()[0]["status"] == "failed", 5, "the end of the job")
    assert room.jobs()[0]["error"]["code"] == "cancelled"


def test_a_token_of_ones_own_is_used_and_forgotten(watched: Watched) -> None:
    page, token = watched.page, "ldk_notATokenThatTheGatewayKnows"
    page.get_by_text("Advanced").click()
    page.locator("#ld-own-token input").fill(token)
    order(page, "a dog")
    assert "does not know your token" in wait_for_status(page, "unknown_token")
    assert token not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    page.reload()
    expect(page.locator("#ld-generate")).to_be_visible(timeout=PATIENCE_MS)
    assert token not in page.content()


def test_a_clip_of_the_session_comes_back_after_a_cancelled_one(watched: Watched) -> None:
    page = watched.page
    order(page, "first", seconds=1)
    wait_for_status(page, "completed")
    page.locator("#ld-resolution").get_by_text("1080p").click()
    order(page, "second", seconds=10)
    expect(page.locator('.ld-stage[data-state="busy"]')).to_be_visible()
    page.locator("#ld-cancel").click()
    wait_for_status(page, "cancelled")
    expect(page.locator(".ld-clip")).to_have_count(0)
    page.locator(".ld-history button").click()
    expect(page.locator(".ld-clip .ld-prompt")).to_have_text("first")
    assert_plays(page, 854)
    page.locator("#ld-resolution").get_by_text("480p").click()
    order(page, "third", seconds=1)
    wait_for_status(page, "completed")
    expect(page.locator(".ld-clip .ld-prompt")).to_have_text("third")
    expect(page.locator(".ld-history li .ld-prompt")).to_have_text(["third", "first"])
    assert_plays(page, 854)


def test_closing_the_tab_ends_the_job_at_the_gateway(watched: Watched, room: Room) -> None:
    page = watched.page
    known = {job["id"] for job in room.jobs()}
    page.locator("#ld-resolution").get_by_text("1080p").click()
    order(page, "a tab that is closed", seconds=10)
    expect(page.locator("#ld-cancel")).to_be_enabled()
    fresh = until(lambda: [job["id"] for job in room.jobs() if job["id"] not in known], 20, "the job")
    page.close()

    def ended() -> bool:
        return all(job["status"] == "failed" for job in room.jobs() if job["id"] in fresh)

    until(ended, 5, "the end of the job")


def test_eight_tabs_of_one_browser_all_work(context: BrowserContext, room: Room) -> None:
    # A browser opens six connections to a host; a standing stream per tab would hang the seventh.
    pages = [context.new_page() for _ in range(8)]
    for page in pages:
        open_page(page, room)
    order(pages[-1], "the eighth tab", seconds=1)
    wait_for_status(pages[-1], "completed")


def test_nobody_at_the_page_overlooks_a_seeded_defect(watched: Watched, room: Room) -> None:
    line = watched.page.locator('#ld-banner [data-part="errs"]')
    expect(line).to_be_hidden()
    room.control("PATCH", "replicas", {"defects": ["link-outlives"], "for_seconds": 600})
    expect(line).to_be_visible(timeout=PATIENCE_MS)
    expect(line).to_have_text("Errs on purpose: seeded defects: link-outlives@r1")
    room.control("PATCH", "replicas", {"defects": []})
    expect(line).to_be_hidden(timeout=PATIENCE_MS)


def open_class(room: Room, **body: Any) -> dict[str, Any]:
    """A fresh class: one that an earlier test left open has ended."""
    httpx.delete(f"{room.gateway}/control/class", headers=room.admin)
    answer = httpx.post(f"{room.gateway}/control/class", json=body, headers=room.admin).raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def join(page: Page, code: str, name: str = "") -> None:
    if not page.locator("#ld-code :is(input, textarea)").is_visible():
        page.get_by_text("Join a class").click()
    page.locator("#ld-code :is(input, textarea)").fill(code)
    page.locator("#ld-name :is(input, textarea)").fill(name)
    page.locator("#ld-join-button").click()


def joined(page: Page, state: str) -> str:
    said = page.locator(f'.ld-joined[data-state="{state}"]')
    expect(said).to_be_visible(timeout=PATIENCE_MS)
    return said.inner_text()


def own_token(page: Page) -> str:
    """What lies in the field, which is in the page only once its panel was opened."""
    if not page.locator("#ld-own-token input").is_visible():
        page.get_by_text("Advanced").click()
    return page.locator("#ld-own-token input").input_value()


def test_a_student_joins_and_the_token_is_in_that_tab_alone(
    watched: Watched, context: BrowserContext, room: Room
) -> None:
    page, other = watched.page, context.new_page()
    open_page(other, room)
    page.bring_to_front()  # a tab behind another plays nothing
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    code = open_class(room, students=3)["code"]
    join(page, code.lower().replace("-", " "))
    assert "You are Student 01" in joined(page, "joined")
    expect(page.locator("#ld-announcer")).to_contain_text("You are Student 01")
    expect(page.locator("#ld-student")).to_be_hidden()
    order(page, "a clip of a student's own")
    wait_for_status(page, "completed")
    assert_plays(page, 854)

    token = own_token(page)
    mine = httpx.get(f"{room.gateway}/v1/videos", headers={"Authorization": f"Bearer {token}"}).json()["data"]
    assert [video["prompt"] for video in mine] == ["a clip of a student's own"]
    stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state, location.href])"
    logs = "".join(path.read_text(errors="replace") for path in room.data.rglob("*.log"))
    served = [httpx.get(f"{room.page}/{path}").text for path in ("", "config", "state", "gradio_api/info")]
    databases = page.evaluate("indexedDB.databases().then((found) => found.length)")
    assert (databases, httpx.get(f"{room.page}/gradio_api/runs").status_code) == (0, 404)
    for place in (
        page.evaluate(stored),
        other.evaluate(stored),
        page.content(),
        other.content(),
        *served,
        *asked,
        logs,
    ):
        assert token not in place
    assert own_token(other) == ""
    roster = httpx.get(f"{room.gateway}/control/class", headers=room.admin).json()
    assert [seat["taken_by"] for seat in roster["seats"]] == ["join", None, None]
    assert (watched.outside, watched.complaints) == ([], [])

    page.reload()
    expect(page.locator("#ld-generate")).to_be_visible(timeout=PATIENCE_MS)
    assert own_token(page) == ""
    expect(page.locator(".ld-joined")).to_be_hidden()


def test_what_keeps_a_student_out_is_said_in_plain_words(watched: Watched, room: Room) -> None:
    page = watched.page
    old = open_class(room, students=1)["code"]
    name = "<script>alert(1)</script> Zoë"
    code = open_class(room, names=[name, "Ada"])["code"]
    join(page, "")
    assert "Type the class code first" in joined(page, "no_code")
    join(page, "CCCC-CCCC")
    assert "No class has this code" in joined(page, "invalid_join_code")
    join(page, old)
    assert "its class has ended" in joined(page, "class_ended")
    join(page, code, "Grace")
    assert "not on the list" in joined(page, "seat_not_found")
    join(page, code, name.upper())
    assert f"You are {name}" in joined(page, "joined")
    join(page, code, name)
    assert "Somebody has joined under this name" in joined(page, "seat_taken")
    join(page, code)
    assert "You are Ada" in joined(page, "joined")
    join(page, code)
    assert "Every seat of this class is taken" in joined(page, "class_full")


def test_a_freed_seat_is_refused_with_a_hint_and_joined_again(watched: Watched, room: Room) -> None:
    page = watched.page
    code = open_class(room, students=1)["code"]
    join(page, code)
    joined(page, "joined")
    first = own_token(page)
    room.control("POST", "class/seats/1/reset", {})
    order(page, "refused once", seconds=1)
    said = wait_for_status(page, "seat_refused")
    assert "Refused for Student 01: the gateway no longer accepts its token" in said
    assert "join again with the class code" in said
    expect(page.locator("#ld-banner")).to_have_attribute("data-phase", "exposed")
    join(page, code)
    expect(page.locator("#ld-own-token input")).not_to_have_value(first)
    page.locator("#ld-own-token input").focus()
    page.locator("#ld-own-token input").press("Tab")
    assert "You are Student 01" in joined(page, "joined")
    order(page, "and taken again", seconds=1)
    wait_for_status(page, "completed")
    page.locator("#ld-own-token input").fill("ldk_notATokenThatTheGatewayKnows")
    page.locator("#ld-own-token input").press("Tab")
    expect(page.locator(".ld-joined")).to_be_hidden()
    order(page, "somebody else's", seconds=1)
    assert "does not know your token" in wait_for_status(page, "unknown_token")


# Keeps what the bar and the words beside it have shown, in order.
WATCH_STATUS = """() => {
  window.shown = [];
  new MutationObserver(() => {
    const status = document.querySelector(".ld-status");
    const bar = status && status.querySelector("[role=progressbar]");
    if (bar) window.shown.push([status.dataset.state, +bar.getAttribute("aria-valuenow"), status.innerText.trim()]);
  }).observe(document, { childList: true, subtree: true, characterData: true, attributes: true });
}"""


def test_the_place_in_line_only_falls_and_the_bar_only_rises(watched: Watched, room: Room) -> None:
    page, others = watched.page, [room.issue(f"ahead-{number}") for number in range(5)]
    # Each takes about as long as the page does to order, so that several are still ahead by then.
    body = {"model": "standard", "prompt": "ahead", "seconds": "4", "size": "1920x1080"}
    for token in others:
        httpx.post(f"{room.gateway}/v1/videos", json=body, headers=bearer(token)).raise_for_status()
    expect(page.locator('#ld-banner [data-part="queue"]')).to_contain_text("waiting, 1 running")
    page.evaluate(WATCH_STATUS)
    order(page, "the last in line", seconds=1)
    status = page.locator('.ld-status[data-state="queued"]')
    expect(status).to_contain_text("ahead of you")
    (mine,) = [job["id"] for job in room.jobs() if job["prompt"] == "the last in line"]
    said = int(status.inner_text().split(" ahead")[0])
    told = httpx.get(f"{room.gateway}/v1/videos/{mine}", headers=bearer(room.page_tokens[0])).headers
    # Asked later than the page has asked, so that it may have moved up meanwhile.
    assert said - 1 <= int(told.get("leakdrill-queue-ahead", 0)) <= said
    wait_for_status(page, "completed")
    shown = page.evaluate("window.shown")
    places = [0 if words.startswith("You are next") else int(words.split(" ahead")[0])
              for state, _, words in shown if state == "queued" and ("ahead" in words or "next" in words)]  # fmt: skip
    assert len(places) > 1
    assert places == sorted(places, reverse=True)
    bars = [bar for _, bar, _ in shown]
    assert bars == sorted(bars)
    assert {bar for state, bar, _ in shown if state == "completed"} == {100}
    assert all(bar < 100 for state, bar, _ in shown if state != "completed")


def test_double_clicks_make_one_clip_and_take_one_seat(watched: Watched, room: Room) -> None:
    page, before = watched.page, len(room.jobs())
    page.locator("#ld-prompt textarea").fill("pressed twice")
    page.locator("#ld-generate").dblclick()
    wait_for_status(page, "completed")
    assert len(room.jobs()) == before + 1
    code = open_class(room, students=3)["code"]
    page.get_by_text("Join a class").click()
    page.locator("#ld-code :is(input, textarea)").fill(code)
    page.locator("#ld-join-button").dblclick()
    joined(page, "joined")
    page.wait_for_load_state("networkidle")
    roster = httpx.get(f"{room.gateway}/control/class", headers=room.admin).json()
    assert roster["taken"] == 1
    assert "You are Student 01" in joined(page, "joined")


# Nothing in the page has the focus, or it has a ring around it.
FOCUS_SEEN = """() => {
  const style = getComputedStyle(document.activeElement);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return document.activeElement === document.body || ring;
}"""


def tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Presses Tab until that has the focus, which must be seen at each stop."""
    for _ in range(60):
        page.keyboard.press(key)
        assert page.evaluate(FOCUS_SEEN), page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} was not reached by Tab")


def test_a_clip_is_ordered_and_cancelled_by_keyboard_alone(watched: Watched, room: Room) -> None:
    page = watched.page
    tab_to(page, "#ld-prompt textarea")
    page.keyboard.type("typed and never touched")
    tab_to(page, "#ld-resolution input[value='1080p']")
    page.keyboard.press("Space")
    tab_to(page, "#ld-seconds input[type=number]")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("10")
    page.keyboard.press("Tab")
    tab_to(page, "#ld-generate", key="Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#ld-cancel")).to_be_enabled()
    tab_to(page, "#ld-cancel")
    page.keyboard.press("Space")
    wait_for_status(page, "cancelled")
    until(lambda: room.jobs()[0]["status"] == "failed", 5, "the end of the job")
    assert (room.jobs()[0]["prompt"], room.jobs()[0]["seconds"], room.jobs()[0]["size"]) == (
        "typed and never touched", "10", "1920x1080",
    )  # fmt: skip


# A clip of four seconds stands still, on a frame near its end that can be seen.
RESTS = """() => {
  const video = document.querySelector(".ld-clip video");
  return video.paused && !video.seeking && video.readyState >= 2 && video.duration > 3.9 && video.currentTime > 3.8;
}"""

# Emoji of several parts, words from right to left, a turned direction, a tag, and an entity.
ODD = "👩‍🚀🛹 كلب على لوح تزلج \u202egnol\u202c <img src=x onerror=alert(1)> &amp; שלום "


def test_odd_and_long_prompts_are_shown_as_they_were_sent_and_a_clip_rests_on_its_picture(
    chromium: Browser, room: Room
) -> None:
    context = chromium.new_context(reduced_motion="reduce", viewport={"width": 320, "height": 700})
    context.set_default_timeout(PATIENCE_MS)
    watched = Watched(context.new_page())
    watched.start()
    page = watched.page
    open_page(page, room)
    long = (ODD * 200)[:10_000]
    assert len(long) == 10_000
    page.locator("#ld-prompt textarea").fill(long)
    page.locator("#ld-generate").click()
    wait_for_status(page, "completed")
    sent = room.jobs()[0]["prompt"]
    assert sent == long.strip()[: len(sent)]
    assert 999 <= len(sent.encode("utf-16-le")) // 2 <= 1000, "the field stops there, as browsers count"
    assert page.locator(".ld-clip .ld-prompt").inner_text() == sent
    assert page.locator(".ld-history li .ld-prompt").inner_text() == sent
    assert page.locator(".ld-clip img, .ld-history img, .ld-code img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expect(page.locator(".ld-clip video")).to_be_visible()
    # The first frame is noise; the one it rests on is of the picture.
    page.wait_for_function(RESTS)
    page.locator(".ld-history button").click()
    page.wait_for_function(RESTS)
    page.locator(".ld-clip video").evaluate("(video) => video.play()")
    page.wait_for_function("document.querySelector('.ld-clip video').currentTime < 2")
    assert not page.locator(".ld-clip video").evaluate("(video) => video.paused")
    assert (watched.outside, watched.complaints) == ([], [])
    context.close()


def test_a_minute_is_silent_and_each_phase_is_spoken_of_once(context: BrowserContext, room: Room) -> None:
    page = context.new_page()
    page.clock.install()
    open_page(page, room)
    expect(page.locator("#ld-banner")).to_have_attribute("data-phase", "exposed")
    page.evaluate(LISTEN, ["#ld-banner", "#ld-announcer"])
    room.control("PUT", "broadcast", {"text": "hello"})
    expect(page.locator('#ld-banner [data-part="broadcast"]')).to_have_text("hello")
    let_seconds_pass(page, 60)
    assert page.evaluate("window.spoken") == []
    said = []
    for phase, words in (("normal", "Preview by invitation."), ("exposed", "Open to everyone.")):
        room.control("PATCH", "state", {"phase": phase})
        expect(page.locator("#ld-announcer")).to_contain_text(words)
        let_seconds_pass(page, 5)
        said.append(words)
        assert [one[: len(words)] for one, words in zip(page.evaluate("window.spoken"), said, strict=True)] == said
    room.control("PUT", "broadcast", {"text": None})


def opened(chromium: Browser, url: str) -> Page:
    """A Generate page in a browser of its own, for a tab behind another asks for no state."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(url)
    expect(page.locator("#ld-banner")).to_have_attribute("data-phase", "exposed")
    return page


def test_a_gateway_that_restarts_is_told_of_and_what_was_ordered_arrives(
    chromium: Browser, serve: Callable[[FastAPI], str], tmp_path: Path
) -> None:
    with live_gateway(tmp_path, workers=1) as live:
        live.control("PATCH", "/control/state", json={"phase": "exposed"})
        # Long enough for the clip to be under way when the gateway goes.
        live.control("PUT", "/control/profile", json={"name": "standard", "seed": 7, "speed": 2})
        token = live.issue()["token"]
        # How long a restart takes is up to the machine.
        url = serve(create_page(Settings(live.url, tokens=(token,), control_room=False), patience=PATIENCE_MS / 1000))
        page, other = opened(chromium, url), opened(chromium, url)
        page.evaluate(WATCH_STATUS)
        order(page, "a clip over a restart", seconds=1)
        wait_for_status(page, "in_progress")
        live.kill_gateway()
        for one in (page, other):
            expect(one.locator("#ld-banner")).to_have_attribute("data-phase", "away")
            expect(one.locator("#ld-banner")).to_contain_text("It asks again every second")
        assert "still asking" in wait_for_status(page, "silent")
        expect(page.locator("#ld-cancel")).to_be_enabled()
        order(other, "pressed while it is away", seconds=1)
        assert "nothing was queued" in wait_for_status(other, "gateway_away")

        live.start_gateway()
        for one in (page, other):
            expect(one.locator("#ld-banner")).to_have_attribute("data-phase", "exposed")
        assert wait_for_status(page, "completed").startswith("Done")
        assert_plays(page, 854)
        shown = page.evaluate("window.shown")
        states = [state for state, _, _ in shown]
        assert states.index("in_progress") < states.index("silent") < states.index("completed")
        bars = [bar for _, bar, _ in shown]
        assert bars == sorted(bars)
        live.control("PUT", "/control/profile", json={"name": "instant"})
        other.locator("#ld-generate").click()
        wait_for_status(other, "completed")
        made = httpx.get(f"{live.url}/v1/videos", headers=bearer(token)).raise_for_status().json()["data"]
        assert [video["prompt"] for video in made] == ["pressed while it is away", "a clip over a restart"]
        for one in (page, other):
            one.context.close()


# When the banner turns, by the browser's clock, and everything that a screen reader is told from here on.
WATCH_PHASE = """() => {
  const banner = document.getElementById("ld-banner"), region = document.getElementById("ld-announcer");
  window.spoken = [];
  new MutationObserver(() => {
    if (banner.dataset.phase === "revoked") window.revokedAt ??= Date.now();
  }).observe(banner, { attributes: true });
  new MutationObserver(() => window.spoken.push(region.textContent)).observe(region, {
    childList: true, subtree: true, characterData: true,
  });
}"""


# Last in this file: afterwards the room's access is gone.
def test_a_clip_plays_until_access_is_revoked(watched: Watched, room: Room) -> None:
    page = watched.page
    prompt = "<script>alert(1)</script> ${1+1} a dog on a skateboard"
    order(page, prompt)
    said = wait_for_status(page, "completed")
    assert said.startswith("Done, seed ")
    assert_plays(page, 854)
    assert page.locator(".ld-clip .ld-prompt").inner_text() == prompt
    assert page.locator(".ld-history li .ld-prompt").inner_text() == prompt
    assert page.locator("#ld-announcer").inner_text() == said
    assert_keeps_no_token(page, room)
    assert (watched.outside, watched.complaints) == ([], [])

    page.evaluate(WATCH_PHASE)
    revoked = time.time() * 1000
    room.control("POST", "revocations", {"selector": {"all": True}, "confirm": "all", "reason": "drill"})
    expect(page.locator("#ld-banner")).to_have_attribute("data-phase", "revoked", timeout=PATIENCE_MS)
    assert page.evaluate("window.revokedAt") - revoked < 2000
    assert "cut off" in page.locator("#ld-banner").inner_text()
    expect(page.locator("#ld-announcer")).to_contain_text("Access revoked")
    assert len(page.evaluate("window.spoken")) == 1, "one change is spoken of once"
    expect(page.locator(".ld-clip .ld-note")).to_contain_text("Made before revocation; the gateway no longer serves it")
    expect(page.locator(".ld-history .ld-note")).to_contain_text("Made before revocation")

    expect(page.locator("#ld-generate")).to_be_enabled()
    page.locator("#ld-generate").click()
    assert "access has been cut off" in wait_for_status(page, "revoked")
    expect(page.locator("#ld-generate")).to_be_enabled()
    expect(page.locator("#ld-cancel")).to_be_disabled()
    expect(page.locator(".ld-clip")).to_be_visible()
    assert watched.outside == []
