"""What happened in November 2024, as the press told it: the panel under the page.

Every line is a fact of `facts.yaml`, which is a copy of `seeds/facts.yaml`, since a Space has this folder alone. Here
stands only which of them are told, in which order.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import yaml

FACTS_FILE = Path(__file__).resolve().parent / "facts.yaml"
TITLE = "What happened in November 2024"
MARK = "A reconstruction"
FROM = (
    "from five press articles, in our own words. Each line says how it is founded: reported by an outlet, claimed by a "
    "party, or derived from such. Times are US Eastern, and no better than their source."
)
INVENTED = "Everything else on this page is an exercise: who asks for what, and when, is invented."
SECTIONS: dict[str, tuple[str, ...]] = {
    "The page": (
        "event-date",
        "public-page",
        "tokens-behind-page",
        "access-not-model",
        "insider-protest",
        "found-quickly",
        "clip-length",
        "pause-for-everyone",
        "authenticity-open",
    ),
    "How long: three hours, or three and a half": (
        "published-0830",
        "ended-about-noon",
        "three-and-a-half-hours",
        "three-hours",
        "ended-within-hours",
    ),
    "The letter": (
        "group-name",
        "complaints",
        "not-against-ai",
        "sixteen-names",
        "couple-were-testers",
        "several-testers",
        "about-300-testers",
        "vendor-answer",
    ),
    "The petition": ("petition", "petition-count-unknown", "other-letter-11000"),
}


def context(file: Path = FACTS_FILE) -> str:
    """The panel's HTML."""
    book = yaml.safe_load(file.read_text(encoding="utf-8"))
    outlets = {source["id"]: _outlet(source) for source in book["sources"]}
    facts = {fact["id"]: fact for fact in book["facts"]}
    told = "".join(
        f"<section><h3>{escape(title)}</h3><ul>{''.join(_fact(facts[id], outlets) for id in ids)}</ul></section>"
        for title, ids in SECTIONS.items()
    )
    return (
        f'<div class="ld-context"><p><strong>{MARK}</strong> {escape(FROM)}</p>{told}'
        f"<section><h3>Where the articles disagree</h3>"
        f"<dl>{''.join(_disagreement(one, outlets) for one in book['disagreements'])}</dl></section>"
        f"<section><h3>Sources</h3><ul>{''.join(map(_source, book['sources']))}</ul></section>"
        f"<p>{escape(INVENTED)}</p></div>"
    )


def _fact(fact: dict[str, Any], outlets: dict[str, str]) -> str:
    return f"<li>{escape(fact['text'])} {_basis(fact['status'], fact['sources'], outlets)}</li>"


def _disagreement(one: dict[str, Any], outlets: dict[str, str]) -> str:
    positions = "".join(
        f"<dd>{escape(position['says'])} {_basis('', position['sources'], outlets)}</dd>"
        for position in one["positions"]
    )
    return f"<div><dt>{escape(one['question'])}</dt>{positions}</div>"


def _basis(status: str, sources: list[str], outlets: dict[str, str]) -> str:
    by = ", ".join(outlets[source] for source in sources)
    return f'<span class="ld-basis">{escape(": ".join(part for part in (status, by) if part))}</span>'


def _outlet(source: dict[str, Any]) -> str:
    # Two of the articles came without their outlet's name.
    return f"an unnamed outlet ({source['id']})" if "not named" in source["outlet"] else str(source["outlet"])


def _source(source: dict[str, Any]) -> str:
    name = _outlet(source)
    said = ", ".join(str(part) for part in (name[0].upper() + name[1:], source["date"] or "no date") if part)
    return f"<li>{escape(said)}: {escape(source['note'])}</li>"
