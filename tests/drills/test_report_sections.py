"""What reports show of notices, restorations and the end of an API: each figure, its evidence, and fitting words."""

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from drills.alarm_readings import notice_rows, restore_rows, told_rows
from drills.chart import draw
from drills.errors import ScenarioError
from drills.journal import Journal, load_journal, save_journal
from drills.report import render_all, render_csv, render_html, render_junit, render_markdown
from drills.scenario import list_scenarios, load_scenario
from drills.sections import basis_of, evidence_of
from drills.sunset_readings import client_rows, header_rows, stage_rows
from made_journals import bare, ended, held_and_back
from pages import Page

GOLDEN = Path(__file__).with_name("golden")
MADE = {"held and back": held_and_back, "ended": ended}


@pytest.fixture(params=MADE)
def made(request: pytest.FixtureRequest) -> Journal:
    return MADE[request.param]()


def test_who_was_held_and_who_was_told() -> None:
    first, again = notice_rows(held_and_back())
    assert (first.held, first.last_held, first.own, first.answered) == (3, 0.6, "3", 0.1)
    assert (again.call.again, again.held) == (True, 1)
    rows = told_rows(held_and_back())
    assert [(row.first.sink, row.about, row.attempts, row.acknowledged) for row in rows] == [
        (1, "a-holder", 1, 2.3),
        (1, "b-holder", 2, 2.95),
        (2, "x", 1, None),
    ]


def test_who_came_back_when_in_the_order_in_which_they_came() -> None:
    (one,) = restore_rows(held_and_back())
    assert [(row.accessor, row.back, row.batch, row.due) for row in one.backs] == [
        ("b", 0.2, 1, 0.0),
        ("a", 0.3, 1, 0.0),
        ("c", None, None, None),
    ]
    assert (one.back, one.last) == (2, 0.3)
    markdown = render_markdown(held_and_back())
    assert "| b-holder | b | 2.600 s | 1 | +0.000 s | +0.200 s | 30 |" in markdown
    assert "| c-holder | c | 2.700 s |  |  | not seen |  |" in markdown
    assert "| 1 | credential-change | b-holder | 2.400 s | 2.950 s | 2 | set_2 |" in markdown
    assert "| 2 | credential-compromise | x | 2.600 s | no | 1 | set_3 |" in markdown


def test_which_client_was_sent_what_and_who_calls_on() -> None:
    rows = client_rows(ended())
    assert [row.seen.principal for row in rows] == ["asleep", "reader", "watchful"]
    asleep = rows[0]
    assert (len(asleep.browned), len(asleep.on_after), len(asleep.ended), asleep.calls_on) == (2, 2, 2, True)
    assert [row.headers for row in rows] == ["Deprecation", "Deprecation, Sunset", "Deprecation, Sunset"]
    stages = [(row.name, len(row.calls), row.answers, row.headed) for row in stage_rows(ended())]
    assert stages == [
        ("before the announcement", 3, "200: 3", 0),
        ("announced", 3, "200: 3", 3),
        ("brown-out 1 (503)", 3, "503: 3", 3),
        ("announced", 1, "200: 1", 1),
        ("after the end", 2, "410: 2", 2),
    ]
    assert [(row.name, row.clients, row.answers) for row in header_rows(ended())] == [
        ("Deprecation", 3, 3),
        ("Sunset", 2, 2),
    ]
    markdown = render_markdown(ended())
    assert "| asleep | nothing | 7 | Deprecation | 5.500 s | 2 | 2 | 2 | calls on |" in markdown
    assert "| reader | the headers | 2 | Deprecation, Sunset | 5.000 s | 0 | 0 | 0 | 5.010 s |" in markdown


def test_every_figure_leads_to_its_evidence(made: Journal) -> None:
    page = Page(render_html(made))
    inside = {value.removeprefix("#") for name, value in page.attributes if name == "href"}
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert inside <= set(ids)
    assert {each.anchor for each in evidence_of(made)} <= inside
    named = {number for each in evidence_of(made) for number in each.requests}
    assert named <= {each.n for each in made.exchanges}
    assert len(named) > 8


def test_the_words_fit_the_plot(made: Journal) -> None:
    for text in (render_markdown(made), render_html(made)):
        assert "leaked" not in text.lower().replace("nothing leaks", "")
        assert "press reports" not in text
        assert "Surfaces</h2>" not in text
    first = render_markdown(made).split("**Verdict:")[0]
    wanted = {
        "notice": "| Who came back by m2? | 2 of 3, the last 0.3 s after it was asked for. |",
        "sunset": "| Who calls on after the end? | asleep: 2 calls. |",
    }
    assert wanted[made.scenario.scenario.plot] in first
    assert "\n1. " in first


def test_the_timeline_and_junit_have_them_too() -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(held_and_back()))))
    assert [row["id"] for row in rows if row["kind"] == "back"] == ["b", "a"]
    assert [row["id"] for row in rows if row["kind"] == "told"] == ["sink 1", "sink 1", "sink 2"]
    rows = list(csv.DictReader(io.StringIO(render_csv(ended()))))
    assert "calls on: 2 calls after the end" in [row["text"] for row in rows if row["id"] == "asleep"]
    cases = {
        each.attrib["name"]: each for each in ElementTree.fromstring(render_junit(held_and_back())).iter("testcase")
    }
    assert list(cases["1-m1"]) == []
    (error,) = cases["1-m2"]
    assert (error.tag, error.attrib["message"]) == ("error", "2 of 3 tokens back, status 202")


def test_rendering_them_again_gives_the_same_bytes(made: Journal, tmp_path: Path) -> None:
    save_journal(made, tmp_path / "journal.json")
    assert load_journal(tmp_path / "journal.json") == made
    first = {name: path.read_bytes() for name, path in render_all(tmp_path / "journal.json", tmp_path / "a").items()}
    again = {name: path.read_bytes() for name, path in render_all(tmp_path / "journal.json", tmp_path / "b").items()}
    assert first == again


@pytest.mark.parametrize("name", ["september-2026-sunset", "november-2024"])
def test_no_mark_of_the_picture_runs_into_anothers_words(name: str) -> None:
    chart = draw(bare(name))
    assert chart is not None
    boxes = []
    for mark in chart.marks:
        width = 6.3 * len(mark.text)
        left = mark.x if mark.anchor == "start" else mark.x - width
        boxes.append((left, left + width, mark.text_y - 11, mark.text_y))
    assert len(boxes) >= 2
    for number, (left, right, top, bottom) in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top, chart.marks


def test_an_end_that_was_never_announced_says_so() -> None:
    text = render_markdown(ended(sunset=None))
    assert "The end was never announced." in text
    assert "<svg" in render_html(ended(sunset=None))


@pytest.mark.parametrize("name", [one.name for one in list_scenarios()])
def test_only_what_the_press_reported_is_called_a_reconstruction(name: str) -> None:
    plays, press = load_scenario(name), "a reconstruction from press reports"
    journal = bare(name)
    words = basis_of(journal)
    assert (press in words) == (name == "november-2024")
    if press in words:
        assert "reported" in {fact.status for fact in journal.facts.facts}
    if name != "november-2024":
        sourced = any(fact.sources for fact in plays.own_facts)
        assert ("everything in it is invented" in words) == (not sourced)


def test_a_reconstruction_needs_facts_that_are_reported(tmp_path: Path) -> None:
    given = yaml.safe_load((Path(__file__).with_name("notices.yaml")).read_text(encoding="utf-8"))
    given["scenario"]["basis"] = "press_reports"
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(given), encoding="utf-8")
    with pytest.raises(ScenarioError, match="press_reports needs facts that are reported; none is named"):
        load_scenario(file)
