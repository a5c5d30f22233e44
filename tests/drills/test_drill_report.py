"""Reports of a hand-made journal: golden files, figures at the edges, and what must never be in them.

After a deliberate change, write the golden files again:
`leakdrill drill report tests/drills/golden/journal.json --out tests/drills/golden`.
"""

import csv
import io
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from drills.journal import Journal, JournalError, load_journal, save_journal
from drills.metrics import measure
from drills.oracle import RevokeCall, Verdict
from drills.proofs import TALLIES, proofs_of
from drills.ratings import Letter, Rating, Ratings, add_rating
from drills.report import render_all, render_csv, render_html, render_junit, render_markdown
from drills.topology import ReplicaSeen

GOLDEN = Path(__file__).with_name("golden")


def changed(**update: Any) -> Journal:
    return load_journal(GOLDEN / "journal.json").model_copy(update=update)


def test_rendering_a_journal_gives_the_golden_bytes(tmp_path: Path) -> None:
    paths = render_all(GOLDEN / "journal.json", tmp_path)
    assert sorted(paths) == ["junit.xml", "report.html", "report.md", "timeline.csv"]
    for name, path in paths.items():
        assert path.read_bytes() == (GOLDEN / name).read_bytes(), name


def test_a_journal_reads_back_as_it_was_written(tmp_path: Path) -> None:
    journal = changed()
    save_journal(journal, tmp_path / "deep" / "journal.json")
    assert load_journal(tmp_path / "deep" / "journal.json") == journal
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["journal.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not a drill journal: the file"), ("{}", "not a drill journal: status: Field required")],
)
def test_a_bad_journal_is_told_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "journal.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JournalError, match=words) as caught:
        render_all(path, tmp_path)
    assert caught.value.exit_code == 2
    with pytest.raises(JournalError, match="cannot be read"):
        load_journal(tmp_path / "nowhere.json")


def test_every_msel_line_is_in_every_report_with_status_and_sources() -> None:
    journal = changed()
    for text in (render_markdown(journal), render_html(journal), render_csv(journal)):
        for line in journal.scenario.msel:
            assert line.id in text
        assert all(word in text for word in ("derived", "invented", "S3"))
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(render_csv(journal)))}
    assert (rows["m3"]["scripted"], rows["m3"]["replay_clock"], rows["m3"]["status"]) == (
        "08:54",
        "08:54:00",
        "invented",
    )
    assert rows["m4"]["real_seconds"] == ""


def test_reports_are_marked_as_exercise_and_show_both_durations() -> None:
    for text in (render_markdown(changed()), render_html(changed())):
        assert text.count("EXERCISE") >= 2
        assert "180" in text
        assert "210" in text


class Outside(HTMLParser):
    """Collects every address that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]


def test_html_fetches_nothing_and_escapes_words_of_the_scenario() -> None:
    html = render_html(changed(error="<script>alert(1)</script>"))
    parser = Outside()
    parser.feed(html)
    assert [address for address in parser.found if not address.startswith("#")] == []
    assert not {"script", "link", "iframe", "img"} & set(parser.tags)
    assert "&lt;b&gt;markup&lt;/b&gt;" in html
    assert "@import" not in html


def parsed(html: str) -> Outside:
    parser = Outside()
    parser.feed(html)
    return parser


def test_every_figure_leads_to_its_evidence_and_that_to_requests_of_the_journal() -> None:
    journal = several()
    found = parsed(render_html(journal))
    inside = [address.removeprefix("#") for address in found.found]
    assert len(inside) > 100
    assert set(inside) <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    proofs = proofs_of(journal)
    assert {each.anchor for each in proofs} <= set(inside)  # none that no figure points to
    named = {number for each in proofs for number in each.requests}
    known = {each.n for each in journal.exchanges}
    assert named <= known
    assert {f"r-{number}" for number in named} <= set(found.ids)


def test_the_evidence_has_as_many_requests_as_the_figure_says() -> None:
    journal = changed()
    metrics, of = measure(journal), {each.id: each.of for each in proofs_of(journal)}
    assert metrics.before is not None
    assert metrics.after is not None
    for side, tally in (("before", metrics.before), ("after", metrics.after)):
        assert {name: of[f"{side}-{name}"] for name, _, _ in TALLIES} == tally.model_dump()
    assert of["fetched"] == metrics.clips_fetched
    assert of["leaked-used"] == metrics.leaked_tokens_used


def test_the_first_page_says_it_in_one_minute() -> None:
    markdown = render_markdown(changed())
    first = markdown[: markdown.index("**Verdict:")]
    assert "## In one minute: Not contained" in first
    assert "1 use of the leaked access went through after it was said to be cut." in first
    assert "Open: signed_link. Closed: 7 of 8." in first
    assert "Nobody: none of 2 uninvolved tokens was refused." in first
    assert [line[:3] for line in first.splitlines() if line[1:3] == ". "] == ["1. ", "2. ", "3. "]
    assert len(first.split()) < 260
    held = render_markdown(changed(verdict=Verdict(verdict="inconclusive", reasons=["no revocation was sent"])))
    assert "Whether the leaked access was cut off is not known: no revocation was sent." in held


HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)> [a](javascript:alert(1)) | ``` ' + "w" * 900


def hostile() -> Journal:
    journal = changed()
    scenario = journal.scenario
    lines = [line.model_copy(update={"text": HOSTILE}) for line in scenario.msel]
    objectives = [each.model_copy(update={"text": HOSTILE}) for each in scenario.objectives]
    traffic = scenario.population.traffic.model_copy(update={"prompts": [HOSTILE]})
    identity = scenario.scenario.model_copy(update={"title": HOSTILE, "summary": HOSTILE})
    population = scenario.population.model_copy(update={"traffic": traffic})
    scenario = scenario.model_copy(
        update={"msel": lines, "objectives": objectives, "scenario": identity, "population": population}
    )
    exchanges = [each.model_copy(update={"who": HOSTILE, "path": HOSTILE}) for each in journal.exchanges]
    offences = [one.model_copy(update={"who": HOSTILE}) for one in journal.verdict.offences]
    verdict = journal.verdict.model_copy(update={"offences": offences, "reasons": [HOSTILE]})
    return journal.model_copy(
        update={"scenario": scenario, "exchanges": exchanges, "verdict": verdict, "error": HOSTILE, "target": HOSTILE}
    )


def test_long_names_and_tags_are_shown_as_text() -> None:
    ratings = Ratings(journal="0", ratings=[rating("o4", "U", by=HOSTILE[:200], note=HOSTILE)])
    html, markdown = render_html(hostile(), ratings), render_markdown(hostile(), ratings)
    found = parsed(html)
    assert not {"script", "img"} & set(found.tags)
    assert all(address.startswith("#") for address in found.found)
    assert not any(tag in markdown for tag in ("<script", "<img", " [a]("))
    assert "```" not in markdown.replace("\\`", "")
    for line in markdown.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def rating(objective: str, letter: Letter, by: str = "E", note: str = "") -> Rating:
    return Rating(objective=objective, rating=letter, by=by, note=note, at=datetime(2026, 1, 2, tzinfo=UTC))


def test_ratings_stand_beside_the_journal_and_in_the_report(tmp_path: Path) -> None:
    path, when = tmp_path / "journal.json", datetime(2026, 1, 2, tzinfo=UTC)
    path.write_bytes((GOLDEN / "journal.json").read_bytes())
    known = [each.id for each in changed().scenario.objectives]
    for letter, by in (("U", "Ann"), ("S", "Bob"), ("P", "Ann")):
        add_rating(path, known, objective="o4", rating=letter, by=by, note="why", at=when)  # type: ignore[arg-type]
    assert path.read_bytes() == (GOLDEN / "journal.json").read_bytes()
    first = {name: each.read_bytes() for name, each in render_all(path, tmp_path / "a").items()}
    again = {name: each.read_bytes() for name, each in render_all(path, tmp_path / "b").items()}
    assert first == again
    assert "P Ann: why; S Bob: why" in first["report.md"].decode()
    assert "<strong>P</strong> Ann: why" in first["report.html"].decode()
    assert first["junit.xml"] == (GOLDEN / "junit.xml").read_bytes()
    with pytest.raises(JournalError, match="no objective o9; it has o1, o2, o3, o4"):
        add_rating(path, known, objective="o9", rating="P", by="Ann", note="", at=when)
    save_journal(changed(seed=8), path)
    with pytest.raises(JournalError, match="ratings of another journal"):
        render_all(path, tmp_path / "a")


def several() -> Journal:
    """The hand-made journal as if two gateways had been asked, of which the second one remembers."""
    replicas = [
        ReplicaSeen(name="r1", url="http://a.test", consistency="strict"),
        ReplicaSeen(name="r2", url="http://b.test", consistency="cache-ttl", seconds=60, defects=["link-outlives"]),
    ]
    verdict = changed().verdict
    submit = next(one for one in verdict.surfaces if one.surface == "submit")
    late = {"after": "alive", "lag": 2.5, "accepted_after": 3, "still_accepted": True, "first_refused": None}
    surfaces = [
        submit.model_copy(update={"replica": "r1"}),
        submit.model_copy(update={"replica": "r2", **late}),
        *(one for one in verdict.surfaces if one.surface.endswith("_job")),
    ]
    offences = [one.model_copy(update={"replica": "r2", "invariants": ["I4"]}) for one in verdict.offences]
    return changed(replicas=replicas, verdict=verdict.model_copy(update={"surfaces": surfaces, "offences": offences}))


def test_every_report_shows_surfaces_replicas_and_lag() -> None:
    journal = several()
    markdown, html = render_markdown(journal), render_html(journal)
    assert "| r2 | http://b.test | cache-ttl | 60 s | link-outlives |" in markdown
    assert "| Surface | r1 | r2 | all |\n|---|---|---|---|\n" in markdown
    assert "| submit | dead, refused from +0.05 s | alive: 2.500 s or more |  |" in markdown
    assert "| I4 | late_accept | signed_link | r2 |" in markdown
    for cell in ("submit@r2", "alive: 2.500 s or more", "http://b.test", "I4"):
        assert cell in html
    cases = {case.attrib["name"]: case for case in ElementTree.fromstring(render_junit(journal)).iter("testcase")}
    failure = cases["submit@r2"].find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "after the revocation: alive, lag 2.500 s or more"
    assert cases["submit@r1"].find("failure") is None
    assert cases["poll"].find("skipped") is not None
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(render_csv(journal))) if row["kind"] == "surface"}
    assert rows["submit@r2"]["text"] == "last accepted use, revocation lag 2.500 s or more"
    assert rows["submit@r1"]["text"] == "first refused use, dead"


def test_a_journal_of_one_gateway_has_no_matrix() -> None:
    assert "## Replicas" not in render_markdown(changed())
    assert "Each surface of each replica" not in render_html(changed())


def test_most_offences_are_left_to_the_journal() -> None:
    verdict = changed().verdict
    journal = changed(verdict=verdict.model_copy(update={"offences": verdict.offences * 300}))
    for text in (render_markdown(journal), render_html(journal)):
        assert "the first 200 of 300; the journal has all" in text


def test_junit_counts_what_it_lists() -> None:
    root = ElementTree.fromstring(render_junit(changed()))
    suite = root[0]
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[name]) == len(suite.findall(f"testcase/{tag}"))
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))


def test_junit_calls_an_unknown_outcome_an_error_and_not_a_failure() -> None:
    verdict = Verdict(verdict="inconclusive", reasons=["no revocation was sent"])
    journal = changed(revoke=None, verdict=verdict, status="failed", error="it broke", checks=[])
    cases = {case.attrib["name"]: case for case in ElementTree.fromstring(render_junit(journal)).iter("testcase")}
    assert cases["failed"].find("error") is not None
    assert cases["o1"].find("error") is not None
    assert cases["ready"].find("skipped") is not None
    assert cases["submit"].find("skipped") is not None


def test_metrics_of_the_hand_made_journal() -> None:
    metrics = measure(changed())
    assert metrics.before is not None
    assert metrics.after is not None
    assert (metrics.before.accepted, metrics.before.refused) == (10, 0)
    assert (metrics.after.accepted, metrics.after.refused, metrics.after.submits_refused) == (1, 7, 2)
    assert metrics.published_to_last_accepted.seconds == 5.9
    assert metrics.published_to_last_accepted.replay_minutes == 29.5
    assert metrics.published_to_surfaces_dead.seconds is None
    assert (metrics.call_to_acknowledged, metrics.last_accepted_after_ack) == (0.15, 0.95)
    assert (metrics.greatest_lag, metrics.queue_peak, metrics.queue_empty_after_ack) == (0.95, 1, 0.55)
    assert (metrics.clips_fetched, metrics.bytes_fetched) == (4, 16000)


def test_what_is_unknown_is_none_and_never_zero() -> None:
    verdict = Verdict(verdict="inconclusive", reasons=["the revocation may or may not have happened"])
    revoke = RevokeCall(start=5.8, end=25.8, outcome="unknown", status=None)
    metrics = measure(changed(revoke=revoke, verdict=verdict, samples=[], replay_zero=None))
    unknown = metrics.model_dump(
        include={
            "before", "after", "jobs_queued_stopped", "jobs_running_stopped", "tokens_revoked", "greatest_lag",
            "call_to_acknowledged", "last_accepted_after_ack", "first_refused_after_ack", "queue_peak",
            "queue_empty_after_ack",
        }
    )  # fmt: skip
    assert set(unknown.values()) == {None}
    assert metrics.collateral.denied_after is None
    assert "unknown" in render_markdown(changed(revoke=revoke, verdict=verdict, replay_zero=None))


def test_a_failed_drill_still_has_reports() -> None:
    verdict = Verdict(verdict="inconclusive", reasons=["the drill failed: x", "no revocation was sent"])
    bare = changed(
        status="failed", error="x", revoke=None, verdict=verdict, replay_zero=None, checks=[], tokens=[], exchanges=[],
        actions=[], samples=[], jobs=None, preview=None,
        msel=[played.model_copy(update={"fired": None}) for played in changed().msel],
    )  # fmt: skip
    assert "not judged" in render_markdown(bare)
    assert "<svg" not in render_html(bare)
    assert render_csv(bare).count("\n") == 5
