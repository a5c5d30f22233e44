"""The schedule: the same for the same seed, as often as asked for, and spread as the shape says."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from statistics import median

import pytest
import yaml

from loadtest.arrivals import Arrival, patience_of, plan
from loadtest.errors import OrderError
from loadtest.shape import Shape, list_shapes, load_shape

SHAPES = ("november-2024", "ramp", "revoke-at-peak", "spike", "steady")


def arrivals(shape: Shape, seed: int = 7, rate: float = 50.0, seconds: float = 60.0) -> list[Arrival]:
    leaked, others = range(shape.tokens.leaked), range(shape.tokens.leaked, shape.tokens.leaked + 5)
    return plan(shape, users=100, rate=rate, seconds=seconds, leaked=leaked, others=others, seed=seed)


def test_these_shapes_ship() -> None:
    assert list_shapes() == sorted(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_arrivals_follow_the_shape_and_the_seed(name: str) -> None:
    shape = load_shape(name)
    found = arrivals(shape)
    assert found == arrivals(shape)
    assert found != arrivals(shape, seed=8)
    assert [each.due for each in found] == sorted(each.due for each in found)
    assert [each.n for each in found] == list(range(len(found)))
    for tenth in range(10):
        share = (tenth + 0.5) / 10
        expected = sum(shape.weight_at(share + step / 200) for step in range(-9, 10)) / 19 / shape.top * 50 * 6
        came = sum(tenth * 6 <= each.due < (tenth + 1) * 6 for each in found)
        assert abs(came - expected) < 6 * expected**0.5 + 6, (tenth, came, expected)


def test_leaked_tokens_come_with_their_share_of_users() -> None:
    shape = load_shape("revoke-at-peak")
    found = arrivals(shape)
    exposed = {each.person for each in found if each.token < shape.tokens.leaked}
    assert exposed == set(range(60))
    assert {each.token for each in found} == set(range(17))
    tokens = {(each.person, each.token) for each in found}
    assert len(tokens) == len({person for person, _ in tokens}), "a user always comes with the same token"


def test_patience_is_drawn_for_each_user_by_median_and_ninth_decile() -> None:
    conduct = load_shape("steady").conduct
    drawn = sorted(patience_of(person, conduct, 1) for person in range(4000))
    assert drawn[0] > 0
    assert median(drawn) == pytest.approx(conduct.patience_median_seconds, rel=0.1)
    assert drawn[3600] == pytest.approx(conduct.patience_p90_seconds, rel=0.15)
    assert patience_of(3, conduct, 1) == patience_of(3, conduct, 1)


def test_november_2024_comes_as_in_the_drill() -> None:
    scenario = yaml.safe_load(files("seeds").joinpath("scenarios", "november-2024.yaml").read_text())
    points = scenario["population"]["traffic"]["curve"]
    shape = load_shape("november-2024")
    minutes = scenario["clock"]["minutes"]
    assert [(point.at * minutes, point.weight) for point in shape.curve] == [
        (point["at"], point["weight"]) for point in points
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "blue"}, "colour: unknown key"),
        ({"clips": []}, "clips: "),
        ({"every_seconds": 0}, "every_seconds: "),
        ({"curve": [{"at": 0, "weight": 1}]}, "curve needs two points"),
        ({"curve": [{"at": 0, "weight": 0}, {"at": 1, "weight": 0}]}, "nobody would come"),
        ({"curve": [{"at": 0.5, "weight": 1}, {"at": 0.5, "weight": 1}]}, "each later than"),
        ({"curve_of": "nowhere"}, "there is no scenario 'nowhere'"),
        ({"revoke_at": 0.5}, "revoke_at needs tokens that leaked"),
        ({"tokens": {"leaked": 0, "bystanders": 1, "leaked_share": 0.5}}, "leaked must be 1 or more"),
        ({"facts": ["no-such-fact"]}, "no 'no-such-fact'"),
        (
            {"conduct": {"patience_median_seconds": 9, "patience_p90_seconds": 1, "download": 1, "delete": 0}},
            "patience",
        ),
        ({"thresholds": {"max_poll_p99_ms": -1}}, "thresholds.max_poll_p99_ms"),
        ({"prompts": [7]}, "prompts.0"),
    ],
)
def test_a_shape_that_does_not_fit_is_told(change: dict[str, object], words: str, tmp_path: Path) -> None:
    data = yaml.safe_load(files("seeds").joinpath("load", "steady.yaml").read_text())
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({**data, **change}))
    with pytest.raises(OrderError) as told:
        load_shape(str(file))
    assert words in str(told.value)


@pytest.mark.parametrize(("text", "words"), [("[", "not YAML"), ("- 1", "expected keys"), ("", "expected keys")])
def test_a_file_that_is_no_shape_is_told(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(OrderError) as told:
        load_shape(str(file))
    assert words in str(told.value)
