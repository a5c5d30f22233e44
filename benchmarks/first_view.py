"""How soon and how light the pages are: first views, cold, and how late a page learns of a revocation.

    python benchmarks/first_view.py            # 9 loads of each view, 5 revocations before ten open pages
    python benchmarks/first_view.py --quick    # 3 loads, 1 revocation

Each load is a new browser context of a running Chromium, so that nothing is cached: from the call of the address until
the phase is shown and, on the Generate page, the button can be pressed; in the control room, logged in already. Beside
1.5 s and 1 MB. Then ten pages are open, half of them projectors, and everybody's access is revoked: from the call to
the last page that shows it, beside 2 s.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from gateway.settings import Settings
from gateway.supervisor import Supervisor, free_port

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
MOST_SECONDS, MOST_BYTES, MOST_LATE = 1.5, 1_000_000, 2.0
PATIENCE_MS = 60_000
OPEN = 10
# The moment at which a page shows that access was revoked, by the machine's clock.
SEEN = """() => { const banner = document.getElementById("banner");
  new MutationObserver(() => { if (banner.dataset.phase === "revoked") window.seen ??= Date.now(); })
    .observe(banner, { attributes: true }); }"""


@dataclass(frozen=True)
class View:
    """A first view: seconds until it can be used, bytes and requests on the wire, seconds to the first paint."""

    seconds: float
    bytes: int
    requests: int
    paint: float


@contextmanager
def room() -> Iterator[Supervisor]:
    """A gateway and the page, which has access, in a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), port=free_port(), page_port=free_port())
        with Supervisor(settings) as supervisor:
            supervisor.give_page([])
            supervisor.start(workers=0, page=True)
            supervisor.wait_for_page()
            yield supervisor


def control(place: Supervisor, method: str, path: str, body: object) -> None:
    """A call as the admin."""
    headers = {"Authorization": f"Bearer {place.admin_token}"}
    url = f"{place.gateway_url}/control/{path}"
    httpx.request(method, url, headers=headers, json=body, trust_env=False, timeout=30).raise_for_status()


def visitor(browser: Browser, place: Supervisor, *, logged_in: bool) -> BrowserContext:
    """A browser that has seen nothing yet, but for the cookie of a login."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    if logged_in:
        own = {"Content-Type": "application/json", "Origin": place.page_url}
        fields = json.dumps({"token": place.admin_token, "name": ""})
        answer = context.request.post(f"{place.page_url}/control/login", data=fields, headers=own)
        if not answer.ok:
            raise SystemExit(f"the control room's login answered {answer.status}")
    return context


def first_view(browser: Browser, place: Supervisor, path: str, banner: str, *, logged_in: bool) -> View:
    """One cold load."""
    context = visitor(browser, place, logged_in=logged_in)
    page = context.new_page()
    sizes: list[int] = []
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    begun = time.perf_counter()
    page.goto(place.page_url + path, wait_until="commit")
    page.wait_for_selector(f'{banner}[data-phase="normal"]')
    if not logged_in:
        page.wait_for_selector("#ld-generate:not([disabled])")
    seconds = time.perf_counter() - begun
    page.wait_for_load_state("networkidle")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0") / 1000
    context.close()
    return View(seconds, sum(sizes), len(sizes), paint)


def latest_to_see(browser: Browser, place: Supervisor) -> float:
    """Seconds from the revocation of everybody to the last of ten pages that shows it."""
    control(place, "POST", "reset", {"confirm": "reset"})
    control(place, "POST", "tokens", {"principal": "tester", "cohort": "alpha"})
    context = visitor(browser, place, logged_in=True)
    pages: list[Page] = []
    for number in range(OPEN):
        page = context.new_page()
        page.goto(f"{place.page_url}{'/control/projector' if number % 2 else '/control'}")
        expect(page.locator("#banner")).to_have_attribute("data-phase", "normal")
        page.evaluate(SEEN)
        pages.append(page)
    called = time.time() * 1000
    control(place, "POST", "revocations", {"selector": {"all": True}, "confirm": "all", "reason": "measured"})
    for page in pages:
        expect(page.locator("#banner")).to_have_attribute("data-phase", "revoked")
    late = max(page.evaluate("window.seen") for page in pages) - called
    context.close()
    return float(late) / 1000


def told(name: str, views: list[View]) -> None:
    """Prints a view's figures beside their targets."""
    seconds = [one.seconds for one in views]
    median, heaviest = statistics.median(seconds), max(one.bytes for one in views)
    spread = f"median of {len(views)}; {min(seconds):.2f} to {max(seconds):.2f}"
    paint = statistics.median(one.paint for one in views)
    print(f"{name:<14} usable after {median:5.2f} s  ({spread}; first paint {paint:.2f} s)")
    print(f"{'':<14} {heaviest / 1000:6.0f} kB in {max(one.requests for one in views)} requests")
    good = median <= MOST_SECONDS and heaviest <= MOST_BYTES
    print(f"{'':<14} target: {MOST_SECONDS} s and {MOST_BYTES / 1e6:.0f} MB or less   {'met' if good else 'MISSED'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three loads and one revocation")
    quick = parser.parse_args().quick
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        sys.exit("Chromium is not on this machine; install it, on Debian with: apt-get install chromium")
    with room() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        expect.set_options(timeout=PATIENCE_MS)
        for name, path, banner, logged_in in (
            ("Generate", "/", "#ld-banner", False),
            ("Control room", "/control", "#banner", True),
        ):
            # The first one warms the servers and is not counted.
            views = [first_view(browser, place, path, banner, logged_in=logged_in) for _ in range(4 if quick else 10)]
            told(name, views[1:])
        late = [latest_to_see(browser, place) for _ in range(1 if quick else 5)]
        browser.close()
    median = statistics.median(late)
    spread = f"median of {len(late)}; worst {max(late):.2f}"
    print(f"{'Revocation':<14} on the last of {OPEN} pages after {median:5.2f} s  ({spread})")
    print(f"{'':<14} target: {MOST_LATE:.0f} s or less   {'met' if max(late) <= MOST_LATE else 'MISSED'}")


if __name__ == "__main__":
    main()
