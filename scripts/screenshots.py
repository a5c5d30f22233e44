"""Take the pictures of the page and the control room that the documentation shows.

    python scripts/screenshots.py                      # all of them, into docs/img
    python scripts/screenshots.py --folder /tmp/look   # elsewhere, to compare

Starts a gateway, a worker and the page for itself, on free ports and in a directory that is gone afterwards, and drives
a real Chromium. Every state is waited for, with a deadline; the pictures are put in place when all of them are taken.
Ends with 0; with 1 where a state did not come about or a picture is not fit to be shown; with 2 where something that
it needs is missing.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import Error as BrowserError

from gateway.errors import OperatorError
from gateway.settings import Settings
from gateway.supervisor import Supervisor, free_port

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "img"
PICTURES = (
    "generate-idle",
    "generate-queued",
    "generate-refining",
    "generate-done",
    "generate-revoked",
    "generate-narrow",
    "generate-dark",
    "control-live",
    "control-revoked",
    "projector",
)
SUFFIX = ".webp"
MOST_BYTES = 150_000
QUALITY = 80
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The same colours and glyphs whatever screen the machine has.
FLAGS = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb", "--font-render-hinting=none"]
PATIENCE = 90.0  # seconds
TOKEN = re.compile(r"\bld[ka]_\w{6,}")
EXERCISE = "EXERCISE · EXERCISE · EXERCISE"
DESK, PHONE, WALL = (1280, 960), (320, 700), (1920, 1080)  # CSS pixels
PROMPT, SEED = "a dog on a skateboard", 20241126
REASON = "tokens behind a public page"
QUICK = 300  # times as fast as the morning was
# By five minutes, from 08:35 on.
ORDERS = (1, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 3, 5, 4, 5, 6, 4, 5, 6, 5, 4, 5, 3, 4, 4, 3, 4, 3, 2, 3)
# Shows the frame at that second and stays there. The player's controls, which fade by themselves, are taken away.
FREEZE = """async (at) => {
  const video = document.querySelector(".ld-clip video");
  video.controls = false;
  video.pause();
  await new Promise((done) => {
    const look = (_, frame) =>
      Math.abs(frame.mediaTime - at) < 0.2 ? done() : video.requestVideoFrameCallback(look);
    video.requestVideoFrameCallback(look);
    video.currentTime = at;
  });
}"""
CLIP_SECOND = 2.0  # well after the noise
# What a browser shows, with what lies in its fields.
SHOWN = """() => document.body.innerText + " "
  + [...document.querySelectorAll("input, textarea")].map((field) => field.value).join(" ")"""


class Unfit(Exception):
    """A state that did not come about, or a picture that must not be shown. The words say which."""


class Missing(Exception):
    """Something that this program needs and the machine lacks."""


def until(ask: Callable[[], Any], what: str) -> None:
    """Waits for it; raises Unfit after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not ask():
        if time.monotonic() > deadline:
            raise Unfit(f"{what} did not come about within {PATIENCE:.0f} s")
        time.sleep(0.05)


@dataclass
class Room:
    """A gateway with one worker and the page, for one set of pictures."""

    supervisor: Supervisor

    def control(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """A call as the admin."""
        headers = {"Authorization": f"Bearer {self.supervisor.admin_token}", "leakdrill-actor": "Facilitator"}
        return self._call(method, f"/control/{path}", headers, body).raise_for_status().json()

    def issue(self, principal: str, cohort: str) -> str:
        """A new token."""
        token: str = self.control("POST", "tokens", {"principal": principal, "cohort": cohort})["token"]
        return token

    def ask(self, token: str, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """A call as a tester; a refusal is an answer too."""
        return self._call(method, f"/v1/videos{path}", {"Authorization": f"Bearer {token}"}, body)

    def order(self, token: str) -> str:
        """Orders a short clip; its id."""
        body = {"model": "turbo", "prompt": "lanterns", "seconds": "1", "size": "480x480", "seed": SEED}
        video: str = self.ask(token, "POST", "", body).raise_for_status().json()["id"]
        return video

    def line(self) -> tuple[int, int]:
        """How many jobs wait, and how many run."""
        queue = self._status()["queue"]
        return queue["waiting"], queue["running"]

    def clock(self, time_of_day: str, speed: float) -> None:
        """Starts the replay clock on the morning of the incident."""
        self.control("PUT", "clock", {"time": f"2024-11-26T{time_of_day}:00-05:00", "speed": speed})

    def wait_for_clock(self, time_of_day: str) -> None:
        """Until the replay clock shows that time, or a later one."""
        until(
            lambda: self._status()["replay_clock"]["time"][11:16] >= time_of_day, f"{time_of_day} on the replay clock"
        )

    def _status(self) -> Any:
        return self._call("GET", "/status", {}, None).raise_for_status().json()

    def _call(self, method: str, path: str, headers: dict[str, str], body: Any) -> httpx.Response:
        url = self.supervisor.gateway_url + path
        return httpx.request(method, url, headers=headers, json=body, trust_env=False, timeout=30)


@contextmanager
def room(**settings: Any) -> Iterator[Room]:
    """A room of its own; nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="leakdrill-pictures-") as folder:
        own = Settings(data=Path(folder), port=free_port(), page_port=free_port(), **settings)
        with Supervisor(own) as supervisor:
            supervisor.give_page([])
            supervisor.start(workers=1, page=True)
            supervisor.wait_for_page()
            yield Room(supervisor)


@dataclass
class Camera:
    """Takes pictures of pages of one browser into a folder."""

    browser: Browser
    folder: Path

    def open(self, url: str, width: int, height: int, scheme: Any = "light") -> Page:
        """A page of a visitor of its own, on whose machine it is always the same morning and nothing moves."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            locale="en-GB",
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        page.goto(url)
        return page

    def take(self, page: Page, name: str, *, full: bool = False) -> None:
        """One picture; raises Unfit where it would show a token, lack the line EXERCISE, or weigh too much."""
        page.evaluate("document.fonts.ready")
        page.mouse.move(0, 0)
        shown = page.evaluate(SHOWN)
        if TOKEN.search(shown):
            raise Unfit(f"{name} would show a token")
        if EXERCISE not in shown:
            raise Unfit(f"{name} would not show that this is an exercise")
        taken = page.screenshot(full_page=full, animations="disabled")
        path = self.folder / f"{name}{SUFFIX}"
        with Image.open(io.BytesIO(taken)) as picture:
            # Flat colours and text come out smaller, and sharp, without loss; a page with a clip does not.
            encoded = min(webp(picture, lossless=True), webp(picture, quality=QUALITY), key=len)
        if len(encoded) > MOST_BYTES:
            raise Unfit(f"{name} has {len(encoded) / 1000:.0f} kB; at most {MOST_BYTES / 1000:.0f} kB are wanted")
        path.write_bytes(encoded)
        sys.stdout.write(f"{path.name}: {picture.width}×{picture.height}, {len(encoded) / 1000:.0f} kB\n")


def webp(picture: Image.Image, **options: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "WEBP", method=6, **options)
    return file.getvalue()


def open_generate(camera: Camera, room: Room, width: int, height: int, scheme: Any = "light") -> Page:
    """The Generate page, filled in: the prompt from its examples, and the seed."""
    page = camera.open("about:blank", width, height, scheme)
    page.clock.set_fixed_time("2024-11-26T09:21:00Z")
    page.goto(room.supervisor.page_url)
    page.get_by_text("Advanced").click()
    page.locator("#ld-randomise input").uncheck()
    page.locator("#ld-seed input").fill(str(SEED))
    page.get_by_text("Advanced").click()
    expect(page.locator("#ld-seed")).to_be_hidden()
    page.locator("#ld-resolution").get_by_text("720p").click()
    page.get_by_text(PROMPT).first.click()
    expect(page.locator("#ld-prompt textarea")).to_have_value(PROMPT)
    page.evaluate("scrollTo(0, 0)")
    return page


def at(room: Room, page: Page, time_of_day: str) -> None:
    """Sets the replay clock, and waits until the page shows it."""
    room.clock(time_of_day, 14)
    expect(page.locator('[data-part="clock"]')).to_contain_text(time_of_day)


def status_is(page: Page, state: str) -> None:
    """Waits until the Generate page tells that state."""
    expect(page.locator(f'.ld-status[data-state="{state}"]')).to_be_visible()


def clip_is_there(page: Page) -> None:
    """Waits for the clip, which then stands still."""
    status_is(page, "completed")
    page.evaluate(FREEZE, CLIP_SECOND)


def generate_pictures(camera: Camera) -> None:
    """One visitor's morning, from the open page to the cut; on the way the same page narrow and dark."""
    with room() as place:
        testers = [place.issue(f"tester-{number:02}", "alpha") for number in range(1, 5)]
        place.supervisor.give_page([place.issue("tester-page", "alpha")])
        place.control("PATCH", "state", {"phase": "exposed"})
        page = open_generate(camera, place, *DESK)
        at(place, page, "09:05")
        camera.take(page, "generate-idle")
        from_the_line_to_the_clip(camera, place, page, testers)
        for name, size, scheme in (("generate-narrow", PHONE, "light"), ("generate-dark", DESK, "dark")):
            other = open_generate(camera, place, *size, scheme)
            other.locator("#ld-generate").click()
            clip_is_there(other)
            other.evaluate("scrollTo(0, 0)")
            at(place, other, "09:30")
            camera.take(other, name, full=size == PHONE)
            other.context.close()
        place.control("POST", "revocations", {"selector": {"cohort": "alpha"}, "reason": REASON})
        expect(page.locator("#ld-banner")).to_have_attribute("data-phase", "revoked")
        page.locator("#ld-generate").click()
        status_is(page, "revoked")
        expect(page.locator(".ld-clip .ld-note")).to_be_visible()
        at(place, page, "11:32")
        camera.take(page, "generate-revoked")


def from_the_line_to_the_clip(camera: Camera, place: Room, page: Page, others: list[str]) -> None:
    """Queued behind these tokens' jobs, refining, done."""
    # One job holds the only slot while the others, and then this page's, wait.
    place.control("PUT", "profile", {"name": "standard", "seed": 7})
    ahead = [(token, place.order(token)) for token in others]
    until(lambda: place.line()[1] == 1, "a running job")
    page.locator("#ld-generate").click()
    status_is(page, "queued")
    expect(page.locator('#ld-banner [data-part="queue"]')).to_contain_text("4 waiting, 1 running")
    at(place, page, "09:12")
    camera.take(page, "generate-queued")

    # Long enough for a picture: about 20 s of a slot, whatever the machine renders in that time.
    place.control("PUT", "profile", {"name": "standard", "seed": 7, "speed": 2})
    for token, video in ahead:
        place.ask(token, "DELETE", f"/{video}").raise_for_status()
    status_is(page, "in_progress")
    bar = page.locator(".ld-status[data-state=in_progress] [role=progressbar]")
    until(lambda: int(bar.get_attribute("aria-valuenow") or 0) >= 72, "a clip in whose noise the scene is seen")
    expect(page.locator(".ld-preview").last).to_be_visible()
    at(place, page, "09:21")
    status_is(page, "in_progress")
    camera.take(page, "generate-refining")

    place.control("PUT", "profile", {"name": "instant"})
    clip_is_there(page)
    at(place, page, "09:24")
    camera.take(page, "generate-done")


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


def log_in(camera: Camera, place: Room) -> Page:
    """The control room, as somebody who calls themselves Facilitator."""
    page = camera.open(f"{place.supervisor.page_url}/control", *DESK)
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
        place.control("PUT", "profile", {"name": "standard", "seed": 7})
        for token in testers[:6]:
            place.order(token)
        until(lambda: place.line() == (5, 1), "a running job")
        place.control("PUT", "broadcast", {"text": "The queue is long. Write down what you see, and when."})
        page = log_in(camera, place)
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


def revoke_alpha(page: Page, tokens: int) -> None:
    """As an instructor does it, by the form and its question."""
    page.select_option("#revoke-kind", "cohort")
    alpha = page.locator("#revoke-which option", has_text="alpha")
    page.select_option("#revoke-which", value=alpha.get_attribute("value"))
    page.fill("#revoke-reason", REASON)
    page.press("#revoke-reason", "Enter")
    page.locator("#confirm-yes").click()
    expect(page.locator("#revoke .answer")).to_contain_text(f"Revoked {tokens} tokens")


def chromium() -> str:
    """The browser's program; raises Missing where there is none. Playwright's own build plays no H.264."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise Missing("Chromium is not on this machine; install it, on Debian with: apt-get install chromium")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go [docs/img]")
    folder: Path = parser.parse_args().folder
    # Settings of a gateway of one's own must not reach this one, least of all its database.
    for name in [name for name in os.environ if name.startswith("LEAKDRILL_")]:
        del os.environ[name]
    os.environ["TZ"] = "UTC"  # as the browser, so that both tell the room's time alike
    expect.set_options(timeout=PATIENCE * 1000)
    try:
        program = chromium()
        with tempfile.TemporaryDirectory(prefix="leakdrill-pictures-") as taken, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
            camera = Camera(browser, Path(taken))
            generate_pictures(camera)
            control_pictures(camera)
            browser.close()
            folder.mkdir(parents=True, exist_ok=True)
            for name in PICTURES:
                shutil.move(camera.folder / f"{name}{SUFFIX}", folder / f"{name}{SUFFIX}")
    except (Missing, OperatorError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (Unfit, AssertionError, BrowserError, httpx.HTTPError) as error:
        sys.stderr.write(f"no picture was replaced: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
