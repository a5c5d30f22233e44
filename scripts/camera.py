"""A browser that takes pictures which are fit to be shown: no token, the line EXERCISE, and light."""

from __future__ import annotations

import io
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page

from scripts.picture_room import PATIENCE, Unfit

SUFFIX = ".webp"
MOST_BYTES = 150_000
QUALITY = 80
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# As a teacher's machine is called in a classroom; here it is this one.
TEACHER = "teacher.local"
# The same colours and glyphs whatever screen the machine has.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    f"--host-resolver-rules=MAP {TEACHER} 127.0.0.1",
]
TOKEN = re.compile(r"\bld[ka]_\w{6,}")
EXERCISE = "EXERCISE · EXERCISE · EXERCISE"
# What a browser shows, with what lies in its fields.
SHOWN = """() => document.body.innerText + " "
  + [...document.querySelectorAll("input, textarea")].map((field) => field.value).join(" ")"""


class Missing(Exception):
    """Something that this program needs and the machine lacks."""


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

    def take(self, page: Page, name: str, *, full: bool = False, margin: int = 0) -> None:
        """One picture, with so many white pixels around it; raises Unfit where it would show a token, lack the line
        EXERCISE, or weigh too much."""
        page.evaluate("document.fonts.ready")
        page.mouse.move(0, 0)
        shown = page.evaluate(SHOWN)
        if TOKEN.search(shown):
            raise Unfit(f"{name} would show a token")
        if EXERCISE not in shown:
            raise Unfit(f"{name} would not show that this is an exercise")
        taken = page.screenshot(full_page=full, animations="disabled")
        path = self.folder / f"{name}{SUFFIX}"
        with Image.open(io.BytesIO(taken)) as opened:
            picture = ImageOps.expand(opened.convert("RGB"), margin, "white")
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


def chromium() -> str:
    """The browser's program; raises Missing where there is none. Playwright's own build plays no H.264."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise Missing("Chromium is not on this machine; install it, on Debian with: apt-get install chromium")
