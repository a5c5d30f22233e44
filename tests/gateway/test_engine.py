"""The engine's messages beside the rows, on PostgreSQL: written with them, short, fenced, and mended."""

import asyncio
import json
from typing import Any

import pytest

from desk import Desk, bearer_of
from gateway.errors import OperatorError
from gateway.events import EventKind
from gateway.jobs import lifecycle
from gateway.store import engine, open_store
from gateway.store.mending import Faults
from gateway.store.messages import TAKEN, WINDOW
from live import leakdrill
from postgres import connected

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]


@pytest.fixture
def database_url(postgres_database: str) -> str:
    return postgres_database


@pytest.fixture
def ask(postgres_database: str) -> Any:
    """Runs SQL behind the gateway's back; the rows, if there are any."""

    def run(sql: str, *params: object) -> list[tuple[Any, ...]]:
        with connected(postgres_database) as database:
            done = database.execute(sql, params)
            return [tuple(row) for row in done.fetchall()] if done.description else []

    return run


@pytest.fixture
def sent(ask: Any) -> Any:
    """The jobs that messages name, those served first first, with each message's status."""

    def listed() -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = ask(
            "SELECT args ->> 'job', status::text FROM procrastinate_jobs ORDER BY priority DESC, id"
        )
        return found

    return listed


async def ids(desk: Desk, headers: dict[str, str], count: int) -> list[str]:
    return [(await desk.create(headers))["id"] for _ in range(count)]


async def test_a_message_lives_as_long_as_its_job(desk: Desk, sent: Any) -> None:
    video = (await desk.create(await desk.bearer()))["id"]
    assert sent() == [(video, "todo")]
    job = await desk.claimed()
    assert sent() == [(video, "doing")]
    assert await desk.complete(job)
    assert sent() == []


async def test_where_the_row_is_not_written_no_message_is_sent(desk: Desk, ask: Any, sent: Any) -> None:
    headers = await desk.bearer()
    ask("ALTER TABLE events ADD CONSTRAINT full_up CHECK (kind <> 'job.queued')")
    answer = await desk.http.post("/v1/videos", json={"prompt": "a dog"}, headers=headers)
    assert answer.status_code >= 500
    assert (sent(), ask("SELECT count(*) FROM jobs")) == ([], [(0,)])
    ask("ALTER TABLE events DROP CONSTRAINT full_up")


async def test_only_the_head_of_a_tokens_line_has_messages(desk: Desk, sent: Any) -> None:
    """Of a token without a limit so many that its jobs are always at hand; of another what it may have in flight."""
    many = await ids(desk, await desk.bearer("load", tier="unlimited"), WINDOW + 4)
    assert [id for id, _ in sent()] == many[:WINDOW]
    taken = [await desk.claimed() for _ in range(WINDOW + 4)]
    assert [job.id for job in taken] == many, "in the order of arrival, parked or not"
    for job in taken:
        assert await desk.complete(job)

    free = await desk.bearer("person", tier="free")
    first, second, third = await ids(desk, free, 3)
    assert sent() == [(first, "todo")]
    job = await desk.claimed()
    assert (job.id, await desk.claim()) == (first, None)
    assert await desk.complete(job)
    assert sent() == [(second, "todo")]
    await desk.http.post(f"/v1/videos/{second}/cancel", headers=free)
    assert sent() == [(third, "todo")]
    await desk.http.delete(f"/v1/videos/{third}", headers=free)
    assert sent() == []


async def test_a_parked_job_keeps_its_place_among_other_tokens(desk: Desk, sent: Any) -> None:
    one, other = await desk.bearer("a", tier="unlimited"), await desk.bearer("b", "beta", tier="unlimited")
    early, late = await ids(desk, one, WINDOW + 1), await ids(desk, other, 1)
    partner = await ids(desk, await desk.bearer("c", "gamma", tier="partner"), 1)
    assert [(await desk.claimed()).id for _ in range(WINDOW + 3)] == partner + early + late


async def test_revocation_and_reset_take_rows_and_messages_together(desk: Desk, sent: Any) -> None:
    alpha, beta = await desk.bearer("a"), await desk.bearer("b", "beta")
    await ids(desk, alpha, 3)
    kept = await ids(desk, beta, 1)
    await desk.claimed()
    assert (await desk.revoke({"cohort": "alpha"})).json()["jobs"] == {"queued": 2, "running": 1}
    assert sent() == [(kept[0], "todo")]
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert sent() == []


async def test_a_suspended_tokens_jobs_wait_and_go_on_with_it(desk: Desk, sent: Any) -> None:
    issued = await desk.issue("a")
    video = (await desk.create(bearer_of(issued)))["id"]
    row = f"/control/tokens/{issued['accessor']}"
    assert (await desk.http.patch(row, json={"state": "suspended"}, headers=desk.admin)).status_code == 200
    assert await desk.claim() is None
    assert sent() == []
    assert (await desk.http.patch(row, json={"state": "active"}, headers=desk.admin)).status_code == 200
    assert (await desk.claimed()).id == video


async def test_a_silent_workers_job_is_delivered_again_before_what_waits(desk: Desk, sent: Any) -> None:
    headers = await desk.bearer()
    video, other = await ids(desk, headers, 2)
    lost = await desk.claimed("w1")
    desk.clock.advance(5.1)
    await lifecycle.look_for_silent(desk.store, desk.silence)
    await lifecycle.recover_silent(desk.store, worker="w2", now=desk.clock.now(), max_attempts=3)
    assert sent() == [(video, "todo"), (other, "todo")]
    await lifecycle.recover_silent(desk.store, worker="w2", now=desk.clock.now(), max_attempts=3)
    assert len(sent()) == 2, "once is enough"
    again = await desk.claimed("w2")
    assert (again.id, again.attempt) == (video, 2)
    assert not await desk.complete(lost)
    assert await desk.complete(again)
    assert [event["data"]["from"] for event in await desk.events("job.reclaimed")] == ["w1"]


async def test_a_released_job_has_another_message(desk: Desk, sent: Any) -> None:
    video = (await desk.create(await desk.bearer()))["id"]
    assert await lifecycle.release(desk.store, await desk.claimed(), worker="w1", now=desk.clock.now())
    assert sent() == [(video, "todo")]
    assert (await desk.claimed()).attempt == 2


async def test_a_doubled_message_leads_to_nothing(desk: Desk, ask: Any, sent: Any) -> None:
    video = (await desk.create(await desk.bearer()))["id"]
    ask(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args) "
        "SELECT queue_name, task_name, priority + 1, args FROM procrastinate_jobs"
    )
    assert (await desk.claimed()).id == video
    assert await desk.claim() is None
    assert sent() == [(video, "doing")]


async def test_lost_and_doubled_messages_are_found_mended_and_told(desk: Desk, ask: Any, sent: Any) -> None:
    headers = await desk.bearer()
    lost, doubled, gone, handed = await ids(desk, headers, 4)
    assert await lifecycle.reconcile(desk.store, actor="w1", now=desk.clock.now()) == Faults()
    ask("DELETE FROM procrastinate_jobs WHERE args ->> 'job' = %s", lost)
    double = (
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args) "
        "SELECT queue_name, task_name, args FROM procrastinate_jobs WHERE args ->> 'job' = %s"
    )
    ask(double, doubled)
    ask(double, gone)
    await desk.http.delete(f"/v1/videos/{gone}", headers=headers)
    ask("UPDATE procrastinate_jobs SET status = 'doing' WHERE args ->> 'job' = %s", handed)
    wrong = Faults(lost=2, doubled=1, left=1, unsent=0)
    unmended = await lifecycle.reconcile(desk.store, actor="w1", now=desk.clock.now(), mend=False)
    assert unmended == wrong
    assert await lifecycle.reconcile(desk.store, actor="w1", now=desk.clock.now()) == wrong
    assert sent() == [(lost, "todo"), (doubled, "todo"), (handed, "todo")]
    (event,) = await desk.events("queue.mended")
    assert (event["kind"], event["actor"]) == (EventKind.QUEUE_MENDED, "w1")
    assert event["data"] == {"lost": 2, "doubled": 1, "left": 1, "unsent": 0}
    assert await lifecycle.reconcile(desk.store, actor="w1", now=desk.clock.now()) == Faults()
    assert [(await desk.claimed()).id for _ in range(3)] == [lost, doubled, handed]


async def test_the_command_finds_and_mends(desk: Desk, ask: Any, sent: Any) -> None:
    video = (await desk.create(await desk.bearer()))["id"]
    ask("DELETE FROM procrastinate_jobs")

    async def run(*options: str) -> Any:
        here, url = desk.settings.data, desk.settings.database_url
        return await asyncio.to_thread(
            lambda: leakdrill("queue", "check", *options, cwd=here, LEAKDRILL_DATABASE_URL=url)
        )

    found = await run()
    assert (found.returncode, found.stdout[:28]) == (1, "1 jobs whose message is lost"), found.stderr
    mended = await run("--mend", "--json")
    assert (mended.returncode, json.loads(mended.stdout)["lost"]) == (0, 1), mended.stderr
    assert sent() == [(video, "todo")]


async def test_who_takes_a_running_job_wakes_the_guards(desk: Desk) -> None:
    told = desk.store.listen((TAKEN,))
    assert told is not None
    async with asyncio.timeout(20):
        assert await anext(told) == ""
        await ids(desk, await desk.bearer(), 2)
        await desk.claimed()
        await desk.revoke({"cohort": "alpha"})
        assert await anext(told) == TAKEN
    await told.aclose()


async def test_a_missing_or_older_engine_is_told(desk: Desk, ask: Any) -> None:
    ((version,),) = ask("SELECT version FROM engine_version")
    assert version == engine.version()
    ask("UPDATE engine_version SET version = '02.00.00_01_old'")
    with pytest.raises(OperatorError, match=r"tables as of 02\.00\.00_01_old.*install the same version everywhere"):
        open_store(desk.settings.database)
    ask("UPDATE engine_version SET version = %s", version)
    ask("ALTER FUNCTION procrastinate_fetch_job_v2 RENAME TO moved")
    with pytest.raises(OperatorError, match="lacks tables or functions of Procrastinate"):
        open_store(desk.settings.database)
    ask("ALTER FUNCTION moved RENAME TO procrastinate_fetch_job_v2")
