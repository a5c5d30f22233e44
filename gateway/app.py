"""The only wiring: parts in, application out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse

from gateway import __version__
from gateway.clients import ClientBook
from gateway.clock import Clock
from gateway.control import clients as control_clients
from gateway.control import events as control_events
from gateway.control import faults as control_faults
from gateway.control import mint as control_mint
from gateway.control import profile as control_profile
from gateway.control import revocations as control_revocations
from gateway.control import shares as control_shares
from gateway.control import state as control_state
from gateway.control import tokens as control_tokens
from gateway.control import trace as control_trace
from gateway.control import webhooks as control_webhooks
from gateway.disclosures import endpoints as disclosures
from gateway.errors import StoreUnavailable
from gateway.exercise import service as exercise_service
from gateway.faults import latency
from gateway.faults.service import FaultDesk
from gateway.hooks import endpoints as hooks
from gateway.inputs import Inputs
from gateway.jobs.line import Line
from gateway.limits import RequestLimits, load_tiers, repeats
from gateway.notices import Intake
from gateway.notices.reading import MAX_BYTES as MAX_BATCH_BYTES
from gateway.oauth import endpoints as oauth
from gateway.oauth import minting
from gateway.revocations.transfers import Transfers
from gateway.settings import Settings
from gateway.store import Store
from gateway.tokens.keys import Keyring
from gateway.tokens.usage import UsageBook
from gateway.videos import content, derived, models, shares
from gateway.videos import endpoints as videos
from gateway.web.answers import add_handlers
from gateway.web.context import Context, Ctx
from gateway.web.description import describe
from gateway.web.faults import Downloads
from gateway.web.hot import HotCalls, Layered
from gateway.web.limits import BodyLimit, RequestId
from gateway.webhooks.delivery import Deliverer, Policy
from gateway.webhooks.sending import Sender

health = APIRouter(tags=["health"])


@health.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@health.get("/readyz")
async def readyz(ctx: Ctx) -> JSONResponse:
    """The store answers and media can be served."""
    try:
        await exercise_service.show(ctx.store)
    except StoreUnavailable as exc:
        return JSONResponse({"status": "unavailable", "reason": exc.message}, 503)
    if not ctx.settings.media.is_dir():
        return JSONResponse({"status": "unavailable", "reason": f"{ctx.settings.media} is not there"}, 503)
    return JSONResponse({"status": "ok", "version": __version__})


ROUTERS = (
    videos.router,
    derived.router,
    health,
    content.router,
    models.router,
    shares.public,
    shares.router,
    hooks.router,
    oauth.router,
    disclosures.router,
    minting.router,
    control_state.public,
    control_state.router,
    control_tokens.router,
    control_revocations.router,
    control_mint.router,
    control_clients.router,
    control_profile.router,
    control_faults.router,
    control_events.router,
    control_trace.router,
    control_webhooks.router,
    control_shares.router,
)


def _deliverer(settings: Settings, store: Store, clock: Clock) -> Deliverer:
    policy = Policy(settings.webhook_attempts, settings.webhook_first_retry_seconds)
    return Deliverer(store, clock, Sender(settings.allow_private_targets, settings.webhook_timeout_seconds), policy)


def create_app(settings: Settings, *, store: Store, clock: Clock, keys: Keyring) -> FastAPI:
    """The gateway. It owns `store` from now on and closes it at the end."""
    limits, clients = RequestLimits(load_tiers(settings.tiers_file)), ClientBook()
    faults = FaultDesk(store, clock, header=settings.fault_header)
    inputs = Inputs(settings.inputs, settings.allow_private_targets)
    line, transfers, intake = Line(settings.estimate_seconds), Transfers(store, clock), Intake(settings.reporter_keys)
    context = Context(
        settings, store, clock, keys, UsageBook(), line, faults, limits, clients, inputs, transfers, intake
    )
    deliverer = _deliverer(settings, store, clock)
    if settings.profiles_dir:
        latency.available(settings.profiles_dir)  # a profile that cannot be read is told now, not in mid exercise

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await exercise_service.gateway_started(store, now=clock.now(), version=__version__)
        gatherers = [
            asyncio.create_task(context.usage.run(store)),
            asyncio.create_task(clients.run(store)),
            asyncio.create_task(repeats.run(store, clock)),
            asyncio.create_task(inputs.run(store)),
            asyncio.create_task(deliverer.run(settings.webhook_poll_seconds)),
        ]
        yield
        for gatherer in gatherers:
            gatherer.cancel()
            with suppress(asyncio.CancelledError):
                await gatherer
        await context.usage.flush(store)
        await clients.flush(store)
        await deliverer.close()
        inputs.close()
        await store.close()

    app = Layered(
        title="leakdrill",
        version=__version__,
        description="A mock video-generation API. Clips are synthetic; access can be leaked and cut off on purpose.",
        lifespan=lifespan,
        docs_url=None,
        # It would look for exporters in the environment, and asks them on every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redoc_url=None,
    )
    app.state.context = context
    add_handlers(app)
    larger = {
        "/control/trace": settings.max_clip_bytes,
        "/v1/videos": settings.max_upload_bytes,
        "/disclosures/": MAX_BATCH_BYTES,
    }
    app.add_middleware(Downloads, faults=faults)
    app.surround(HotCalls, calls=videos.HOT)
    app.surround(BodyLimit, limit=settings.max_body_bytes, larger=larger)
    app.surround(RequestId, replica=settings.replica)
    for router in ROUTERS:
        # Not `include_router`, which matches every request once for the router and again for the route.
        app.router.routes.extend(router.routes)
    describe(app)
    return app
