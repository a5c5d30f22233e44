"""Scenario and facts files: what is read, and how a fault is told."""

from pathlib import Path

import pytest

from drills.facts import load_facts
from drills.scenario import ScenarioError, list_scenarios, load_scenario

SMALL = Path(__file__).with_name("small.yaml")


def broken(tmp_path: Path, old: str, new: str) -> str:
    """The message for the small scenario with one place changed."""
    text = SMALL.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "bad.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    return str(caught.value).removeprefix(f"{path}:")


def test_shipped_scenarios_are_listed_with_titles() -> None:
    names = {each.name: each for each in list_scenarios()}
    assert names["november-2024"].minutes == 225
    assert names["november-2024"].title.startswith("November 2024")


def test_november_2024_runs_from_about_0830_to_about_noon() -> None:
    scenario = load_scenario("november-2024")
    published, ended = scenario.line_of("leak_posted"), scenario.line_of("access_ended")
    assert scenario.clock.start.isoformat() == "2024-11-26T08:30:00-05:00"
    assert (scenario.minute(published), published.time_status) == (0, "derived")
    assert (scenario.minute(ended), ended.time_status) == (210, "reported")
    timed = [minute for line in scenario.lines() if (minute := scenario.minute(line)) is not None]
    assert timed == sorted(timed)
    assert len(timed) == len(scenario.msel)


def test_times_that_the_sources_do_not_give_are_marked_invented() -> None:
    scenario = load_scenario("november-2024")
    timed = {line.id for line in scenario.msel if line.time_status != "invented"}
    assert timed == {"m1", "m6", "m7"}


def test_every_fact_has_sources_and_eight_questions_are_disputed() -> None:
    book = load_facts()
    assert all(fact.sources or fact.status in ("derived", "invented") for fact in book.facts)
    assert [source.id for source in book.sources] == ["S0", "S1", "S2", "S3", "S4"]
    assert len(book.disagreements) == 8


def test_unknown_key_names_line_and_nearest_word(tmp_path: Path) -> None:
    words = broken(tmp_path, "    expect: {action: verify}", "    expcet: {action: verify}")
    assert "msel[2].expcet: unknown key (did you mean expect?); allowed: id, at, when, inject" in words
    line = next(n for n, text in enumerate(SMALL.read_text().splitlines(), 1) if "{action: verify}" in text)
    assert any(part.startswith(f"{line}:") or f":{line}:" in part for part in words.splitlines())


def test_unknown_value_names_what_is_allowed(tmp_path: Path) -> None:
    words = broken(tmp_path, "inject: leak_posted", "inject: leak_post")
    assert "msel[0].inject: 'leak_post' is not allowed (did you mean leak_posted?); allowed: leak_posted," in words


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("    at: 10\n", "    at: -10\n", 'msel[1].at: expected replay minutes (0 or more) or a time such as "11:30"'),
        ("    at: 10\n", "    at: 31\n", "msel m2: at 31.0 lies outside the replay's 30 minutes"),
        ("    at: 10\n", "    at: 08:00\n", "msel m2: at 08:00 lies outside the replay's 30 minutes"),
        ("issue: 3", "issue: many", "population.cohorts[0].issue: input should be a valid integer"),
        ("seed: 7", "seed: 7\nseed: 8", "seed: written twice"),
        ("seed: 7", "", "seed: missing"),
        ("objective: o1", "objective: o9", "msel m3: no objective o9"),
        ("to: [on-call]", "to: [nobody]", "msel m1: no role nobody"),
        ("id: m2", "id: m1", "msel: id m1 is used twice"),
        ("inject: access_ended", "inject: message", "needs exactly one line with inject access_ended"),
        ("leaked: true", "leaked: false", "population: no cohort is leaked"),
        ("leaked: false", "leaked: true", "needed as bystanders"),
        ("selector: {cohort: alpha}", "selector: {all: true, cohort: alpha}", "give either all: true or cohort: NAME"),
        ("selector: {cohort: alpha}", "selector: {cohort: beta}", "containment: no cohort beta"),
        ("- {at: 30, weight: 3}", "- {at: 0, weight: 3}", "curve: minutes must rise"),
        ("[published-0830, three-hours", "[published-0831, three-hours", "not in seeds/facts.yaml: published-0831"),
        ("probe: ready, when: before", "probe: ready, when: after", "ready and bystander_job are asked before"),
        ("classification: EXERCISE", "classification: REAL", "allowed: EXERCISE"),
    ],
)  # fmt: skip
def test_faults_are_told_with_their_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert expected in broken(tmp_path, old, new)


def test_unquoted_time_stays_a_time(tmp_path: Path) -> None:
    path = tmp_path / "ok.yaml"
    path.write_text(SMALL.read_text(encoding="utf-8").replace("    at: 10\n", "    at: 08:45\n"), encoding="utf-8")
    scenario = load_scenario(path)
    assert scenario.minute(scenario.msel[1]) == 15


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty"),
        ("- a\n- b\n", "expected keys and values, found a list"),
        ("scenario: {id: x\nmsel: ]", "not YAML"),
        ("a: !!python/object:os.system {}", "not YAML"),
    ],
)
def test_files_that_are_no_documents(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match=expected):
        load_scenario(path)


def test_missing_file_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no such scenario or file; shipped scenarios: .*november-2024") as caught:
        load_scenario(tmp_path / "nowhere.yaml")
    assert caught.value.exit_code == 2


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="cannot be read as a text file"):
        load_scenario(path)
