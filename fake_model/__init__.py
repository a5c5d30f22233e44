"""fake_model makes a clip from a prompt, without a model.

It has the shape of a diffusion pipeline and says what it is: a deterministic drawing that comes out of noise, with a
visible mark in every frame. Importing the package is cheap; numpy and the rest load with the first name taken from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fake_model.edit import VideoEditPipeline
    from fake_model.errors import EncoderError, Interrupted, InvalidInput, PipelineError
    from fake_model.export import export_spritesheet, export_thumbnail
    from fake_model.extend import VideoExtendPipeline
    from fake_model.pipeline import MODELS, SIZES, STYLES, VideoOutput, VideoPipeline
    from fake_model.sources import Source, check_picture, palette_of, probe, sniff

__all__ = [
    "MODELS",
    "SIZES",
    "STYLES",
    "EncoderError",
    "Interrupted",
    "InvalidInput",
    "PipelineError",
    "Source",
    "VideoEditPipeline",
    "VideoExtendPipeline",
    "VideoOutput",
    "VideoPipeline",
    "check_picture",
    "export_spritesheet",
    "export_thumbnail",
    "palette_of",
    "probe",
    "sniff",
]

_HOMES = {
    "edit": ("VideoEditPipeline",),
    "errors": ("EncoderError", "Interrupted", "InvalidInput", "PipelineError"),
    "export": ("export_spritesheet", "export_thumbnail"),
    "extend": ("VideoExtendPipeline",),
    "pipeline": ("MODELS", "SIZES", "STYLES", "VideoOutput", "VideoPipeline"),
    "sources": ("Source", "check_picture", "palette_of", "probe", "sniff"),
}


def __getattr__(name: str) -> object:
    import importlib

    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
