"""The class material: its facts, its times, who gets what, and how it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drills.errors import ScenarioError
from drills.facts import load_facts
from drills.handouts import Handout, load_handouts, shown_source, write_handouts
from drills.scenario import load_scenario

ROOT = Path(__file__).parents[2]
SHEETS = {sheet.name: sheet for sheet in load_handouts()}
BOOK = load_facts()
DISAGREEMENTS = {one.id: one for one in BOOK.disagreements}
LINK = re.compile(r"\]\(([^) ]+)(?: \"[^\"]*\")?\)")


def test_the_lesson_has_all_its_sheets_and_an_index_of_them() -> None:
    assert {name: sheet.audience for name, sheet in SHEETS.items()} == {
        "hotwash": "students",
        "injects": "both",
        "paper": "instructor",
        "plan": "instructor",
        "questions": "students",
        "roles": "students",
        "sources": "students",
        "sources-key": "instructor",
    }
    index = (ROOT / "docs" / "class" / "README.md").read_text()
    assert {f"{name}.md" for name in SHEETS} <= set(LINK.findall(index))


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "class").glob("*.md")), ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text()):
        assert (path.parent / target).is_file(), target


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS)
def test_every_fact_that_a_sheet_names_is_in_the_book_and_shown_as_there(sheet: Handout) -> None:
    for one in sheet.references():
        if one.shown.startswith("question "):
            assert one.fact in DISAGREEMENTS
        else:
            assert one.shown == shown_source(BOOK, one.fact), one.fact


def test_the_sheets_rest_on_facts() -> None:
    with_facts = {name: {one.fact for one in sheet.references()} for name, sheet in SHEETS.items()}
    for name in ("plan", "roles", "injects", "questions", "sources-key", "paper"):
        assert len(with_facts[name]) >= 2, name
    assert len(set().union(*with_facts.values())) > 25


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS)
def test_every_time_of_the_morning_says_what_it_rests_on(sheet: Handout) -> None:
    prose = re.sub(r"^```.*?^```$", "", sheet.text, flags=re.MULTILINE | re.DOTALL)
    for part in re.split(r"\n\n|\n(?=\||- |\d\. )", prose):
        words = " ".join(re.sub(r"\]\([^)]*\)", "]", part).split())
        for found in re.finditer(r"\d?\d:\d\d|\bnoon\b", words, re.IGNORECASE):
            assert words[: found.start()].lower().endswith("about "), words
            assert re.search(r"invented|claimed|reported|derived|commit log|rests on one|\bS[0-4]\b", words), words


def test_the_two_lengths_of_the_morning_are_explained() -> None:
    facts = {one.id: one.value for one in BOOK.facts}
    assert (facts["three-hours"], facts["three-and-a-half-hours"]) == (180, 210)
    plan = SHEETS["plan"].text
    for word in ("**180 minutes**", "**210 minutes**", "may time two different things", "Give a\nrange"):
        assert word in plan or word.replace("\n", " ") in plan, word
    assert {"three-hours", "three-and-a-half-hours", "published-0830", "ended-about-noon"} <= {
        one.fact for one in SHEETS["plan"].references()
    }


def test_there_are_eight_inject_cards_with_the_times_of_the_replay() -> None:
    cards = re.split(r"^## Card ", SHEETS["injects"].text, flags=re.MULTILINE)[1:]
    assert [card[0] for card in cards] == list("12345678")
    scenario = load_scenario("november-2024")
    lines = {line.id: line for line in scenario.lines()}
    # The replay has one line more: when three hours are over, which is a claim about another clock.
    for card, id in zip(cards, ("m1", "m2", "m3", "m4", "m5", "m7", "m8", "m9"), strict=True):
        minute = scenario.minute(lines[id])
        assert minute is not None
        assert f"**Replay time:** about {scenario.time_at(minute):%H:%M}, " in card
        assert f"Replay minute {minute:g}." in card
        for part in ("**Says:**", "**Expected action:**", "**Basis:**"):
            assert card.count(part) == 1
        invented = lines[id].time_status == "invented"
        assert ("the minute is invented" in card, "the time is invented" in card) == (invented, invented)


def test_the_source_sheet_has_every_disagreement_and_each_position() -> None:
    sheet, key = SHEETS["sources"].text, SHEETS["sources-key"]
    assert len(DISAGREEMENTS) == 8
    for number, one in enumerate(BOOK.disagreements, 1):
        assert f"## {number}. {one.question}" in sheet
        assert f"## {number}. {one.question}" in key.text
        for position in one.positions:
            assert f"| {position.says} | {' '.join(position.sources)} | |" in sheet
    answered = [one.fact for one in key.references() if one.shown.startswith("question ")]
    assert answered == list(DISAGREEMENTS)


def test_students_get_no_key_and_nothing_private(tmp_path: Path) -> None:
    written = write_handouts(tmp_path)
    students = {path.stem: path.read_text(encoding="utf-8") for path in written if path.parent.name == "students"}
    instructor = {path.stem: path.read_text(encoding="utf-8") for path in written if path.parent.name == "instructor"}
    assert set(students) == {"hotwash", "injects", "questions", "roles", "sources"}
    assert set(instructor) == {"injects", "paper", "plan", "sources-key"}
    secrets = [line for line in SHEETS["sources-key"].text.splitlines() if len(line) > 60]
    secrets += re.findall(r"\*\*Expected action:\*\* (.+)", SHEETS["injects"].text)
    assert len(secrets) > 16
    for text in students.values():
        assert "FOR STUDENTS" in text
        assert "Expected action" not in text
        assert [secret for secret in secrets if secret in text] == []
    for text in instructor.values():
        assert "FOR THE INSTRUCTOR ALONE" in text
    assert instructor["injects"].count("Expected action") == 8


def test_a_printed_sheet_fetches_nothing_and_keeps_its_sources(tmp_path: Path) -> None:
    for path in write_handouts(tmp_path / "new" / "folder"):
        html = path.read_text(encoding="utf-8")
        assert re.findall(r"(?:src|href)=|@import|url\(|<script", html) == [], path
        assert "@media print" in html
        assert "S3 Ars Technica, 27 November 2024" in html
        assert "<!-- " not in html.replace("<!doctype", "")
    roles = (tmp_path / "new" / "folder" / "students" / "roles.html").read_text(encoding="utf-8")
    assert '<span class="from">[claimed, S3]</span>' in roles


def test_html_in_a_sheet_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.md").write_text("<!-- for: students -->\n# <script>x</script>\n\n<b>y</b> [z](javascript:1)\n")
    monkeypatch.setattr("drills.handouts._folder", lambda: tmp_path)
    (page,) = write_handouts(tmp_path / "out")
    html = page.read_text()
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "&lt;b&gt;y" in html


def test_a_sheet_that_does_not_say_who_gets_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.md").write_text("# A sheet\n")
    monkeypatch.setattr("drills.handouts._folder", lambda: tmp_path)
    with pytest.raises(ScenarioError, match=r"x\.md:1: expected <!-- for: students -->"):
        load_handouts()
