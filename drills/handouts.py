"""What a class is given on paper: its material, as one HTML file a sheet.

It is written as Markdown in docs/class. A sheet's first line says who gets it: `<!-- for: students -->`, `instructor`
or `both`. What stands between `<!-- private -->` and `<!-- public -->` is the instructor's alone. A link to
seeds/facts.yaml is a reference: its title is the fact's id, its text the fact's status and sources.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from markdown_it import MarkdownIt
from markupsafe import Markup

from drills.errors import ScenarioError
from drills.facts import FactBook, load_facts
from drills.journal import write_atomically
from drills.look import html_environment

FOLDERS = ("students", "instructor")
Audience = Literal["students", "instructor", "both"]

_FOR = re.compile(r"\A<!-- for: (students|instructor|both) -->\n")
_PRIVATE = re.compile(r"^<!-- private -->\n.*?^<!-- public -->\n", re.MULTILINE | re.DOTALL)
_MARKS = re.compile(r"^<!-- (?:private|public) -->\n", re.MULTILINE)
_REFERENCE = re.compile(r'\[([^\]]+)\]\(\S*facts\.yaml "([^"]+)"\)')
_SECTION = re.compile(r"(<h2>.*?)(?=<h2>|\Z)", re.DOTALL)
_LINK = re.compile(r'<a href="[^"]*"(?: title="([^"]*)")?>(.*?)</a>', re.DOTALL)


@dataclass(frozen=True)
class Reference:
    """A sheet's word for where something is from: the fact's id, and how its status and sources are shown."""

    fact: str
    shown: str


@dataclass(frozen=True)
class Handout:
    """One sheet of the class material, as Markdown."""

    name: str
    audience: Audience
    text: str

    @property
    def title(self) -> str:
        """Its first heading."""
        found = re.search(r"^# (.+)$", self.text, re.MULTILINE)
        return found[1] if found else self.name

    def copies(self) -> Iterator[tuple[str, str]]:
        """(folder, Markdown) of each copy; the students' has nothing that is private."""
        if self.audience != "instructor":
            yield "students", _PRIVATE.sub("", self.text)
        if self.audience != "students":
            yield "instructor", _MARKS.sub("", self.text)

    def references(self) -> list[Reference]:
        """Every fact that it names."""
        return [Reference(fact, shown) for shown, fact in _REFERENCE.findall(self.text)]


def shown_source(book: FactBook, fact: str) -> str:
    """How a reference to that fact reads: its status and its sources. Raises KeyError for none."""
    found = {one.id: one for one in book.facts}[fact]
    return f"{found.status}, {' '.join(found.sources)}" if found.sources else found.status


def load_handouts() -> list[Handout]:
    """The class material. Raises ScenarioError where it is not there, or a sheet does not say who gets it."""
    folder = _folder()
    found = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if not entry.name.endswith(".md") or entry.name == "README.md":
            continue
        text = entry.read_text(encoding="utf-8")
        says = _FOR.match(text)
        if says is None:
            raise ScenarioError(f"{entry.name}:1: expected <!-- for: students -->, instructor or both")
        audience: Audience = says[1]  # type: ignore[assignment]  # the pattern has no other
        found.append(Handout(entry.name.removesuffix(".md"), audience, text[says.end() :].lstrip("\n")))
    return found


def _folder() -> Traversable:
    """In a checkout it is docs/class; an installed program has it beside the seeds."""
    seeds = files("seeds")
    for folder in (seeds.joinpath("class"), Path(__file__).parents[1] / "docs" / "class"):
        if folder.is_dir():
            return folder
    raise ScenarioError("the class material is not there: neither docs/class nor seeds/class is a folder")


def write_handouts(out: Path) -> list[Path]:
    """Writes each copy as one HTML file, students' and instructor's apart; their paths. Raises ScenarioError."""
    book, template = load_facts(), html_environment().get_template("handout.html.j2")
    written = []
    for handout in load_handouts():
        for folder, text in handout.copies():
            path = out / folder / f"{handout.name}.html"
            path.parent.mkdir(parents=True, exist_ok=True)
            body = Markup(_html(text))  # noqa: S704  our own Markdown, in which HTML counts as text
            page = template.render(title=handout.title, body=body, sources=book.sources, private=folder == "instructor")
            write_atomically(path, page)
            written.append(path)
    return written


def _html(text: str) -> str:
    """The Markdown's HTML. On paper a link leads nowhere: a reference stays as its words, others as their text."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)

    def said(link: re.Match[str]) -> str:
        return f'<span class="from">[{link[2]}]</span>' if link[1] else link[2]

    # A card or a question is not torn apart by the end of a page.
    return _SECTION.sub(r"<section>\1</section>\n", _LINK.sub(said, html))
