"""A worker process: claims jobs, renders them, and lets go the moment a job is no longer its own.

Three loops share one event loop: a dispatcher that brings claimed jobs (the render itself runs in a thread), a guard
that asks the database every 0.1 s whether each running attempt still holds its job, and a heartbeat that extends leases
and writes progress. The guard is what stops a render after a revocation; nothing has to tell the worker, but where the
database tells that something was taken, the guard looks at once.

A latency profile makes an attempt take longer than its render: the slot is then held until the simulated time is over,
and what is reported is how much of that has passed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fake_model import Interrupted, PipelineError, VideoPipeline
from fake_model.variants import variant
from gateway import __version__
from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.faults.failures import FATES
from gateway.jobs import lifecycle, outputs, previews
from gateway.jobs.dispatch import Dispatcher, EmbeddedLoop, Post, Slots
from gateway.jobs.finishing import Finisher, Made
from gateway.jobs.holding import Hold
from gateway.jobs.lifecycle import Claimed, Held
from gateway.jobs.previews import Previews
from gateway.jobs.rendering import Produced, Renderer, Watch
from gateway.jobs.silence import Silence
from gateway.settings import Settings
from gateway.store import Store
from gateway.store.completing import Finished
from gateway.store.jobs import Job
from gateway.store.workers import Worker

if TYPE_CHECKING:
    from gateway.telemetry.attempts import AttemptSpans

log = logging.getLogger("leakdrill.worker")

BROKE = "The render broke in a way that the worker did not expect; its log has the details."


@dataclass
class _Render:
    """One attempt under way. The render thread writes the progress fields, the heartbeat reads them."""

    job: Job
    hold: Hold
    previews: Previews | None = None  # None where nothing is rendered
    interrupted: threading.Event = field(default_factory=threading.Event)
    holding: bool = False  # whether the clip is there, and only simulated time is left
    progress: int = 0
    step: int | None = None
    steps: int | None = None
    told: tuple[int, int | None] = (0, None)

    def interrupt(self) -> None:
        """Lets go of the render and of the hold."""
        self.interrupted.set()
        self.hold.end()

    def held(self) -> Held:
        progress, step, steps = self.shown()
        moved = (progress, step) != self.told
        self.told = (progress, step)
        return Held(self.job.id, self.job.attempt, self.job.accessor, progress, step, steps, moved)

    def shown(self) -> tuple[int, int | None, int | None]:
        """Progress, step and steps by simulated time, where there is any, but never ahead of the render."""
        if self.hold.seconds <= 0:
            return self.progress, self.step, self.steps
        if not self.holding:
            step = self.step if self.step is None or self.steps is None else min(self.step, self.hold.step(self.steps))
            return self.hold.progress(self.progress), step, self.steps
        request = self.job.request
        steps = self.steps or request.num_inference_steps or variant(request.variant).num_inference_steps
        return self.hold.progress(100), self.hold.step(steps), steps


class WorkerProcess:
    """`slots` renders at a time. `stop()` once: finish what renders, give back what is merely held, claim no more.
    Twice: give everything back and leave."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        renderer: Renderer,
        *,
        slots: int = 1,
        spans: AttemptSpans | None = None,
    ) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._settings = settings
        self._store = store
        self._clock = clock
        self._renderer = renderer
        self._slots = Slots(slots)
        # By id and attempt: after a long sleep a worker may take over from itself.
        self._renders: dict[tuple[str, int], _Render] = {}
        self._draining = asyncio.Event()
        self._leaving = asyncio.Event()
        self._look_now = asyncio.Event()
        self._finisher = Finisher(self._complete_all)
        self._begin = self._attempt if spans is None else spans.around(self._attempt, self.name)
        self._hand_in = self._finisher.publish if spans is None else spans.publishing(self._finisher.publish)

    def stop(self) -> None:
        """Drain; called again, interrupt the renders and release their jobs. Nobody waits for simulated time."""
        if self._draining.is_set():
            self._leaving.set()
            for render in self._renders.values():
                render.interrupted.set()
        self._draining.set()
        for render in self._renders.values():
            render.hold.end()

    async def run(self) -> None:
        """Works until stopped."""
        now = self._clock.now()
        me = Worker(self.name, socket.gethostname(), os.getpid(), self._slots.number, now, now, version=__version__)
        await lifecycle.worker_started(self._store, me)
        helpers = [asyncio.create_task(self._guard()), asyncio.create_task(self._heartbeat())]
        if not self._renderer.brief:
            helpers.append(asyncio.create_task(previews.keep_showing(self._previewed)))
        try:
            await _dispatcher(self._store).run(self._post())
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            try:
                await lifecycle.worker_stopped(self._store, self.name, now=self._clock.now())
            except StoreUnavailable as exc:
                log.warning("action=goodbye_not_written worker=%s reason=%s", self.name, exc)

    def _post(self) -> Post:
        return Post(
            self.name,
            self._slots,
            self._settings,
            self._store,
            self._clock,
            self._draining,
            self._begin,
            self._look_now.set,
            self._finisher,
        )

    async def _attempt(self, claimed: Claimed) -> None:
        job = claimed.job
        render = _Render(job, Hold(claimed.hold_seconds))
        if not self._renderer.brief:
            frame = outputs.preview_at(self._settings.media, job.id, job.attempt)
            render.previews = Previews(frame, claimed.hold_seconds)
        self._renders[job.id, job.attempt] = render
        file = f"{job.id}.{job.attempt}.mp4"
        output = self._settings.media / file
        log.info(
            "action=render_started worker=%s job=%s attempt=%s accessor=%s",
            self.name,
            job.id,
            job.attempt,
            job.accessor,
        )
        try:
            try:
                self._remove_leftovers(job)
                produced = await self._produce(render, output)
            finally:
                self._slots.give()
                if render.previews is not None and render.previews.used:
                    await previews.end(render.previews)
        except Interrupted:
            self._discard(output)
            await self._let_go(job)
        except PipelineError as exc:
            log.error("action=render_failed worker=%s job=%s reason=%s", self.name, job.id, exc)
            self._discard(output)
            await lifecycle.fail(
                self._store, job, worker=self.name, code="render_failed", message=str(exc), now=self._clock.now()
            )
        except Exception:
            log.exception("action=render_broke worker=%s job=%s", self.name, job.id)
            self._discard(output)
            await lifecycle.fail(
                self._store, job, worker=self.name, code="render_failed", message=BROKE, now=self._clock.now()
            )
        else:
            if produced is None:
                await self._meet_fate(job)
            else:
                await self._publish(job, output, produced)
        finally:
            del self._renders[job.id, job.attempt]
        await self._drop_input(job)

    async def _produce(self, render: _Render, output: Path) -> Produced | None:
        """The files, once the simulated time is over too; None for a job that is bound to fail, which renders nothing.

        Raises Interrupted where the job is taken away, or given back, before that.
        """
        produced: Produced | None = None
        if render.job.fate is None:
            brief = self._renderer.brief
            produced = self._render(render, output) if brief else await asyncio.to_thread(self._render, render, output)
        render.holding = True
        if self._draining.is_set():
            render.hold.end()  # it began when the worker was already told to stop
        if not await render.hold.pass_by():
            raise Interrupted
        return produced

    async def _meet_fate(self, job: Job) -> None:
        """Fails a job as a seeded failure has bound it to; a revocation that came first wins, as over a render."""
        fate = str(job.fate)
        failed = await lifecycle.fail(
            self._store, job, worker=self.name, code=fate, message=FATES[fate], now=self._clock.now()
        )
        log.info("action=fate_met worker=%s job=%s fate=%s failed=%s", self.name, job.id, fate, failed)

    async def _drop_input(self, job: Job) -> None:
        """Removes what the job started from, unless another attempt will need it. The gateway's sweep does the rest."""
        if job.request.input is not None and await lifecycle.ended(self._store, job):
            try:
                outputs.drop_input(self._settings.inputs, job)
            except OSError as exc:
                log.warning("action=input_not_removed worker=%s job=%s reason=%s", self.name, job.id, exc)

    async def _publish(self, job: Job, output: Path, produced: Produced) -> None:
        done = await self._hand_in(job, Finished(job.id, job.attempt, output.name, produced.size, produced.next_tick))
        if not done:
            self._discard(output)
            log.info("action=output_discarded worker=%s job=%s attempt=%s", self.name, job.id, job.attempt)

    async def _complete_all(self, made: list[Made]) -> list[bool]:
        return await lifecycle.complete_all(
            self._store, made, worker=self.name, now=self._clock.now(), keep_seconds=self._settings.clip_seconds
        )

    async def _let_go(self, job: Job) -> None:
        """The render was interrupted: by the guard (the job is gone already) or because the worker must leave."""
        released = await lifecycle.release(self._store, job, worker=self.name, now=self._clock.now())
        log.info("action=render_stopped worker=%s job=%s released=%s", self.name, job.id, released)

    def _discard(self, output: Path) -> None:
        """Takes away what was made in vain. Where that cannot be done the job still ends; the gateway sweeps later."""
        try:
            outputs.remove(output)
        except OSError as exc:
            log.warning("action=output_not_removed worker=%s file=%s reason=%s", self.name, output.name, exc)

    def _remove_leftovers(self, job: Job) -> None:
        """What a killed worker left of an earlier attempt. Never a later one's: this worker may have slept since its
        claim, and be behind."""
        for attempt in range(1, job.attempt):
            for path in self._settings.media.glob(f"*{job.id}.{attempt}.*"):
                path.unlink(missing_ok=True)

    def _render(self, render: _Render, output: Path) -> Produced:
        """Runs in a thread."""

        def on_step(_pipe: VideoPipeline, index: int, _timestep: float, state: dict[str, object]) -> None:
            render.steps = int(str(state["num_inference_steps"]))
            render.step = index + 1

        def on_frame(done: int, total: int) -> None:
            render.progress = min(99, done * 100 // total)

        watch = Watch(on_step, on_frame, render.interrupted.is_set)
        frames = render.previews
        if frames is not None:
            watch = replace(
                watch,
                on_preview=lambda frame: frames.offer(render.step or 0, frame),
                preview_seconds=frames.make_seconds,
            )
        return self._renderer.produce(render.job, output, watch)

    def _previewed(self) -> Iterator[tuple[Previews, int]]:
        for render in self._renders.values():
            if render.previews is not None:
                yield render.previews, render.shown()[1] or 0

    async def _guard(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.guard_seconds):
                    await self._look_now.wait()
            self._look_now.clear()
            # A snapshot: a job claimed while the question is under way must not be judged by the answer.
            held = dict(self._renders)
            if not held:
                continue
            try:
                gone = await lifecycle.lost(self._store, list(held))
            except StoreUnavailable as exc:
                log.warning("action=guard_failed worker=%s reason=%s", self.name, exc)
                continue
            for pair in gone:
                held[pair].interrupt()

    async def _heartbeat(self) -> None:
        every = self._settings.heartbeat_seconds
        silence = Silence(self._settings.lease_seconds, at_most=2 * every)
        while True:
            await asyncio.sleep(every)
            held = [render.held() for render in self._renders.values()]
            try:
                await lifecycle.beat(
                    self._store, self.name, held, now=self._clock.now(), lease_seconds=self._settings.lease_seconds
                )
                await lifecycle.look_for_silent(self._store, silence)
            except StoreUnavailable as exc:
                log.warning("action=heartbeat_failed worker=%s reason=%s", self.name, exc)


def _dispatcher(store: Store) -> Dispatcher:
    """The one that suits the database. The engine comes with the extra `postgres`, which SQLite does without."""
    if not store.delivered:
        return EmbeddedLoop()
    from gateway.jobs.delivery import Engine

    return Engine()
