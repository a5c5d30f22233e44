"""One scenario under three cuts, in virtual time: the same leak, another price."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from drills.compare import TITLES, Comparison, render_comparison, variants
from drills.errors import ScenarioError
from drills.journal import load_journal
from drills.runner import DrillResult, run_drill
from drills.scenario import Scenario, load_scenario
from drills.testing import MemoryGateway, run_virtual
from gateway.cli import program
from live import leakdrill

HERE = Path(__file__).parent
SMALL = load_scenario(HERE / "small.yaml")


def play(out: Path) -> Comparison:
    async def work(name: str, scenario: Scenario) -> DrillResult:
        target, gateway = "http://memory", MemoryGateway()
        return await run_drill(
            scenario, target=target, admin_token="admin", out=out / name, transport=gateway, wall=lambda: 1e9
        )

    for name, scenario in variants(SMALL).items():
        run_virtual(work(name, scenario))
    paths = render_comparison({name: out / name for name in TITLES}, out)
    return Comparison.model_validate_json(paths["comparison.json"].read_bytes())


def test_each_cut_contains_and_costs_more_than_the_one_before(tmp_path: Path) -> None:
    found = play(tmp_path)
    assert [one.id for one in found.columns] == ["leaked-token", "cohort", "pause-all"]
    assert [one.verdict for one in found.columns] == ["contained"] * 3, [one.reasons for one in found.columns]
    assert [one.colleagues_denied for one in found.columns] == [0, 4, 4]
    assert [one.bystanders_denied for one in found.columns] == [0, 0, 2]
    assert [one.tokens_revoked for one in found.columns] == [3, 7, 9]
    assert all(one.closed == one.surfaces > 0 for one in found.columns)
    html, markdown = (tmp_path / "comparison.html").read_text(), (tmp_path / "comparison.md").read_text()
    assert html.count("<svg") == 1
    assert "pause all: contained: closed 8 of 8; uninvolved tokens cut: 6 of 6." in html
    assert "| Others who lost access | 0 of 2 | 0 of 2 | 2 of 2 |" in markdown
    assert all((tmp_path / name / "journal.json").exists() for name in TITLES)


@pytest.mark.parametrize("name", ["false-alarm", "september-2026-sunset", str(HERE / "notices.yaml")])
def test_a_plot_without_a_cut_is_refused_before_anything_starts(tmp_path: Path, name: str) -> None:
    scenario = load_scenario(name)
    with pytest.raises(ScenarioError, match=f"plot {scenario.scenario.plot}.*nothing can be cut"):
        variants(scenario)
    done = CliRunner().invoke(program, ["drill", "compare", name, "--out", str(tmp_path / "out")])
    assert (done.exit_code, "nothing can be cut" in done.output) == (2, True)
    assert not (tmp_path / "out").exists()


def test_in_the_place_of_a_notice_a_revocation_is_sent() -> None:
    found = variants(load_scenario("one-token-on-github"))
    assert {one.containment.by for one in found.values()} == {"revocation"}
    for one in found.values():
        assert "notice_to_dead" not in {each.measured_by for each in one.objectives}
        assert {line.objective for line in one.msel} <= {each.id for each in one.objectives}
        assert Scenario.model_validate_json(one.model_dump_json()) == one
    assert found["leaked-token"].containment.selector.label == "leaked"


def test_the_notices_of_a_leak_are_sent_in_each_cut(tmp_path: Path) -> None:
    """A notice about a token that nobody holds comes before the cut; it needs a key, and changes nothing."""
    given = yaml.safe_load((HERE / "small.yaml").read_text(encoding="utf-8"))
    line = next(each for each in given["msel"] if each["inject"] == "leak_posted")
    about = {"about": "unknown", "found_in": "commit"}
    given["msel"].append({**line, "id": "m9", "inject": "disclosure", "notice": about})
    file = tmp_path / "scenario.yaml"
    file.write_text(yaml.safe_dump(given), encoding="utf-8")
    done = leakdrill("drill", "compare", str(file), "--speed", "300", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in TITLES:
        journal = load_journal(tmp_path / "out" / name / "journal.json")
        assert [(call.outcome, call.true_positives) for call in journal.notices] == [("taken", 0)]
    assert (tmp_path / "out" / "comparison.html").exists()


def test_two_comparisons_are_the_same_to_the_byte(tmp_path: Path) -> None:
    play(tmp_path / "a")
    play(tmp_path / "b")
    for name in ("comparison.html", "comparison.md", "comparison.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
