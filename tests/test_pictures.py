"""The pictures of the documentation: each one is taken by the script, shown by a page, light, and there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.camera import MOST_BYTES, SUFFIX, TOKEN
from scripts.screenshots import PICTURES

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "img"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


def shown() -> set[Path]:
    """Every picture that a page shows."""
    return {(page.parent / target).resolve() for page in PAGES for _, target in SHOWN.findall(page.read_text())}


def test_the_pages_show_every_picture_of_the_script_and_no_other() -> None:
    taken = {(IMAGES / f"{name}{SUFFIX}").resolve() for name in PICTURES}
    assert len(taken) == len(PICTURES)
    assert {path for path in shown() if path.suffix == SUFFIX} == taken
    assert set(IMAGES.resolve().glob(f"*{SUFFIX}")) == taken


def test_every_picture_that_a_page_shows_exists_and_every_one_that_exists_is_shown() -> None:
    assert shown() == set(IMAGES.resolve().iterdir())


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_light(name: str) -> None:
    content = (IMAGES / f"{name}{SUFFIX}").read_bytes()
    assert (content[:4], content[8:12]) == (b"RIFF", b"WEBP")
    assert len(content) <= MOST_BYTES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_picture_is_told_in_words_too(page: Path) -> None:
    assert [target for words, target in SHOWN.findall(page.read_text()) if len(words) < 20] == []


def test_the_script_knows_a_token_when_it_sees_one() -> None:
    assert TOKEN.search("-H Bearer ldk_1aB2cD3eF4")
    assert TOKEN.search("lda_1aB2cD3eF4")
    assert TOKEN.search("ldk_•••••••• tok_1aB2cD3eF4") is None


def test_without_chromium_the_script_says_what_to_install(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "scripts.screenshots", "--folder", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "apt-get install chromium" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
