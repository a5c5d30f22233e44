"""Bodies and answers of `/v1/webhook_endpoints`. Times are whole Unix seconds, as OpenAI's clients expect."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, WithJsonSchema

from gateway.errors import InvalidRequest
from gateway.webhooks import EVENT_TYPES, Endpoint, signing


def _known(value: str) -> str:
    if value not in EVENT_TYPES:
        raise ValueError(f"must be {' or '.join(EVENT_TYPES)}")
    return value


EventType = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(EVENT_TYPES)})]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]


class Form(BaseModel):
    """A request body: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CreateEndpoint(Form):
    """All three are required."""

    name: Name
    url: str = Field(min_length=1)
    event_types: list[EventType] = Field(min_length=1, max_length=20)


class UpdateEndpoint(Form):
    """What is left out stays as it is."""

    name: Name | None = None
    url: str | None = Field(None, min_length=1)
    event_types: list[EventType] | None = Field(None, min_length=1, max_length=20)


class RotateSecret(Form):
    """Without the flag the old secret is gone at once. null counts as absent, as in every body."""

    keep_old_secret_active_for_24_hours: bool | None = None


class TestEndpoint(Form):
    """Which event to send."""

    event_type: EventType


class WebhookEndpoint(BaseModel):
    """An endpoint without its secret."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    name: str
    url: str
    event_types: list[str]
    created_at: int
    updated_at: int
    signing_secret_hint: str

    @classmethod
    def of(cls, endpoint: Endpoint) -> WebhookEndpoint:
        """The endpoint as its owner sees it."""
        return cls(**_fields(endpoint))


class WebhookEndpointWithSecret(WebhookEndpoint):
    """The answer to creating and rotating, and nothing else."""

    signing_secret: str

    @classmethod
    def of(cls, endpoint: Endpoint) -> WebhookEndpointWithSecret:
        """The same with the secret."""
        return cls(**_fields(endpoint), signing_secret=endpoint.secret)


class EndpointPage(BaseModel):
    """Endpoints, newest first."""

    object: Literal["list"] = "list"
    data: list[WebhookEndpoint]
    first_id: str | None
    last_id: str | None
    has_more: bool


class EndpointDeleted(BaseModel):
    """It is gone."""

    id: str
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: Literal[True] = True


class TestResult(BaseModel):
    """What the receiver answered; `success` says that it answered at all."""

    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: Literal[True] = True


class EventTypeList(BaseModel):
    """What can be subscribed to."""

    object: Literal["list"] = "list"
    data: list[str]


F = TypeVar("F", bound=Form)


def checked(form: type[F], values: dict[str, object]) -> F:
    """The values against the form; raises InvalidRequest that names the field and what it takes."""
    try:
        return form.model_validate(values)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])[:80]
        if first["type"] == "missing":
            raise InvalidRequest(
                f"Missing required parameter: {name!r}.", param=name, code="missing_required_parameter"
            ) from exc
        if first["type"] == "extra_forbidden":
            takes = ", ".join(form.model_fields)
            raise InvalidRequest(
                f"Unknown parameter: {name!r}; this takes {takes}.", param=name, code="unknown_parameter"
            ) from exc
        message = str(first["msg"]).removeprefix("Value error, ")
        raise InvalidRequest(f"{name}: {message}.", param=name) from exc


def _fields(endpoint: Endpoint) -> dict[str, object]:
    return {
        "id": endpoint.id,
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "created_at": int(endpoint.created_at),
        "updated_at": int(endpoint.updated_at),
        "signing_secret_hint": signing.hint(endpoint.secret),
    }
