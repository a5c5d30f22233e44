"""One scenario under three cuts, in virtual time: the same leak, another price."""

from pathlib import Path

from drills.compare import TITLES, Comparison, render_comparison, variants
from drills.runner import DrillResult, run_drill
from drills.scenario import Scenario, load_scenario
from drills.testing import MemoryGateway, run_virtual

SMALL = load_scenario(Path(__file__).with_name("small.yaml"))


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


def test_two_comparisons_are_the_same_to_the_byte(tmp_path: Path) -> None:
    play(tmp_path / "a")
    play(tmp_path / "b")
    for name in ("comparison.html", "comparison.md", "comparison.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
