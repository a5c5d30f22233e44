"""Jobs that are claimed, and clips that are finished, at the same time: one statement and one commit for all."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from desk import Desk, DeskMaker, bearer_of
from gateway.errors import StoreUnavailable
from gateway.events import first_broken
from gateway.jobs import Job, lifecycle
from gateway.jobs.dispatch import Slots
from gateway.jobs.finishing import Finisher, Made
from gateway.jobs.lifecycle import Claimed
from gateway.store import events
from gateway.store.completing import Finished

pytestmark = pytest.mark.anyio

TIERS = """
narrow: {requests_per_minute: 600, in_flight: 2, queued: 50, priority: 0}
standard: {requests_per_minute: 600, in_flight: 40, queued: 50, priority: 0}
"""


@pytest.fixture
async def desk_of_tiers(make_desk: DeskMaker, tmp_path: Path) -> Desk:
    file = tmp_path / "tiers.yaml"
    file.write_text(TIERS)
    return await make_desk(tiers_file=str(file))


async def claim(desk: Desk, most: int, worker: str = "w1") -> list[Claimed]:
    return await lifecycle.claim_some(
        desk.store, most, worker=worker, now=desk.clock.now(), lease_seconds=5, max_attempts=3
    )


def made(job: Job, size: int = 10) -> Made:
    return job, Finished(job.id, job.attempt, f"{job.id}.{job.attempt}.mp4", size)


async def publish(desk: Desk, clips: list[Made]) -> list[bool]:
    return await lifecycle.complete_all(desk.store, clips, worker="w1", now=desk.clock.now(), keep_seconds=60)


async def chain_holds(desk: Desk) -> bool:
    return first_broken(await desk.store.read(lambda tx: events.page(tx, after=0, limit=1000))) is None


async def test_so_many_are_claimed_in_the_order_of_the_line(desk: Desk) -> None:
    headers = [await desk.bearer("a1"), await desk.bearer("a2")]
    line = [(await desk.create(headers[number % 2]))["id"] for number in range(7)]
    assert [one.job.id for one in await claim(desk, 4)] == line[:4]
    assert [one.job.id for one in await claim(desk, 4)] == line[4:]
    assert await claim(desk, 4) == []
    started = await desk.events("job.started")
    assert [(event["job"], event["data"]) for event in started] == [(id, {"attempt": 1}) for id in line]
    assert await chain_holds(desk)


async def test_no_token_gets_more_at_once_than_it_may_have_in_flight(desk_of_tiers: Desk) -> None:
    desk = desk_of_tiers
    narrow, wide = await desk.bearer("n", tier="narrow"), await desk.bearer("w", tier="standard")
    of_narrow = [(await desk.create(narrow))["id"] for _ in range(5)]
    of_wide = [(await desk.create(wide))["id"] for _ in range(3)]
    first = await claim(desk, 8)
    assert [one.job.id for one in first] == of_narrow[:2] + of_wide
    assert await claim(desk, 8) == []
    assert await publish(desk, [made(first[0].job)]) == [True]
    assert [one.job.id for one in await claim(desk, 8)] == of_narrow[2:3]
    assert await publish(desk, [made(first[1].job), made(first[2].job)]) == [True, True]
    assert [one.job.id for one in await claim(desk, 8)] == of_narrow[3:4]


async def test_what_a_silent_worker_held_counts_once(desk_of_tiers: Desk) -> None:
    """Jobs that are taken over have been in flight before, and leave room for none."""
    desk = desk_of_tiers
    narrow = await desk.bearer("n", tier="narrow")
    line = [(await desk.create(narrow))["id"] for _ in range(4)]
    held = await claim(desk, 2, "frozen")
    await lifecycle.look_for_silent(desk.store, desk.silence)
    desk.clock.advance(6)
    await lifecycle.look_for_silent(desk.store, desk.silence)
    taken = await claim(desk, 8, "w1")
    assert [(one.job.id, one.job.attempt) for one in taken] == [(id, 2) for id in line[:2]]
    assert [event["data"]["from"] for event in await desk.events("job.reclaimed")] == ["frozen", "frozen"]
    assert await publish(desk, [made(one.job) for one in held + taken]) == [False, False, True, True]
    assert [one.job.id for one in await claim(desk, 8)] == line[2:]


async def test_of_several_clips_each_is_judged_by_itself(desk: Desk) -> None:
    kept, withheld, gone = [await desk.issue(name) for name in ("kept", "withheld", "gone")]
    for token in (kept, withheld, gone):
        await desk.create(bearer_of(token))
        await desk.create(bearer_of(token))
    claimed = [one.job for one in await claim(desk, 6)]
    await desk.revoke({"accessor": withheld["accessor"]}, in_flight={"running": "finish_withhold"})
    await desk.revoke({"accessor": gone["accessor"]}, in_flight={"running": "cancel"})
    done = await publish(desk, [made(job, size) for size, job in enumerate(claimed, 100)])
    assert done == [job.accessor == kept["accessor"] for job in claimed]
    completed = await desk.events("job.completed")
    expected = [(job.id, {"attempt": 1, "bytes": size}) for size, job in enumerate(claimed, 100)]
    assert [(event["job"], event["data"]) for event in completed] == expected[:2]
    failed = {event["job"]: event["data"] for event in await desk.events("job.failed")}
    assert [failed[job.id].get("withheld") for job in claimed[2:4]] == [True, True]
    assert await publish(desk, [made(job) for job in claimed]) == [False] * 6
    assert await chain_holds(desk)


async def test_clips_that_come_while_others_are_written_are_written_together() -> None:
    written: list[list[str]] = []
    go_on = asyncio.Event()

    async def publish_all(clips: list[Made]) -> list[bool]:
        written.append([one.id for _, one in clips])
        await go_on.wait()
        return [one.id != "c" for _, one in clips]

    finisher = Finisher(publish_all)
    job = cast(Job, None)  # nothing here looks at it
    tasks = [asyncio.create_task(finisher.publish(job, Finished(name, 1, "", 0))) for name in "ab"]
    while not written:
        await asyncio.sleep(0)
    tasks += [asyncio.create_task(finisher.publish(job, Finished(name, 1, "", 0))) for name in "cd"]
    await asyncio.sleep(0)
    tasks[2].cancel()  # whoever waits may leave; what it made is published or not all the same
    settled = asyncio.create_task(finisher.settled())
    go_on.set()
    await settled
    assert written == [["a", "b"], ["c", "d"]]
    assert await asyncio.gather(*tasks[:2], tasks[3]) == [True, True, True]
    assert tasks[2].cancelled()


async def test_what_could_not_be_written_is_told_to_each() -> None:
    async def publish_all(clips: list[Made]) -> list[bool]:
        raise StoreUnavailable("away")

    finisher = Finisher(publish_all)
    job = cast(Job, None)  # nothing here looks at it
    told = await asyncio.gather(
        *(finisher.publish(job, Finished(name, 1, "", 0)) for name in "ab"), return_exceptions=True
    )
    assert [type(one) for one in told] == [StoreUnavailable] * 2
    await finisher.settled()


async def test_a_slot_is_free_again_once_its_render_is_over() -> None:
    slots = Slots(2)
    slots.take()
    await slots.wait()
    slots.take()
    waiting = asyncio.create_task(slots.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    slots.give()
    await waiting
    assert slots.free == 1
