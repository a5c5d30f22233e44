"""Take the pictures of the page and the control room that the documentation shows.

    python -m scripts.screenshots                      # all of them, into docs/img
    python -m scripts.screenshots --folder /tmp/look   # elsewhere, to compare
    python -m scripts.screenshots --only class         # those of one scene: generate, control or class

Starts a gateway, a worker and the page for itself, on free ports and in a directory that is gone afterwards, and drives
a real Chromium. Every state is waited for, with a deadline; the pictures are put in place when all of them are taken.
Ends with 0; with 1 where a state did not come about or a picture is not fit to be shown; with 2 where something that
it needs is missing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Page, expect, sync_playwright

from gateway.errors import OperatorError
from scripts.camera import FLAGS, SUFFIX, Camera, Missing, chromium
from scripts.control_pictures import DESK, REASON, class_pictures, control_pictures
from scripts.picture_room import PATIENCE, SEED, Room, Unfit, room, until

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
    "injects",
    "after-action",
    "class-room",
    "class-projector",
    "class-join",
)
PHONE = (320, 700)  # CSS pixels
PROMPT = "a dog on a skateboard"
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


SCENES = {"generate": generate_pictures, "control": control_pictures, "class": class_pictures}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go [docs/img]")
    parser.add_argument("--only", choices=SCENES, help="take the pictures of one scene [all]")
    asked = parser.parse_args()
    folder: Path = asked.folder
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
            for scene in [asked.only] if asked.only else SCENES:
                SCENES[scene](camera)
            browser.close()
            folder.mkdir(parents=True, exist_ok=True)
            for name in PICTURES:
                file = camera.folder / f"{name}{SUFFIX}"
                if file.exists() or not asked.only:
                    shutil.move(file, folder / file.name)
    except (Missing, OperatorError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (Unfit, AssertionError, BrowserError, httpx.HTTPError) as error:
        sys.stderr.write(f"no picture was replaced: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
