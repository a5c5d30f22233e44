"""`/hf/api/models/{owner}/{name}`: which providers serve a model, and under what name there.

Source: huggingface_hub 2.4.0, which asks for `expand=inferenceProviderMapping` before `text_to_video` and
`image_to_video`; the address is what `HF_ENDPOINT` names.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel

from gateway.errors import NotFound
from gateway.jobs import catalog

router = APIRouter(tags=["hub"])

# A model has one task there, so what begins with a picture has a name of its own.
FROM_PICTURE = "-image-to-video"
NAMES = [*catalog.MODELS, *(f"{name}{FROM_PICTURE}" for name in catalog.MODELS)]


class Provider(BaseModel):
    """A provider of a model; `providerId` is the model's name there."""

    status: Literal["live"] = "live"
    providerId: str
    task: Literal["text-to-video", "image-to-video"]


class HubModel(BaseModel):
    """A model, as far as it is asked for."""

    id: str
    inferenceProviderMapping: dict[str, Provider]


@router.get("/hf/api/models/{owner}/{name}")
async def model(
    owner: Annotated[str, Path(json_schema_extra={"enum": [catalog.PUBLISHER]})],
    name: Annotated[str, Path(json_schema_extra={"enum": NAMES})],
) -> HubModel:
    """Who serves a model. Everybody may ask; it holds no secrets."""
    if owner != catalog.PUBLISHER or name not in NAMES:
        there = ", ".join(map(catalog.published, NAMES))
        raise NotFound(f"There is no model {f'{owner}/{name}'[:80]!r}; there are {there}.", param="name")
    published = catalog.published(name.removesuffix(FROM_PICTURE))
    if name.endswith(FROM_PICTURE):
        pictured = Provider(providerId=f"{published}/image-to-video", task="image-to-video")
        plain = Provider(providerId=published, task="image-to-video")
        return HubModel(id=f"{owner}/{name}", inferenceProviderMapping={"fal-ai": pictured, "together": plain})
    served = Provider(providerId=published, task="text-to-video")
    return HubModel(
        id=f"{owner}/{name}", inferenceProviderMapping={"fal-ai": served, "replicate": served, "together": served}
    )
