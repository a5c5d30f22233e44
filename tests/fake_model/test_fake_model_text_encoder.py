"""What prompts ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_model.scenes.silhouettes import FIGURES
from fake_model.text_encoder import encode_prompt
from fake_model.variants import document


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a lake below snowy mountains at sunset", {"composition": "lake", "time": "sunset", "weather": "snow"}),
        ("neon city skyline in the rain", {"composition": "city", "time": "neon", "weather": "rain"}),
        ("a quiet street at night", {"composition": "street", "time": "night", "pace": 0.55}),
        ("waves breaking on the coast at dawn", {"composition": "sea", "time": "dawn"}),
        ("abstract swirls of ink", {"composition": "abstract"}),
        ("a dog on a skateboard", {"composition": "street", "subject": "dog", "mount": "skateboard"}),
        ("a cat walks through a city", {"composition": "street", "subject": "cat"}),
        ("Ein Hund in den Bergen, Berg und See, Nebel", {"composition": "lake", "subject": "dog", "weather": "fog"}),
        ("夜の海に浮かぶ船", {"composition": "sea", "time": "night", "subject": "boat"}),
        ("un gatto sulla spiaggia al tramonto", {"composition": "sea", "time": "sunset", "subject": "cat"}),
        ("красный поезд", {"subject": "train", "colours": ("red",)}),
        ("a teal planet with pink clouds", {"composition": "space", "colours": ("teal", "pink"), "weather": "clouds"}),
    ],
)
def test_words_decide(prompt: str, expected: dict[str, object]) -> None:
    embeds = encode_prompt(prompt)
    assert {name: getattr(embeds, name) for name in expected} == expected


def test_negative_prompt_takes_concepts_away() -> None:
    assert encode_prompt("a dog in the rain").weather == "rain"
    refused = encode_prompt("a dog in the rain", "rain, dog")
    assert refused.weather != "rain"
    assert refused.subject is None


def test_case_and_spacing_do_not_matter() -> None:
    assert encode_prompt("  A Lake\nat  NIGHT ") == encode_prompt("a lake at night")


def test_unknown_prompts_differ_by_their_hash() -> None:
    prompts = [f"zxqv {number}" for number in range(40)]
    embeds = [encode_prompt(prompt) for prompt in prompts]
    assert len({(e.composition, e.time) for e in embeds}) > 12


@given(st.text(min_size=1, max_size=60))
def test_any_text_has_a_scene(prompt: str) -> None:
    embeds = encode_prompt(prompt)
    assert embeds == encode_prompt(prompt)
    assert embeds.composition in document("vocabulary")["composition"] or embeds.composition in {"street", "meadow"}
    assert embeds.time in document("palettes")


def test_every_subject_of_the_vocabulary_can_be_drawn() -> None:
    assert set(document("vocabulary")["subject"]) == set(FIGURES)
