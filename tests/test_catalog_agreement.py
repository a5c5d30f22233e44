"""What the API takes, the model can render: the two are written down apart, because neither may import the other."""

import fake_model
from fake_model import inputs
from gateway.jobs import catalog, derive


def test_the_api_and_the_model_take_the_same() -> None:
    assert set(catalog.SIZES) == set(fake_model.SIZES)
    assert set(catalog.MODELS) == set(fake_model.MODELS)
    assert set(catalog.STYLES) == set(fake_model.STYLES)
    assert catalog.SECONDS == inputs.SECONDS
    assert catalog.MAX_MORE_SECONDS == inputs.MAX_MORE_SECONDS
    assert derive.MAX_TOTAL_SECONDS == inputs.MAX_TOTAL_SECONDS
    assert derive.MAX_BASES == inputs.MAX_BASES
    assert set(catalog.UPLOAD_SIZES) <= set(catalog.SIZES)
    assert catalog.MAX_FPS == inputs.MAX_FPS
    assert catalog.MAX_PROMPT == inputs.MAX_PROMPT
    assert catalog.MAX_STEPS == inputs.MAX_STEPS
    assert catalog.MAX_GUIDANCE == inputs.MAX_GUIDANCE


def test_every_alias_leads_to_a_model() -> None:
    assert set(catalog.ALIASES.values()) <= set(catalog.MODELS)
    assert catalog.model_behind("sora-2") in catalog.MODELS
    assert catalog.model_behind("turbo") == "turbo"
