"""Words of files, servers and evaluators stay words in every report: nothing leaves its cell, and nothing runs."""

import csv
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import xmlschema

from drills.briefing import facilitators_sheet, players_sheet
from drills.compare import render_comparison
from drills.facts import load_facts
from drills.journal import Journal, load_journal, save_journal
from drills.look import in_csv, in_markdown
from drills.ratings import Rating, Ratings
from drills.report import render_csv, render_html, render_junit, render_markdown
from drills.runbook_record import RunbookRecord, StepRun
from drills.runner import DrillResult
from drills.scenario import load_scenario
from drills.topology import ReplicaSeen
from gateway.commands.drill import tell
from hostile import HOSTILE, hostile, poisoned
from made_journals import ended, held_and_back
from pages import Page, read, shape, written

HERE = Path(__file__).parent
JUNIT = xmlschema.XMLSchema(HERE / "junit.xsd")
STEP = StepRun(
    step="cut", type="action", owner="on-call", text="POST /control/revocations", does="revoke", branch="left",
    started=1.0, took=0.5, by="A", expected="200", got="200", outcome="ok", status=200, output="done\nand done",
    next="end",
)  # fmt: skip
RUNBOOK = RunbookRecord(
    name="mine", file="mine.yaml", description="Cut one.", owner="on-call", findings=["revoke-unverified"], started=1.0,
    ended=2.0, ended_as="failed", why="it broke", steps=[STEP], planned=["cut", "verify"],
)  # fmt: skip
# What the drill itself writes, and looks other things up by; whatever else is text is hostile.
KEPT = frozenset(
    {"Exchange.surface", "Exchange.method", "Offence.surface", "SurfaceResult.surface", "Check.id", "Played.line",
     "Clip.model", "Fact.unit"}
)  # fmt: skip


def journal() -> Journal:
    """The hand-made journal with everything that a report can show."""
    replicas = [
        ReplicaSeen(name=name, url=f"http://{name}.test", consistency="strict", seconds=None) for name in ("r1", "r2")
    ]
    found = load_journal(HERE / "golden" / "journal.json")
    surfaces = [one.model_copy(update={"replica": "r2"}) for one in found.verdict.surfaces]
    verdict = found.verdict.model_copy(update={"surfaces": surfaces})
    return found.model_copy(
        update={"runbook": RUNBOOK, "replicas": replicas, "verdict": verdict, "error": "x", "defects": ["fail-open"]}
    )


def ratings(words: str = "late") -> Ratings:
    rating = Rating(objective="o4", rating="U", by=words[:200], note=words, at=datetime(2026, 1, 2, tzinfo=UTC))
    return Ratings(journal="0", ratings=[rating])


def shown(text: str) -> str:
    """A text as a reader sees it: on one line, with a sign for what would not be seen."""
    return re.sub("[\x00-\x1f\x7f-\x9f\u202e]", "\ufffd", re.sub(r"\s+", " ", text))


@pytest.fixture(params=[journal, held_and_back, ended])
def any_journal(request: pytest.FixtureRequest) -> Journal:
    made: Journal = request.param()
    return made


def test_markdown_keeps_its_shape_and_shows_the_words(any_journal: Journal) -> None:
    bad = render_markdown(poisoned(any_journal, KEPT), ratings(HOSTILE))
    plain = render_markdown(any_journal, ratings())
    tokens = read(bad)
    assert shape(bad) == shape(plain)
    assert not {"html_block", "html_inline", "link_open", "image", "code_inline"} & {token.type for token in tokens}
    assert written(tokens).count(shown(HOSTILE).strip()[:200]) > 30


def test_a_runbooks_name_is_shown_as_it_is() -> None:
    assert shown(hostile("mine")) in written(read(render_markdown(poisoned(journal(), KEPT))))


def test_a_programs_output_stays_in_its_block() -> None:
    step = STEP.model_copy(update={"output": f"{HOSTILE}\n\n\n  <b>\n\t`"})
    book = RUNBOOK.model_copy(update={"steps": [step]})
    tokens = read(render_markdown(journal().model_copy(update={"runbook": book})))
    blocks = [token.content for token in tokens if token.type == "code_block"]
    assert len(blocks) == 1
    assert "<script>alert(1)</script>" in blocks[0]
    assert "\x1b" not in blocks[0]


def test_html_keeps_its_tags_and_shows_the_words(any_journal: Journal) -> None:
    plain = Page(render_html(any_journal, ratings()))
    bad = Page(render_html(poisoned(any_journal, KEPT), ratings(HOSTILE)))
    assert set(bad.tags) == set(plain.tags)
    assert not {"script", "img", "code"} & set(bad.tags)
    assert [value for name, value in bad.attributes if name == "href" and not value.startswith("#")] == []
    assert {name for name, _ in bad.attributes} == {name for name, _ in plain.attributes}
    assert "<script>alert(1)</script>" in bad.words
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", bad.words)
    ids = [value for name, value in bad.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value.removeprefix("#") for name, value in bad.attributes if name == "href"} <= set(ids)


def test_no_cell_of_the_timeline_is_a_formula_or_a_second_line(any_journal: Journal) -> None:
    text = render_csv(poisoned(any_journal, KEPT))
    rows = list(csv.reader(io.StringIO(text)))
    assert {len(row) for row in rows} == {12}
    assert text.count("\n") == len(rows)
    assert not [cell for row in rows for cell in row[2:] if cell.lstrip()[:1] in ("=", "+", "-", "@", "\t")]
    assert any(cell.startswith("'=HYPERLINK(1) | a | b |") for row in rows for cell in row)


def test_no_word_of_a_server_moves_the_cursor_or_makes_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tell(DrillResult("completed", "inconclusive", [HOSTILE], 3, HOSTILE, tmp_path, {}))
    shown_there = "".join(capsys.readouterr())
    assert shown_there.count("HYPERLINK") == 2
    assert [line.strip()[:9] for line in shown_there.splitlines()] == ["verdict: ", "=HYPERLIN", "=HYPERLIN"]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown_there)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("=1+1", "'=1+1"), (" \t@SUM(A1)", "'@SUM(A1)"), ("-2+3", "'-2+3"), ("+1", "'+1"), ("\uff1d1", "'\uff1d1"),
        ("a=1", "a=1"), ("08:54:00", "08:54:00"), ("two\nlines", "two lines"), ("", ""),
    ],
)  # fmt: skip
def test_a_formula_is_text_to_a_spreadsheet(given: str, kept: str) -> None:
    assert in_csv(given) == kept


def test_junit_fits_its_schema_and_keeps_its_cases(any_journal: Journal) -> None:
    plain, bad = render_junit(any_journal), render_junit(poisoned(any_journal, KEPT))
    JUNIT.validate(bad.encode())
    before, after = ElementTree.fromstring(plain), ElementTree.fromstring(bad)
    assert [each.tag for each in after.iter()] == [each.tag for each in before.iter()]
    messages = "".join(each.attrib.get("message", "") for each in after.iter())
    assert "<script>alert(1)</script>" in messages or any_journal.scenario.scenario.plot == "sunset"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", messages)


def test_the_comparison_keeps_its_shape(tmp_path: Path) -> None:
    texts: dict[str, dict[str, str]] = {}
    for kind, one in (("plain", journal()), ("bad", poisoned(journal(), KEPT))):
        for cut in ("leaked-token", "cohort", "pause-all"):
            save_journal(one, tmp_path / kind / cut / "journal.json")
        folders = {cut: tmp_path / kind / cut for cut in ("leaked-token", "cohort", "pause-all")}
        paths = render_comparison(folders, tmp_path / kind)
        texts[kind] = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    assert Page(texts["bad"]["comparison.html"]).tags == Page(texts["plain"]["comparison.html"]).tags
    bad = texts["bad"]["comparison.md"]
    assert shape(bad) == shape(texts["plain"]["comparison.md"])
    assert shown(HOSTILE).strip() in written(read(bad))


def test_the_notes_of_a_scenario_keep_their_shape() -> None:
    scenario, book = load_scenario("november-2024"), load_facts()
    for name in ("november-2024", "september-2026-sunset"):
        scenario = load_scenario(name)
        book = scenario.book(load_facts())
        sheets: list[tuple[Any, Any]] = [
            (players_sheet(scenario), players_sheet(poisoned(scenario))),
            (facilitators_sheet(scenario, book), facilitators_sheet(poisoned(scenario), poisoned(book))),
        ]
        for plain, bad in sheets:
            assert shape(bad) == shape(plain)
            assert shown(HOSTILE).strip() in written(read(bad))


@pytest.mark.parametrize(
    "text",
    [
        "# a", "- a", "+ a", "1. a", "12) a", "> a", "---", "===", "~~~ a", "a_b", "_a_", "a*b*", "a\\", "\\|", "|",
        "a|b", "&lt;", "<a>", "[a](b)", "![a](b)", "`", "``a``", "a  b", " - a", "# ", "tok_1", "signed_link",
        "-0.05 s", "1.5 s",
    ],
)  # fmt: skip
def test_markdown_shows_each_text_as_it_is(text: str) -> None:
    alone = read(in_markdown(text))
    assert shape(in_markdown(text)) == ["paragraph_open", "paragraph_close"]
    assert written(alone) == " ".join(text.split())
    cell = read(f"| a |\n|---|\n| {in_markdown(text)} |\n")
    assert [token.type for token in cell].count("td_open") == 1
    assert written(cell) == "a" + " ".join(text.split())
