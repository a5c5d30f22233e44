"""Model variants, styles, palettes and vocabulary: YAML that is read once, on first use."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_MODELS = ("standard", "turbo")


@dataclass(frozen=True)
class Variant:
    """A model variant.

    Args:
        name: as in the `model` argument.
        num_inference_steps: default number of denoising steps.
        guidance_scale: default guidance.
        shift: of the scheduler's sigmas.
        qp: the encoder's constant quantiser; higher is smaller and coarser.
        refine_seconds: how long the refinement is shown in a long clip.
        turn_seconds: until the camera turns back.
        loop: whether the motion is encoded once, there and back, and repeated.
    """

    name: str
    num_inference_steps: int
    guidance_scale: float
    shift: float
    qp: int
    refine_seconds: float
    turn_seconds: int
    loop: bool


@functools.cache
def document(name: str) -> Mapping[str, Any]:
    """The YAML document `<name>.yaml` of this folder."""
    text = importlib.resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    loaded: Mapping[str, Any] = yaml.safe_load(text)
    return loaded


def models() -> tuple[str, ...]:
    """Names of the model variants, the default first."""
    return _MODELS


def styles() -> tuple[str, ...]:
    """Names of the styles."""
    return tuple(document("styles"))


def variant(name: str) -> Variant:
    """The variant of that name; the caller has checked the name."""
    return Variant(name=name, **document(name))
