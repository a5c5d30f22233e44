"""What the page says of November 2024: the facts as they are kept, each with its source, nothing surer than that."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import yaml

from frontend.context import FACTS_FILE, SECTIONS, context
from frontend.generate import MOST_SECONDS
from gateway.jobs import catalog

ROOT = Path(__file__).resolve().parents[2]
BOOK: dict[str, Any] = yaml.safe_load((ROOT / "seeds" / "facts.yaml").read_text())
FACTS = {fact["id"]: fact for fact in BOOK["facts"]}
# A time of day or a length of time, in digits or words.
TIME = re.compile(r"\b\d{1,2}:\d\d\b|\bnoon\b|\bhours?\b|\bminutes?\b")
HEDGE = re.compile(r"\babout\b|\baround\b|\bwithin\b|\bseveral\b|\bsays?\b|\bclaimed\b")


def texts(tag: str) -> list[str]:
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", context())
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", one)).split()) for one in found]


def section(title: str) -> str:
    [found] = [one for one in texts("section") if one.startswith(title)]
    return found


def test_what_the_page_ships_is_the_one_book_of_facts() -> None:
    assert FACTS_FILE.read_bytes() == (ROOT / "seeds" / "facts.yaml").read_bytes(), "cp seeds/facts.yaml frontend/"


def test_every_line_is_a_fact_with_its_status_and_its_sources() -> None:
    outlets = {source["id"]: source["outlet"] for source in BOOK["sources"]}
    told = [id for ids in SECTIONS.values() for id in ids]
    assert len(told) == len(set(told))
    lines = texts("li")
    assert len(lines) == len(told) + len(BOOK["sources"])
    for id, line in zip(told, lines, strict=False):
        fact = FACTS[id]
        assert line.startswith(f"{fact['text']} {fact['status']}: ")
        assert fact["sources"]
        for source in fact["sources"]:
            assert (f"({source})" if "not named" in outlets[source] else outlets[source]) in line
        assert fact["status"] != "invented"


def test_no_time_is_surer_than_its_source() -> None:
    timed = [line for line in (*texts("li"), *texts("dd")) if TIME.search(line)]
    assert len(timed) >= 6
    assert [line for line in timed if not HEDGE.search(line)] == []
    how_long = section("How long: three hours, or three and a half")
    for part in ("about 08:30", "derived: Ars Technica", "around noon", "reported: an unnamed outlet (S0)"):
        assert part in how_long
    assert "after three hours" in how_long
    assert "claimed: an unnamed outlet (S0), an unnamed outlet (S1)" in how_long


def test_no_count_is_borrowed() -> None:
    assert "16 people and groups" in section("The letter")
    petition = section("The petition")
    assert "is unknown" in petition
    assert "11,000 creative professionals signed another letter" in petition
    assert "does not belong to this incident" in petition
    assert "11,000" not in section("The letter")


def test_all_eight_disagreements_stand_with_every_position() -> None:
    assert texts("dt") == [one["question"] for one in BOOK["disagreements"]]
    assert len(texts("dt")) == 8
    assert len(texts("dd")) == sum(len(one["positions"]) for one in BOOK["disagreements"])


def test_it_is_marked_as_a_reconstruction_and_names_every_source() -> None:
    assert context().index("A reconstruction") < context().index("<h3>")
    assert "in our own words" in context()
    sources = section("Sources")
    for source in BOOK["sources"]:
        assert source["note"] in sources


def test_the_slider_ends_where_the_clips_of_2024_did_and_the_api_goes_further() -> None:
    assert FACTS["clip-length"]["value"] == MOST_SECONDS
    assert max(catalog.SECONDS) > MOST_SECONDS
    assert set(range(1, MOST_SECONDS + 1)) <= set(catalog.SECONDS)
