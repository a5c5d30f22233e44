"""The documentation as a site: what `make docs` builds, and what it refuses."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from browsing import Watched, launched

ROOT = Path(__file__).parents[1]
# Elements whose address a browser fetches by itself, and the attribute that has it.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """As the Makefile does."""
    recipe = re.search(r"sphinx-build (.*) \. build/docs$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    options = recipe[1].replace("build/doctrees", str(out / "doctrees")).split()
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, ".", str(out / "html")],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    ran = build(ROOT, out)
    assert ran.returncode == 0, ran.stderr
    return out / "html"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


class Addresses(HTMLParser):
    """What a page has a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in FETCHED and (address := given.get(FETCHED[tag])):
            self.found.append(address)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        reader = Addresses()
        reader.feed(page.read_text())
        assert reader.found
        assert [one for one in reader.found if re.match(r"(?:\w+:)?//|\w+:(?!image/)", one)] == [], page
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)]*", style.read_text()) == [], style


def test_every_page_is_there_and_the_home_page_leads_to_each(site: Path) -> None:
    pages = {path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))}
    assert {page for page in pages if not (site / page.with_suffix(".html")).exists()} == set()
    home = (site / "index.html").read_text()
    assert {page for page in pages if f'href="{page.with_suffix(".html")}' not in home} - {Path("README.md")} == set()


def test_a_dead_link_a_dead_anchor_and_a_page_that_nothing_lists_are_errors(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    (folder / "docs").mkdir(parents=True)
    shutil.copytree(ROOT / "docs" / "site", folder / "docs" / "site")
    shutil.copy(ROOT / "docs" / "conf.py", folder / "docs")
    (folder / "README.md").write_text("# Home\n\n## Where the rest is\n\n- **Start**: [one](docs/one.md)\n")
    (folder / "docs" / "one.md").write_text("# One\n\n[a](two.md) [b](../README.md#nowhere) [c](#here)\n\n## There\n")
    (folder / "docs" / "lost.md").write_text("# Lost\n")
    ran = build(folder, tmp_path)
    assert ran.returncode == 1
    told = [line for line in ran.stderr.splitlines() if "WARNING" in line]
    for page, what in (("one.md", "two.md"), ("one.md", "nowhere"), ("one.md", "here"), ("lost.md", "toctree")):
        assert [line for line in told if page in line and what in line], (what, ran.stderr)
    assert len(told) == 4


def test_a_reader_finds_the_way(site: Path, chromium: Browser) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    watched = Watched(page)
    watched.start()
    page.goto((site / "index.html").as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("leakdrill"))
    page.locator(".sidebar-tree").get_by_role("link", name="Start in two minutes").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Start in two minutes"))
    page.get_by_role("searchbox").or_(page.locator(".sidebar-search")).first.fill("quarantine")
    page.keyboard.press("Enter")
    expect(page.locator("#search-results li").first).to_be_visible()
    page.close()
    elsewhere = [url for url in watched.outside if not url.startswith("file://")]
    assert (elsewhere, watched.complaints) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_one_way_only(site: Path, chromium: Browser, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    for name in ("index.html", "docs/api.html", "docs/reference/commands.html", "docs/reference/calls.html"):
        page.goto((site / name).as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, (name, wide)
    context.close()
