"""Remixes: an earlier prompt's scene, changed in what a prompt names; and characters: a scene in a clip's colours."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_model import InvalidInput, VideoOutput, palette_of
from fake_model.palette import lit, luma
from fake_model.sources import dominant
from fake_model.text_encoder import encode_prompt, encode_remix, named_topics

Render = Callable[..., VideoOutput]
Pixels = npt.NDArray[np.uint8]

BASE = "a dog on a skateboard in the park"


def test_what_is_named_changes_and_the_rest_stays() -> None:
    base = encode_prompt(BASE)
    changed = encode_remix([BASE], "the same, in the rain at night")
    assert changed == replace(base, weather="rain", time="night")
    assert (changed.subject, changed.mount, changed.composition) == ("dog", "skateboard", "meadow")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("a cat instead", {"subject": "cat", "mount": "skateboard"}),
        ("in teal and pink", {"colours": ("teal", "pink")}),
        ("in a forest", {"composition": "forest"}),
        ("in the big city", {"composition": "street"}),
        ("slowly to the right", {"pace": 0.55, "backwards": False}),
        ("fast", {"pace": 1.5}),
        ("bei Nacht im Schnee", {"time": "night", "weather": "snow"}),
    ],
)
def test_every_kind_of_word_counts(change: str, expected: dict[str, object]) -> None:
    assert encode_remix([BASE], change) == replace(encode_prompt(BASE), **expected)  # type: ignore[arg-type]


def test_the_sky_can_be_cleared() -> None:
    assert encode_remix([f"{BASE}, rain"], "a clear sky") == replace(encode_prompt(f"{BASE}, rain"), weather="clear")


def test_a_city_that_gets_a_dog_stays_where_it_is() -> None:
    changed = encode_remix(["neon city skyline"], "add a dog")
    assert changed == replace(encode_prompt("neon city skyline"), subject="dog")


def test_remixes_of_remixes_add_up() -> None:
    changed = encode_remix([BASE, "at night", "snow"], "with a cat")
    assert changed == replace(encode_prompt(BASE), time="night", weather="snow", subject="cat")


def test_negative_words_count_in_a_remix() -> None:
    assert encode_remix([BASE], "rain at night", "rain") == replace(encode_prompt(BASE, "rain"), time="night")


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_any_remix_differs_unless_it_is_the_prompt_itself(base: str, change: str) -> None:
    embeds = encode_remix([base], change)
    assert embeds.key == encode_prompt(base).key
    same = " ".join(base.casefold().split()) == " ".join(change.casefold().split())
    assert (embeds != encode_prompt(base)) or same or embeds.variation == 0


def test_the_same_prompt_gives_the_same_frames(render: Render) -> None:
    original = render(BASE, seed=3, hash_frames=True)
    assert render(BASE, seed=3, hash_frames=True, base_prompt=BASE).frames_sha256 == original.frames_sha256
    assert render("zxqv", seed=3, hash_frames=True, base_prompt=BASE).frames_sha256 != original.frames_sha256


def test_a_remix_keeps_the_layout_and_changes_the_light(render: Render, luma: Any) -> None:
    original = luma(render(BASE, seed=3))[-1].astype(np.float64)
    night = luma(render("at night", seed=3, base_prompt=BASE))[-1].astype(np.float64)
    other = luma(render("a dog on a skateboard in the park at night", seed=3))[-1].astype(np.float64)
    assert night.mean() + 15 < original.mean()
    lower = slice(300, 400)
    assert edges_agree(original[lower], night[lower]) > 2 * abs(edges_agree(original[lower], other[lower]))
    assert edges_agree(original[lower], night[lower]) > 0.4


def edges_agree(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    slopes = np.stack([np.abs(np.diff(frame, axis=1)).ravel() for frame in (one, other)])
    return float(np.corrcoef(slopes)[0, 1])


@pytest.mark.parametrize("style", [None, "tin-lantern", "night-ink"])
def test_words_that_mean_nothing_change_something_visible(
    render: Render, colours_of: Callable[[pathlib.Path, float], Pixels], style: str | None
) -> None:
    original = colours_of(render(BASE, style=style).path, 0.7).astype(np.int16)
    varied = colours_of(render("zxqv!", style=style, base_prompt=BASE).path, 0.7).astype(np.int16)
    again = colours_of(render("other zxqv", style=style, base_prompt=BASE).path, 0.7).astype(np.int16)
    assert np.abs(original - varied).mean() > 3
    assert np.abs(again - varied).mean() > 1


def share_near(pixels: Pixels, palette: Any, reach: float = 40.0) -> float:
    """Share of the pixels that have a colour of the palette, about."""
    distance = pixels.astype(np.float64)[:, None] - np.array(palette, dtype=np.float64)[None]
    return float((np.sqrt((distance**2).sum(axis=2)).min(axis=1) < reach).mean())


@pytest.mark.parametrize(
    "prompt", ["a robot in a meadow, day", "neon city in the rain", "a calm sea at dawn", "abstract ink", "forest"]
)
@pytest.mark.parametrize("palette", [((196, 60, 52), (242, 206, 84), (44, 92, 170)), ((226, 44, 120),)])
def test_a_characters_colours_reappear(
    render: Render, colours_of: Callable[[pathlib.Path, float], Pixels], prompt: str, palette: Any
) -> None:
    plain = share_near(colours_of(render(prompt).path, 0.7), palette)
    coloured = share_near(colours_of(render(prompt, colours=palette).path, 0.7), palette)
    assert coloured > plain + 0.12


def test_a_character_brings_its_clips_colours(
    render: Render, colours_of: Callable[[pathlib.Path, float], Pixels], tmp_path: pathlib.Path
) -> None:
    palette = palette_of(render("a robot in a desert at sunset", output=tmp_path / "character.mp4").path)
    assert len(palette) == 5
    plain = share_near(colours_of(render("a train in a forest, day").path, 0.7), palette)
    coloured = share_near(colours_of(render("a train in a forest, day", colours=list(palette)).path, 0.7), palette)
    assert coloured > plain + 0.4


def test_dominant_colours_are_found() -> None:
    pixels = np.array(
        [[200, 30, 40]] * 60 + [[202, 32, 41]] * 5 + [[20, 40, 190]] * 30 + [[240, 240, 235]] * 5, np.uint8
    )
    assert dominant(pixels, 3) == ((200, 30, 40), (20, 40, 190), (240, 240, 235))
    assert len(dominant(pixels, 10)) < 6
    assert dominant(np.zeros((9, 3), np.uint8), 5) == ((0, 0, 0),)


@given(st.tuples(*[st.floats(0, 255)] * 3), st.floats(0, 255))
def test_a_colour_of_another_brightness(colour: tuple[float, float, float], goal: float) -> None:
    assert abs(luma(lit(colour, goal)) - goal) < 1.01
    assert all(-1e-6 <= part <= 255 + 1e-6 for part in lit(colour, goal))


def test_topics_are_what_is_named() -> None:
    assert named_topics("a red dog in the rain") == {"subject", "colour", "weather"}
    assert named_topics("a red dog in the rain", "rain") == {"subject", "colour"}
    assert named_topics("zxqv") == frozenset()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("base_prompt", ""), ("base_prompt", 5), ("base_prompt", []), ("base_prompt", ["a", " "]),
        ("base_prompt", ["a"] * 33), ("base_prompt", "x" * 32_001),
        ("colours", []), ("colours", [(1, 2)]), ("colours", [(1, 2, 256)]), ("colours", [(1, 2, 3.0)]),
        ("colours", [(0, 0, 0)] * 11), ("colours", "red"), ("colours", [(True, 0, 0)]), ("colours", 7),
    ],
)  # fmt: skip
def test_bad_input_names_the_argument(render: Render, tmp_path: pathlib.Path, argument: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        render(**{argument: value})
    assert caught.value.argument == argument
    assert list(tmp_path.iterdir()) == []
