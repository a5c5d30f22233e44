"""A prompt becomes the few decisions that a scene is painted from.

Known words decide (vocabulary.yaml); whatever they leave open, and every small variation, comes from a hash of the
whole text, so that any prompt in any language gives a clip of its own, the same one each time.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fake_model.noise import mix, seed_of
from fake_model.variants import document

_WORD = re.compile(r"\w+")
_OPEN_COMPOSITIONS = ("lake", "sea", "city", "meadow", "abstract", "forest", "desert", "space")
_OPEN_TIMES = ("sunset", "dusk", "dawn", "night", "day")
#: Where a subject is at home when no word names a place.
_HABITAT = {
    "dog": "street", "cat": "street", "horse": "meadow", "person": "street", "robot": "city", "car": "street",
    "train": "meadow", "boat": "sea", "birds": "sea", "balloon": "meadow", "rocket": "space", "whale": "sea",
}  # fmt: skip
_ON_FOOT = ("dog", "cat", "horse", "person", "robot", "car", "train")
#: Places a word of lesser weight gives way to: a park with a tree is a park, a beach city is a city.
_RANK = ("abstract", "space", "street", "city", "desert", "sea", "lake", "forest", "meadow")


@dataclass(frozen=True)
class PromptEmbeds:
    """What a prompt asks for.

    Args:
        composition: one of `_RANK`.
        time: a palette's name: dawn, day, sunset, dusk, night, neon.
        weather: clear, clouds, rain, snow or fog.
        subject: a moving thing, or None.
        mount: what the subject stands on, or None.
        colours: colour words, in order of appearance.
        pace: factor on the speed of the camera.
        backwards: the camera looks to the left.
        key: 32-bit hash of the normalised text; decides the layout.
        variation: 32-bit hash of remixes that named nothing known; 0 for none. Decides a shade of the colours.
    """

    composition: str
    time: str
    weather: str
    subject: str | None
    mount: str | None
    colours: tuple[str, ...]
    pace: float
    backwards: bool
    key: int
    variation: int = 0


def encode_prompt(prompt: str, negative_prompt: str = "") -> PromptEmbeds:
    """Read a prompt; concepts that the negative prompt names are left out."""
    text, refused = _normal(prompt), _normal(negative_prompt)
    found = _found(text, refused)
    key = mix(seed_of(text), seed_of(refused))
    subject = _first("subject", found, text)
    time = _time(found["time"], key, found["composition"])
    composition = _composition(found, subject, key)
    weather = _weather(found["weather"])
    pace = _pace(found["pace"])
    direction = found["direction"]
    return PromptEmbeds(
        composition=composition,
        time=time,
        weather=weather or ("clear" if mix(key, 2) % 3 else "clouds"),
        subject=subject,
        mount=_first("mount", found, text),
        colours=_colours(found["colour"], text),
        pace=pace,
        backwards="left" in direction or ("right" not in direction and mix(key, 3) % 2 == 0),
        key=key,
    )


def encode_remix(bases: Sequence[str], prompt: str, negative_prompt: str = "") -> PromptEmbeds:
    """Read a prompt as a change of earlier ones.

    Args:
        bases: earlier prompts, oldest first, each a change of those before it; none for a prompt of its own.
        prompt: what it names replaces what the earlier ones ask for; everything else stays, the layout too. If that
            changes nothing, the colours are varied by its hash, unless it is the last earlier prompt itself.
        negative_prompt: of all of them.
    """
    first, *changes = *bases, prompt
    embeds, refused, before = encode_prompt(first, negative_prompt), _normal(negative_prompt), _normal(first)
    for change in changes:
        text = _normal(change)
        if text != before:
            changed = _changed(embeds, text, refused)
            varied = replace(embeds, variation=mix(embeds.variation, seed_of(text)) or 1)
            embeds = varied if changed == embeds else changed
        before = text
    return embeds


def named_topics(prompt: str, negative_prompt: str = "") -> frozenset[str]:
    """What a prompt names by known words: composition, time, weather, subject, mount, colour, pace, direction."""
    found = _found(_normal(prompt), _normal(negative_prompt))
    return frozenset(topic for topic, concepts in found.items() if concepts)


def _changed(embeds: PromptEmbeds, text: str, refused: str) -> PromptEmbeds:
    """The scene with what a text names in place of its own."""
    found = _found(text, refused)
    subject = _first("subject", found, text) or embeds.subject
    direction = found["direction"]
    return replace(
        embeds,
        composition=_composition(found, subject, embeds.key) if found["composition"] else embeds.composition,
        time=_time(found["time"], embeds.key, found["composition"]) if found["time"] else embeds.time,
        weather=_weather(found["weather"]) or embeds.weather,
        subject=subject,
        mount=_first("mount", found, text) or embeds.mount,
        colours=_colours(found["colour"], text) or embeds.colours,
        pace=_pace(found["pace"]) if found["pace"] else embeds.pace,
        backwards="left" in direction if direction else embeds.backwards,
    )


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _found(text: str, refused: str) -> dict[str, set[str]]:
    """Concepts that a normalised text names, by topic, without those that another one names."""
    return {topic: _concepts(topic, text) - _concepts(topic, refused) for topic in document("vocabulary")}


def _pace(found: set[str]) -> float:
    return 0.55 if "slow" in found else 1.5 if "fast" in found else 1.0


def _weather(found: set[str]) -> str | None:
    return next((name for name in ("rain", "snow", "fog", "clouds", "clear") if name in found), None)


def _colours(found: set[str], text: str) -> tuple[str, ...]:
    return tuple(sorted(found, key=lambda name: _position("colour", name, text)))


def _composition(found: Mapping[str, set[str]], subject: str | None, key: int) -> str:
    for name in _RANK:
        if name in found["composition"]:
            # What walks or drives needs ground, which a skyline across water has not.
            return "street" if name == "city" and subject in _ON_FOOT else name
    if subject is not None:
        return _HABITAT[subject]
    if found["time"] == {"neon"}:
        return "city"
    return _OPEN_COMPOSITIONS[mix(key, 4) % len(_OPEN_COMPOSITIONS)]


def _time(times: set[str], key: int, compositions: set[str]) -> str:
    for name in ("neon", "sunset", "dawn", "dusk", "night", "day"):
        if name in times:
            return name
    if "abstract" in compositions or "city" in compositions:
        return ("dusk", "neon", "night", "sunset")[mix(key, 5) % 4]
    return _OPEN_TIMES[mix(key, 5) % len(_OPEN_TIMES)]


@functools.cache
def _index(topic: str) -> dict[str, str]:
    return {word: name for name, words in document("vocabulary")[topic].items() for word in words}


def _concepts(topic: str, text: str) -> set[str]:
    index = _index(topic)
    found = {index[form] for word in set(_WORD.findall(text)) for form in _stems(word) if form in index}
    if not text.isascii():
        found |= {name for word, name in index.items() if _is_joined_script(word) and word in text}
    return found


def _stems(word: str) -> tuple[str, ...]:
    stems = [word]
    stems += [word[: -len(ending)] for ending in ("s", "es", "n", "x") if word.endswith(ending) and len(word) > 3]
    return tuple(stems)


def _is_joined_script(word: str) -> bool:
    """Whether the word is written without spaces around it: CJK, kana, hangul with particles."""
    return "\u3040" <= word[0] <= "\u9fff" or ("\uac00" <= word[0] <= "\ud7a3" and len(word) > 1)


def _position(topic: str, name: str, text: str) -> int:
    places = [text.find(word) for word, owner in _index(topic).items() if owner == name]
    return min((place for place in places if place >= 0), default=len(text))


def _first(topic: str, found: Mapping[str, set[str]], text: str) -> str | None:
    return min(sorted(found[topic]), key=lambda name: _position(topic, name, text), default=None)
