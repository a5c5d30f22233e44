"""`/oauth/revoke` and `/oauth/introspect`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gateway.errors import NotFound
from gateway.revocations import service as revocation_service
from gateway.revocations.service import Selector
from gateway.tokens import secret as secrets_format
from gateway.tokens import service
from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.web.surfaces import surface_of

router = APIRouter(prefix="/oauth", tags=["oauth"])

NO_STORE = {"Cache-Control": "no-store"}
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["token"],
                    "properties": {
                        "token": {"type": "string", "minLength": 1},
                        "token_type_hint": {"type": "string"},
                    },
                }
            }
        },
    },
    "responses": {
        "400": {
            "description": "The shape of RFC 6749, section 5.2.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["error", "error_description"],
                        "properties": {"error": {"const": "invalid_request"}, "error_description": {"type": "string"}},
                    }
                }
            },
        }
    },
}


@router.post("/revoke", openapi_extra=FORM, response_class=Response)
async def revoke(request: Request, ctx: Ctx) -> Response:
    """Whoever holds a token may end it. 200 also for a token that is unknown or ended already (RFC 7009, 2.2); the
    type hint changes nothing, since there is one type."""
    secret = await _token_field(request)
    if secret is None:
        return _invalid_request()
    if secrets_format.well_formed(secret):
        try:
            await revocation_service.apply(
                ctx.store,
                ctx.keys.tokens,
                Selector(token=secret),
                reason="revoked by its holder",
                actor="holder",
                clock=ctx.clock,
            )
        except NotFound:
            return Response(headers=NO_STORE)
    return Response(headers=NO_STORE)


@router.post("/introspect", openapi_extra=FORM)
async def introspect(request: Request, ctx: Ctx, actor: Admin) -> JSONResponse:
    """Whether a token is active, and whose it is; an inactive one gets no reason (RFC 7662, 2.2)."""
    secret = await _token_field(request)
    if secret is None:
        return _invalid_request()
    now = ctx.clock.now()
    token = await service.introspect(ctx.store, ctx.keys.tokens, secret, now=now)
    if token is None:
        return JSONResponse({"active": False}, headers=NO_STORE)
    ctx.usage.note_behind(token.accessor, surface_of(request.scope), now)
    body: dict[str, Any] = {
        "active": True,
        "scope": " ".join(token.scopes),
        "username": token.principal,
        "token_type": "Bearer",
        "iat": int(token.created_at),
        "jti": token.accessor,
        "cohort": token.cohort,
    }
    if token.expires_at is not None:
        body["exp"] = int(token.expires_at)
    return JSONResponse(body, headers=NO_STORE)


async def _token_field(request: Request) -> str | None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    try:
        async with request.form(max_files=0) as form:
            values, hints = form.getlist("token"), form.getlist("token_type_hint")
    except HTTPException:
        return None
    if len(values) != 1 or len(hints) > 1:  # none may be given twice (RFC 6749, section 3.2)
        return None
    return values[0] if isinstance(values[0], str) and values[0] else None


def _invalid_request() -> JSONResponse:
    description = "Send one token as application/x-www-form-urlencoded."
    return JSONResponse({"error": "invalid_request", "error_description": description}, 400, headers=NO_STORE)
