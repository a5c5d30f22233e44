"""The documentation as a site: the Markdown files where they lie, in the order in which README.md lists them.

`make docs` builds it. README.md is the home page, and the list under its heading "Where the rest is" is the navigation:
each item is a caption and the pages below it. A page that nothing lists is a warning of Sphinx's, and so an error.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ConfigError

from gateway import __version__

ROOT = Path(__file__).parents[1]

project = "leakdrill"
author = "the authors of leakdrill"
project_copyright = "the authors of leakdrill, Apache-2.0"
version = release = __version__

extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "samples/*.md"]
exclude_patterns = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in ("docs", "samples")]
nitpicky = True
myst_heading_anchors = 4
# A block without a language is text; what Pygments cannot read, such as JSON with `…` in it, is text as well.
highlight_language = "text"
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"leakdrill {__version__}"
html_static_path = ["site"]
html_css_files = ["leakdrill.css"]
html_show_sourcelink = False
html_copy_source = False
# A summary is read from the page, which browsers refuse where the site is opened as files.
html_show_search_summary = False
html_theme_options = {
    "top_of_page_buttons": [],
    # The green of the page, legible on either background (WCAG 2.2: 7 to 1 at least).
    "light_css_variables": dict.fromkeys(
        ("color-brand-primary", "color-brand-content", "color-brand-visited"), "#12564b"
    ),
    "dark_css_variables": dict.fromkeys(
        ("color-brand-primary", "color-brand-content", "color-brand-visited"), "#8ad6c6"
    ),
}

NAVIGATION = re.compile(r"^## Where the rest is\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ITEM = re.compile(r"^- \*\*([^*]+)\*\*[^:\n]*: (.+?)$(?=\n- |\n\n|\Z)", re.MULTILINE | re.DOTALL)
PAGE = re.compile(r"\]\(([^)#:]+)\.md\)")


def navigation(readme: str) -> dict[str, list[str]]:
    """Caption -> names of its pages, as README.md lists them. Raises ConfigError where it has no such list."""
    found = NAVIGATION.search(readme)
    captions = {caption: PAGE.findall(links) for caption, links in ITEM.findall(found[1])} if found else {}
    pages = [page for listed in captions.values() for page in listed]
    if not pages:
        raise ConfigError("README.md has no list under `## Where the rest is`: `- **Caption**: [page](docs/page.md)`")
    if len(pages) != len(set(pages)):
        raise ConfigError(f"README.md lists a page twice: {sorted({page for page in pages if pages.count(page) > 1})}")
    return captions


def _list_pages(_app: Sphinx, name: str, content: list[str]) -> None:
    """Gives the home page the trees of the navigation, and a folder's README the pages beside it that it links."""
    if name == root_doc:
        for caption, pages in navigation(content[0]).items():
            content[0] += _tree(f":caption: {caption}", *(f"/{page}" for page in pages))
    elif name.endswith("/README") and (beside := [page for page in PAGE.findall(content[0]) if "/" not in page]):
        content[0] += _tree(":titlesonly:", *beside)


def _tree(option: str, *pages: str) -> str:
    return "\n".join(["\n\n```{toctree}", ":hidden:", option, "", *pages, "```", ""])


def _name_the_home_page(app: Sphinx, failed: Exception | None) -> None:
    """Servers and people look for index.html."""
    if failed is None and app.builder.format == "html":
        shutil.copyfile(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _list_pages)
    app.connect("build-finished", _name_the_home_page)
