"""`/status` for everybody; state, clock, broadcast and reset for the admin."""

from __future__ import annotations

from fastapi import APIRouter

from gateway import __version__
from gateway.clock import ReplayClock
from gateway.control.schemas import (
    ClockReading,
    QueueReading,
    Reset,
    SetBroadcast,
    SetClock,
    SetPhase,
    State,
    Status,
    WorkerInfo,
)
from gateway.errors import Conflict
from gateway.exercise import service
from gateway.faults import latency, modes
from gateway.jobs import service as job_service
from gateway.jobs.line import Load
from gateway.web.auth import Admin
from gateway.web.context import Context, Ctx

public = APIRouter()
router = APIRouter(prefix="/control", tags=["control"])


@public.get("/status", tags=["status"])
async def status(ctx: Ctx) -> Status:
    """Phase, replay clock and queue; no secrets."""
    return await _status(ctx)


@router.get("/state")
async def state(ctx: Ctx, actor: Admin) -> State:
    """`/status` and the counts behind it."""
    now = ctx.clock.now()
    counts = await service.counts(ctx.store, now=now)
    load = await job_service.load(ctx.store, ctx.line, now=now)
    return State(
        **(await _status_with(ctx, load, now)).model_dump(),
        tokens=dict(counts.tokens),
        jobs=dict(counts.jobs),
        worker_list=[WorkerInfo(**vars(worker)) for worker in load.workers],
        last_event=await service.last_event(ctx.store),
        private_targets=ctx.settings.allow_private_targets,
    )


@router.patch("/state")
async def set_phase(body: SetPhase, ctx: Ctx, actor: Admin) -> Status:
    """Moves the phase."""
    await service.set_phase(ctx.store, body.phase, now=ctx.clock.now(), actor=actor)
    return await _status(ctx)


@router.put("/clock")
async def set_clock(body: SetClock, ctx: Ctx, actor: Admin) -> Status:
    """Starts the replay clock at `time`, or changes the speed of the one that runs, or pauses it."""
    now = ctx.clock.now()
    if body.time is not None:
        offset = body.time.utcoffset()
        clock = ReplayClock(
            anchor=body.time.timestamp(),
            anchor_wall=now,
            speed=body.speed or 1.0,
            running=body.running is not False,
            utc_offset=int(offset.total_seconds()) if offset else 0,
        )
    else:
        present = (await service.show(ctx.store)).clock
        if present is None:
            raise Conflict("There is no replay clock yet; give it a time to start from.", param="time")
        clock = present.moved(now, speed=body.speed, running=body.running)
    await service.set_clock(ctx.store, clock, now=now, actor=actor)
    return await _status(ctx)


@router.delete("/clock")
async def remove_clock(ctx: Ctx, actor: Admin) -> Status:
    """Takes the replay clock away."""
    await service.set_clock(ctx.store, None, now=ctx.clock.now(), actor=actor)
    return await _status(ctx)


@router.put("/broadcast")
async def set_broadcast(body: SetBroadcast, ctx: Ctx, actor: Admin) -> Status:
    """The line shown on every page."""
    await service.set_broadcast(ctx.store, body.text, now=ctx.clock.now(), actor=actor)
    return await _status(ctx)


@router.post("/reset")
async def reset(body: Reset, ctx: Ctx, actor: Admin) -> Status:
    """Back to a clean room. Tokens, jobs and clips go; the event list stays."""
    await service.reset(ctx.store, now=ctx.clock.now(), actor=actor)
    ctx.limits.clear()
    ctx.usage.clear()
    ctx.clients.clear()
    ctx.faults.forget()
    ctx.sunset.clear()
    ctx.sight.forget()
    # What is still being uploaded stays: the request that brings it removes it. The directory's mark stays too.
    for path in (*ctx.settings.media.glob("[!.]*"), *ctx.settings.inputs.glob("video_*")):
        path.unlink(missing_ok=True)
    return await _status(ctx)


async def _status(ctx: Context) -> Status:
    now = ctx.clock.now()
    return await _status_with(ctx, await job_service.load(ctx.store, ctx.line, now=now), now)


async def _status_with(ctx: Context, load: Load, now: float) -> Status:
    stands = await service.show(ctx.store)
    profile = (await latency.show(ctx.store, now)).now
    replicas = [one for one in await modes.show(ctx.store, now) if one.alive]
    return Status(
        phase=stands.phase,
        phase_since=stands.phase_since,
        replay_clock=ClockReading.of(stands.clock, now),
        queue=QueueReading(waiting=load.queue.waiting, running=load.queue.running),
        workers=len(load.workers),
        eta_ms=int(load.eta_seconds(load.queue.waiting) * 1000),
        broadcast=stands.broadcast,
        defects=[f"{defect}@{one.replica.name}" for one in replicas for defect in sorted(one.mode.defects)],
        consistency=_consistency(replicas),
        replicas={one.replica.name: one.replica.url for one in replicas},
        profile=None if profile.profile.instant else profile.profile.name,
        faults=sorted({rule.failure for rule in await ctx.faults.rules(now)}),
        server_time=now,
        version=__version__,
    )


def _consistency(replicas: list[modes.Standing]) -> str:
    """The profile of all, or each one's where they differ."""
    shown = {one.replica.name: one.mode.consistency.shown for one in replicas}
    if len(set(shown.values())) <= 1:
        return next(iter(shown.values()), modes.RIGHT.consistency.shown)
    return ", ".join(f"{name} {profile}" for name, profile in shown.items())
