"""The only wiring: parts in, application out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse

from gateway import __version__
from gateway.clients import ClientBook
from gateway.clock import Clock
from gateway.control import classes as control_classes
from gateway.control import clients as control_clients
from gateway.control import credits as control_credits
from gateway.control import drill as control_drill
from gateway.control import events as control_events
from gateway.control import faults as control_faults
from gateway.control import injects as control_injects
from gateway.control import metrics as control_metrics
from gateway.control import mint as control_mint
from gateway.control import profile as control_profile
from gateway.control import replicas as control_replicas
from gateway.control import reporters as control_reporters
from gateway.control import restorations as control_restorations
from gateway.control import revocations as control_revocations
from gateway.control import shares as control_shares
from gateway.control import sinks as control_sinks
from gateway.control import state as control_state
from gateway.control import sunset as control_sunset
from gateway.control import tokens as control_tokens
from gateway.control import trace as control_trace
from gateway.control import webhooks as control_webhooks
from gateway.disclosures import endpoints as disclosures
from gateway.errors import StoreUnavailable
from gateway.exercise import service as exercise_service
from gateway.exercise.sunset import SunsetDesk
from gateway.fal import endpoints as fal
from gateway.faults import latency
from gateway.faults.service import FaultDesk
from gateway.faults.sight import Sight, watch
from gateway.hooks import endpoints as hooks
from gateway.hub import endpoints as hub
from gateway.inputs import Inputs
from gateway.jobs import lifecycle
from gateway.jobs.leftovers import Leftovers
from gateway.jobs.line import Line
from gateway.limits import RequestLimits, load_tiers, repeats
from gateway.metrics import Metrics, Own
from gateway.notices import Intake
from gateway.notices.reading import MAX_BYTES as MAX_BATCH_BYTES
from gateway.oauth import endpoints as oauth
from gateway.oauth import minting
from gateway.outbound import Policy
from gateway.replicate import endpoints as replicate
from gateway.retention import Retention
from gateway.revocations.ramp import Ramps
from gateway.revocations.streams import Streams
from gateway.revocations.transfers import Transfers
from gateway.revocations.watch import Watch
from gateway.settings import Settings
from gateway.signals import keys as signal_keys
from gateway.signals.delivery import Pusher, SignalDeliverer
from gateway.signals.keys import Signer
from gateway.store import Store
from gateway.together import endpoints as together
from gateway.tokens.keys import Keyring
from gateway.tokens.usage import UsageBook
from gateway.videos import content, derived, models, shares
from gateway.videos import endpoints as videos
from gateway.videos import events as video_events
from gateway.web.answers import add_handlers
from gateway.web.context import Context, Ctx
from gateway.web.description import describe
from gateway.web.faults import Downloads
from gateway.web.hot import HotCalls, Layered
from gateway.web.limits import BodyLimit, RequestId
from gateway.webhooks.delivery import Deliverer
from gateway.webhooks.sending import Sender

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logging.getLogger("leakdrill.gateway")

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
    video_events.router,
    models.router,
    shares.public,
    shares.router,
    fal.router,
    replicate.router,
    together.router,
    hub.router,
    hooks.router,
    oauth.router,
    disclosures.router,
    minting.router,
    control_metrics.public,
    control_state.public,
    control_state.router,
    control_tokens.router,
    control_classes.public,
    control_classes.router,
    control_credits.router,
    control_revocations.router,
    control_restorations.router,
    control_mint.router,
    control_clients.router,
    control_profile.router,
    control_injects.router,
    control_sunset.router,
    control_reporters.router,
    control_drill.router,
    control_faults.router,
    control_replicas.router,
    control_events.router,
    control_trace.router,
    control_webhooks.router,
    control_shares.router,
    control_sinks.public,
    control_sinks.router,
)


def _deliverers(ctx: Context) -> tuple[Deliverer, SignalDeliverer]:
    settings, store, clock = ctx.settings, ctx.store, ctx.clock
    reach = settings.allow_private_targets
    sender, pusher = Sender(reach, settings.webhook_timeout_seconds), Pusher(reach, settings.sink_timeout_seconds)
    hooks = Policy(settings.webhook_attempts, settings.webhook_first_retry_seconds)
    signals = Policy(settings.sink_attempts, settings.sink_first_retry_seconds, lane=1)
    told = SignalDeliverer(store, clock, ctx.signer, pusher, signals)
    return Deliverer(store, clock, sender, hooks, ctx.usage), told


def _watched(settings: Settings, store: Store, clock: Clock) -> tuple[Transfers, Streams]:
    """Both under the eyes of one task."""
    watch, replica = Watch(store, clock), settings.replica
    streams = Streams(store, clock, watch, replica=replica, per_token=settings.streams_per_token)
    return Transfers(store, clock, watch, replica), streams


def _metrics(
    settings: Settings, store: Store, clock: Clock, limits: RequestLimits, streams: Streams, sight: Sight
) -> Metrics:
    own = Own(streams.count, lambda: not sight.mode.right)
    return Metrics(
        store,
        clock,
        replica=settings.replica,
        tiers=frozenset(limits.tiers),
        own=own,
        reuse_seconds=settings.estimate_seconds,
    )


def _wrap(app: Layered, ctx: Context) -> None:
    settings = ctx.settings
    larger = {
        "/control/trace": settings.max_clip_bytes,
        "/v1/videos": settings.max_upload_bytes,
        # Pictures come as data URLs.
        **dict.fromkeys(("/fal/", "/replicate/", "/together/"), settings.max_upload_bytes),
        "/disclosures/": MAX_BATCH_BYTES,
    }
    app.add_middleware(Downloads, faults=ctx.faults)
    app.surround(HotCalls, calls=videos.HOT)
    app.surround(BodyLimit, limit=settings.max_body_bytes, larger=larger)
    logged = settings.log_format == "json"
    app.surround(RequestId, replica=settings.replica, sight=ctx.sight, counts=ctx.metrics.counts, logged=logged)


@asynccontextmanager
async def _working(ctx: Context, deliverers: tuple[Deliverer, SignalDeliverer]) -> AsyncIterator[None]:
    """What goes on beside the requests, while the gateway runs; what is gathered by then is written at its end."""
    store, clock, lease = ctx.store, ctx.clock, ctx.settings.lease_seconds
    await exercise_service.gateway_started(store, now=clock.now(), version=__version__)
    gatherers = [
        asyncio.create_task(watch(ctx.sight, store, clock, ctx.settings.own_url)),
        asyncio.create_task(ctx.usage.run(store)),
        asyncio.create_task(ctx.clients.run(store)),
        asyncio.create_task(ctx.streams.run()),
        asyncio.create_task(ctx.ramps.run()),
        asyncio.create_task(repeats.run(store, clock)),
        asyncio.create_task(ctx.inputs.run(store)),
        asyncio.create_task(Leftovers(ctx.settings.media).run(store)),
        asyncio.create_task(Retention(ctx.settings, store, clock).run()),
        asyncio.create_task(lifecycle.watch_leases(store, lease_seconds=lease, every=ctx.settings.heartbeat_seconds)),
        *(asyncio.create_task(one.run(ctx.settings.webhook_poll_seconds)) for one in deliverers),
    ]
    yield
    for gatherer in gatherers:
        gatherer.cancel()
        with suppress(asyncio.CancelledError):
            await gatherer
    try:
        await ctx.usage.flush(store)
        await ctx.clients.flush(store)
    except StoreUnavailable as exc:
        log.warning("action=last_seconds_not_written reason=%s", exc)
    for deliverer in deliverers:
        await deliverer.flights.close()
    ctx.inputs.close()
    await store.close()


def create_app(
    settings: Settings, *, store: Store, clock: Clock, keys: Keyring, tracer: Tracer | None = None
) -> FastAPI:
    """The gateway. It owns `store` from now on and closes it at the end. With a `tracer`, requests are traced."""
    limits, clients = RequestLimits(load_tiers(settings.tiers_file)), ClientBook()
    faults = FaultDesk(store, clock, header=settings.fault_header)
    inputs = Inputs(settings.inputs, settings.allow_private_targets)
    usage = UsageBook(clock, settings.replica)
    transfers, streams = _watched(settings, store, clock)
    line, intake = Line(settings.estimate_seconds, fair=settings.queue_order == "fair"), Intake(settings.reporter_keys)
    sight = Sight(settings.replica, clock)
    store.look_through(sight)
    signer = Signer(settings.data / signal_keys.FILE)
    context = Context(
        settings,
        store,
        clock,
        keys,
        usage,
        line,
        faults,
        limits,
        clients,
        inputs,
        transfers,
        streams,
        intake,
        sight,
        signer,
        Ramps(store, clock, settings.queue_limit),
        _metrics(settings, store, clock, limits, streams, sight),
        SunsetDesk(store),
    )
    deliverers = _deliverers(context)
    if settings.profiles_dir:
        latency.available(settings.profiles_dir)  # a profile that cannot be read is told now, not in mid exercise

    app = Layered(
        title="leakdrill",
        version=__version__,
        description="A mock video-generation API. Clips are synthetic; access can be leaked and cut off on purpose.",
        lifespan=lambda _app: _working(context, deliverers),
        docs_url=None,
        # It would look for exporters in the environment, and asks them on every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redoc_url=None,
    )
    app.state.context = context
    add_handlers(app)
    _wrap(app, context)
    if tracer is not None:
        from gateway.telemetry.requests import TracedRequests

        app.surround(TracedRequests, tracer=tracer)
    for router in ROUTERS:
        # Not `include_router`, which matches every request once for the router and again for the route.
        app.router.routes.extend(router.routes)
    describe(app)
    return app
