"""A real Chromium, the page as a process of its own, and an eye on what a page does that it should not do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from foreign import unavailable
from live import eventually

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def launched() -> Iterator[Browser]:
    """Debian's Chromium; without it the test is skipped, or fails where LEAKDRILL_REQUIRE=all."""
    path = shutil.which("chromium")
    if path is None:
        unavailable("chromium is not on this machine; install it with: apt-get install chromium")
    # A machine that is busy is slow; what does not come about at all fails all the same.
    expect.set_options(timeout=PATIENCE_MS / 2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def page_process(log: Path, port: int, **environment: str) -> Iterator[str]:
    """The page's server as people run it, with the Generate page; what it says goes to `log`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "frontend"],
            env={**clean, **environment, "LEAKDRILL_PAGE_PORT": str(port)},
            stdout=file,
            stderr=file,
        )
        url = f"http://127.0.0.1:{port}"

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return httpx.get(f"{url}/state", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        try:
            eventually(up, within=60, every=0.2)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def faults_of(page: Page, axe: str) -> list[str]:
    """What axe finds, by rule and place. `axe` is its source."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(axe)
    options = {"runOnly": {"type": "tag", "values": AXE_RULES}}
    found = page.evaluate("(options) => axe.run(document, options)", options)
    return [f"{one['id']}: {node['target']}" for one in found["violations"] for node in one["nodes"]]


# Everything that the live region is told from here on, and how often the banner is painted, which is each time that the
# state has come.
LISTEN = """([banner, region]) => {
  window.spoken = [];
  window.paints = 0;
  new MutationObserver(() => window.paints++).observe(document.querySelector(banner), {
    attributes: true, attributeFilter: ["data-phase"],
  });
  const announcer = document.querySelector(region);
  new MutationObserver(() => window.spoken.push(announcer.textContent)).observe(announcer, {
    childList: true, subtree: true, characterData: true,
  });
}"""


def let_seconds_pass(page: Page, seconds: int) -> None:
    """So many seconds of a page whose clock is installed and that is listened to; it paints the state in each of them,
    and no real second passes."""
    for _ in range(seconds):
        before = page.evaluate("window.paints")
        page.clock.run_for(1000)
        page.wait_for_function("(before) => window.paints > before", arg=before)


@dataclass
class Watched:
    """A page, and what it did that it should not do."""

    page: Page
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def start(self) -> None:
        """From now on."""
        self.page.on("request", self._request)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.outside.append(request.url)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)
