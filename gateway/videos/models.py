"""`/v1/models`: what each takes."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from gateway.errors import NotFound
from gateway.jobs import catalog
from gateway.videos.answers import json_answer
from gateway.videos.schemas import Model, ModelPage
from gateway.web.auth import Reader

router = APIRouter()

MODELS_CREATED = 1_732_579_200  # 26 November 2024, 00:00 UTC


@router.get("/v1/models", response_model=ModelPage, tags=["models"])
async def models(token: Reader) -> Response:
    """The models, and what each takes."""
    return json_answer(ModelPage(data=[_model(name) for name in catalog.MODELS]))


@router.get("/v1/models/{model}", response_model=Model, tags=["models"])
async def model(model: str, token: Reader) -> Response:
    """One model."""
    if model not in (*catalog.MODELS, *catalog.ALIASES):
        raise NotFound(f"There is no model {model[:80]!r}; there are {', '.join(catalog.MODELS)}.", param="model")
    return json_answer(_model(model))


def _model(name: str) -> Model:
    return Model(
        id=name,
        created=MODELS_CREATED,
        owned_by="leakdrill",
        sizes=list(catalog.SIZES),
        seconds=list(catalog.SECONDS),
        extension_seconds={"min": catalog.MIN_MORE_SECONDS, "max": catalog.MAX_MORE_SECONDS},
        styles=list(catalog.STYLES),
        aliases=[alias for alias, model in catalog.ALIASES.items() if model == catalog.model_behind(name)],
    )
