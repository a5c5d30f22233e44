"""Subjects."""

from __future__ import annotations

from collections.abc import Iterator

from fake_model.elements import Element, Stage
from fake_model.palette import Palette
from fake_model.text_encoder import PromptEmbeds


def paint_subject(stage: Stage, embeds: PromptEmbeds, palette: Palette) -> Iterator[Element]:
    yield from ()
