"""Files of attempts that came to nothing: who takes them away, and who must not."""

import asyncio
import os
from pathlib import Path

import pytest

from desk import Desk
from fake_model.errors import Interrupted
from gateway.clock import SystemClock
from gateway.jobs import Job, lifecycle
from gateway.jobs.leftovers import SETTLING_SECONDS, Leftovers
from gateway.jobs.lifecycle import Claimed
from gateway.jobs.rendering import Produced, Renderer, Watch
from gateway.jobs.worker import WorkerProcess

pytestmark = pytest.mark.anyio


def leave(desk: Desk, *names: str) -> None:
    for name in names:
        (desk.settings.media / name).write_bytes(b"0123456789")
        os.utime(desk.settings.media / name, (desk.clock.now(), desk.clock.now()))


def there(desk: Desk) -> set[str]:
    return {path.name for path in desk.settings.media.iterdir()}


async def sweep(desk: Desk, leftovers: Leftovers | None = None, *, later: float = SETTLING_SECONDS + 1) -> int:
    return await (leftovers or Leftovers(desk.settings.media)).sweep(desk.store, now=desk.clock.now() + later)


async def test_only_what_an_ended_job_did_not_end_with_is_swept(desk: Desk) -> None:
    headers = await desk.bearer()
    for _ in range(3):
        await desk.create(headers)
    done = await desk.finished()
    running, waiting = await desk.claimed(), await desk.create(headers)
    kept = {f"{done.id}.1.mp4", f"{done.id}.1.webp", f"{running.id}.1.mp4", f".{running.id}.1.mp4.5f.part"}
    kept |= {f"{waiting['id']}.2.mp4", "video_elsewhere.1.mp4", "notes.txt"}
    leave(desk, *kept, f"{done.id}.2.mp4", f"{done.id}.11.jpg", f".{done.id}.1.mp4.5f.part")
    assert await sweep(desk, later=1) == 0  # whoever made them may be about to take them away
    assert await sweep(desk) == 3
    assert there(desk) == kept


async def test_a_job_that_fails_or_is_deleted_keeps_nothing(desk: Desk) -> None:
    headers = await desk.bearer()
    await desk.create(headers)
    await desk.create(headers)
    failed, deleted = await desk.claimed(), await desk.finished()
    await lifecycle.fail(desk.store, failed, worker="w1", code="x", message="x", now=desk.clock.now())
    await desk.http.delete(f"/v1/videos/{deleted.id}", headers=headers)
    leave(desk, f"{failed.id}.1.mp4", f"{deleted.id}.1.mp4")
    assert await sweep(desk) == 2
    assert there(desk) == set()


async def test_one_that_cannot_be_removed_keeps_none_of_the_others(desk: Desk) -> None:
    await desk.create(await desk.bearer())
    done = await desk.finished()
    (desk.settings.media / f"{done.id}.2.mp4").mkdir()
    leave(desk, f"{done.id}.3.mp4")
    os.utime(desk.settings.media / f"{done.id}.2.mp4", (desk.clock.now(), desk.clock.now()))
    assert await sweep(desk) == 1
    assert there(desk) == {f"{done.id}.1.mp4", f"{done.id}.2.mp4"}


async def test_a_clip_that_is_served_is_asked_about_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.create(await desk.bearer())
    done = await desk.finished()
    leave(desk, f"{done.id}.1.mp4")
    leftovers = Leftovers(desk.settings.media)
    assert await sweep(desk, leftovers) == 0
    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "read", None)
        assert await sweep(desk, leftovers) == 0


async def test_a_worker_that_is_behind_leaves_a_later_attempts_clip(desk: Desk) -> None:
    """It slept between its claim and its render; another attempt has published meanwhile."""
    await desk.create(await desk.bearer())
    await desk.claimed("w1")
    desk.clock.advance(6)
    behind = await desk.claimed("w2")
    desk.clock.advance(6)
    done = await desk.claimed("w3")
    assert await desk.complete(done)
    leave(desk, f"{done.id}.1.mp4", f".{done.id}.1.mp4.5f.part")
    worker = WorkerProcess(desk.settings, desk.store, SystemClock(), _Interrupted(desk.settings, b""))
    await worker._attempt(Claimed(behind, 0.0))
    assert there(desk) == {f"{done.id}.3.mp4"}


async def test_a_worker_that_takes_over_from_itself_goes_on(desk: Desk) -> None:
    """It was frozen beyond its lease, and one of its slots takes the job that another still renders."""
    await desk.create(await desk.bearer())
    first = await desk.claimed()
    desk.clock.advance(6)
    second = await desk.claimed()
    assert (second.id, second.attempt) == (first.id, 2)
    worker = WorkerProcess(desk.settings, desk.store, SystemClock(), _Quick(desk.settings, b""), slots=2)
    await asyncio.gather(*(worker._attempt(Claimed(job, 0.0)) for job in (first, second)))
    assert there(desk) == {f"{first.id}.2.mp4"}
    assert [event["data"].get("attempt") for event in await desk.events("job.completed")] == [2]


class _Quick(Renderer):
    """Renders nothing much."""

    def produce(self, job: Job, output: Path, watch: Watch) -> Produced:
        output.write_bytes(b"0123456789")
        return Produced(10, None)


class _Interrupted(Renderer):
    """The guard stops it at once."""

    def produce(self, job: Job, output: Path, watch: Watch) -> Produced:
        raise Interrupted


async def test_a_leftover_that_cannot_be_removed_costs_the_attempt_and_no_slot(desk: Desk) -> None:
    """A folder stands where an earlier attempt's clip would, and so cannot be taken away as a file."""
    await desk.create(await desk.bearer())
    await desk.claimed("w1")
    desk.clock.advance(6)
    again = await desk.claimed("w2")
    (desk.settings.media / f"{again.id}.1.mp4").mkdir()
    (desk.settings.media / f"{again.id}.2.jpg").mkdir()  # nor can what this attempt itself would leave
    worker = WorkerProcess(desk.settings, desk.store, SystemClock(), _Quick(desk.settings, b""))
    worker.name = "w2"
    post = worker._post()
    post.slots.take()
    assert await post.try_attempt(Claimed(again, 0.0))
    assert post.slots.free == post.slots.number
    (failed,) = await desk.events("job.failed")
    assert (failed["job"], failed["data"]["code"]) == (again.id, "render_failed")
