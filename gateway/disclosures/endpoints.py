"""`POST /disclosures/github`: signed notices of leaked tokens, as GitHub's secret-scanning partners receive them.

Source: https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from gateway.errors import InvalidRequest, SignatureRefused, UnprocessableRequest
from gateway.notices import Notice, service
from gateway.notices.reading import MAX_ITEMS, read_batch
from gateway.web.context import Context, Ctx

router = APIRouter(tags=["disclosures"])

IDENTIFIER, SIGNATURE = "github-public-key-identifier", "github-public-key-signature"

_TEXT = {"type": "string"}
BATCH: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "maxItems": MAX_ITEMS,
                    "items": {
                        "type": "object",
                        "required": ["token", "type"],
                        "properties": {
                            "token": {**_TEXT, "minLength": 1, "maxLength": 8192},
                            "type": {**_TEXT, "minLength": 1, "maxLength": 255},
                            "url": {"type": ["string", "null"]},
                            "source": {"type": ["string", "null"], "maxLength": 255},
                        },
                    },
                }
            }
        },
    },
    "responses": {
        "200": {
            "description": "A label for each notice, in their order.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["token_hash", "token_type", "label"],
                            "properties": {
                                "token_hash": {**_TEXT, "description": "SHA-256 of the token, hexadecimal."},
                                "token_type": _TEXT,
                                "label": {"enum": ["true_positive", "false_positive"]},
                            },
                        },
                    }
                }
            },
        },
        "204": {"description": "Taken; with LEAKDRILL_DISCLOSURE_LABELS=false the outcome is not told."},
    },
}


@router.post("/disclosures/github", openapi_extra=BATCH, response_class=Response)
async def github(request: Request, ctx: Ctx) -> Response:
    """Takes notices of leaked tokens whose signature, over the body as it was sent, is a current reporter's.

    The tokens are observed, quarantined or revoked, as the gateway is set. What was taken before changes nothing and is
    answered alike.
    """
    try:
        reporter, notices = await _believed(request, ctx)
    except (SignatureRefused, InvalidRequest, UnprocessableRequest) as exc:
        named = request.headers.get(IDENTIFIER, "")
        await ctx.intake.note_refusal(ctx.store, exc, named, now=ctx.clock.now())
        raise
    ours = await service.receive(
        ctx.store,
        ctx.keys.tokens,
        notices,
        reporter=reporter,
        policy=ctx.settings.disclosure_policy,
        clock=ctx.clock,
    )
    if not ctx.settings.disclosure_labels:
        return Response(status_code=204)
    return JSONResponse([_label(notice, one) for notice, one in zip(notices, ours, strict=True)])


async def _believed(request: Request, ctx: Context) -> tuple[str, list[Notice]]:
    """Who reports, and what. The key is looked for before the body is read."""
    signatures = request.headers.getlist(SIGNATURE)
    key = ctx.intake.key(request.headers.getlist(IDENTIFIER), signatures)
    body = await request.body()
    # Ten megabytes are hashed and read for a while; other requests go on meanwhile.
    if not await asyncio.to_thread(key.signed, body, signatures[0]):
        raise SignatureRefused("The signature does not fit the body as it was received.")
    return f"github:{key.identifier}", await asyncio.to_thread(read_batch, body)


def _label(notice: Notice, ours: bool) -> dict[str, str]:
    return {
        "token_hash": hashlib.sha256(notice.token.encode()).hexdigest(),
        "token_type": notice.recorded("type"),
        "label": "true_positive" if ours else "false_positive",
    }
