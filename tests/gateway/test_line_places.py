"""How many are ahead of a job, in long lines, whatever happens to them."""

import random
from bisect import bisect_left
from functools import partial

import pytest

from desk import Desk, DeskMaker, bearer_of
from gateway.jobs.line import LISTED
from gateway.store import Connection, jobs, messages, places
from gateway.store.counting import FIRST_PRIORITY, MOST_IN_BLOCK
from gateway.store.job import Place

pytestmark = pytest.mark.anyio

_FILL = """
    WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < :number)
    INSERT INTO jobs (id, accessor, status, request, priority, turn, created_at)
    SELECT :prefix || i, :accessor, 'queued', :request, :priority, :turn + i / :each, 0 FROM k
"""
REQUEST = (
    '{"prompt": "p", "model": "sora-2", "variant": "standard", "size": "1280x720", "seconds": 4, "fps": 30, "seed": 1, '
    '"base_prompts": [], "colours": []}'
)


def fill(
    tx: Connection, accessor: str, number: int, *, prefix: str, priority: int = 0, turn: int = 0, each: int = 1 << 40
) -> None:
    """That many waiting jobs, a turn later after each `each`, by one statement."""
    params = {"accessor": accessor, "number": number, "prefix": prefix, "priority": priority, "turn": turn}
    tx.execute(_FILL, {**params, "each": each, "request": REQUEST})
    messages.refill_all(tx)


def line_of(tx: Connection) -> list[Place]:
    """Every waiting job's place, as the job rows say."""
    rows = tx.fetch_all("SELECT priority, turn, seq FROM jobs WHERE status = 'queued'")
    return sorted((priority, turn, seq) for priority, turn, seq in rows)


def agrees(tx: Connection, chance: random.Random) -> None:
    """Holds the blocks to the rows: every block, and some places that are taken or free."""
    line, kept = line_of(tx), places.blocks(tx)
    assert kept.starts[0] == (FIRST_PRIORITY, 0, 0)
    assert kept.before == tuple(bisect_left(line, start) for start in kept.starts)
    assert kept.waiting == places.waiting(tx) == jobs.queue_counts(tx).waiting == len(line)
    sizes = [after - before for before, after in zip(kept.before, (*kept.before[1:], len(line)), strict=True)]
    assert max(sizes) <= MOST_IN_BLOCK
    assert all(size > 0 for size in sizes[1:])
    for place in [*chance.sample(line, min(20, len(line))), (-3, 5, 7), (0, 3, 0), (9, 9, 1 << 40)]:
        assert places.ahead_of(tx, place) == bisect_left(line, place), place
    by_priority = {place[0]: place for place in line}
    assert places.lasts(tx) == [by_priority[priority] for priority in sorted(by_priority, reverse=True)]
    assert list(places.first(tx, 7)) == line[:7]


CHANGES = (
    "UPDATE jobs SET status = 'in_progress' WHERE seq IN ({})",
    "UPDATE jobs SET status = 'failed' WHERE seq IN ({})",
    "UPDATE jobs SET status = 'queued' WHERE seq IN ({})",
    "UPDATE jobs SET turn = turn + 1 WHERE seq IN ({})",
    "UPDATE jobs SET priority = 3 - priority WHERE seq IN ({})",
    "UPDATE jobs SET progress = 5, spared = 'finish' WHERE seq IN ({})",
    "DELETE FROM jobs WHERE seq IN ({})",
)


async def test_the_blocks_follow_whatever_is_done_to_jobs(desk: Desk) -> None:
    chance = random.Random(1)
    accessor = (await desk.issue())["accessor"]

    def step(tx: Connection, number: int) -> None:
        what = chance.randrange(10)
        if what < 3 or number < 3:
            many = chance.choice([1, 3, 700, 1500])
            each = chance.choice([1, 40, 1 << 40])
            where = {"priority": chance.randrange(4), "turn": chance.randrange(6), "each": each}
            fill(tx, accessor, many, prefix=f"{number}-", **where)
            return
        seqs = [row["seq"] for row in tx.fetch_all("SELECT seq FROM jobs ORDER BY seq")]
        chosen = chance.sample(seqs, min(len(seqs), chance.choice([1, 5, 400, len(seqs) // 2])))
        tx.execute(chance.choice(CHANGES).format(", ".join(map(str, chosen or [0]))))

    for number in range(30):
        await desk.store.write(partial(step, number=number))
        await desk.store.read(lambda tx: agrees(tx, chance))
    await desk.store.write(lambda tx: tx.execute("UPDATE jobs SET status = 'failed'"))
    await desk.store.read(lambda tx: agrees(tx, chance))
    assert await desk.store.read(lambda tx: places.blocks(tx).starts) == ((FIRST_PRIORITY, 0, 0),)


async def test_what_is_taken_back_is_counted_back(desk: Desk) -> None:
    accessor = (await desk.issue())["accessor"]

    def work(tx: Connection) -> None:
        fill(tx, accessor, 2000, prefix="a")
        raise LookupError

    with pytest.raises(LookupError):
        await desk.store.write(work)
    assert await desk.store.read(places.waiting) == 0
    await desk.store.read(lambda tx: agrees(tx, random.Random(1)))


async def place_of(desk: Desk, id: str) -> Place:
    job = await desk.store.read(lambda tx: jobs.get(tx, id))
    assert job is not None
    return job.place


async def standing(desk: Desk, id: str, headers: dict[str, str]) -> int:
    answer = await desk.http.get(f"/v1/videos/{id}", headers=headers)
    return int(answer.headers["leakdrill-queue-ahead"])


@pytest.mark.parametrize("order", ["fifo", "fair"])
async def test_places_in_a_long_line_are_exact_on_two_gateways(make_desk: DeskMaker, order: str) -> None:
    """Before and after claims, cancellations in the middle and a revocation, with nothing of it known in advance."""
    one, two = await make_desk(queue_order=order), await make_desk(queue_order=order, replica="r2")
    leaked, other, third = [await one.issue(name) for name in ("leaked", "other", "third")]

    def fill_both(tx: Connection) -> None:
        fill(tx, leaked["accessor"], 1500, prefix="a", turn=0, each=1 if order == "fair" else 1 << 40)
        fill(tx, third["accessor"], 1500, prefix="b", turn=0, each=1 if order == "fair" else 1 << 40)

    await one.store.write(fill_both)
    late = await one.create(bearer_of(other))
    watched = [("a700", leaked), ("b3", third), ("b1499", third), (late["id"], other)]

    async def compare() -> None:
        line = await one.store.read(line_of)
        for id, token in watched:
            place = await place_of(one, id)
            if place in line:
                expected = line.index(place)
                for desk in (one, two):
                    assert await standing(desk, id, bearer_of(token)) == expected, (id, desk.settings.replica)

    await compare()
    for _ in range(3):
        await two.claimed()
    await one.http.delete("/v1/videos/a650", headers=bearer_of(leaked))
    await two.http.delete("/v1/videos/b2", headers=bearer_of(third))
    await compare()
    await one.revoke({"accessor": leaked["accessor"]})
    watched = watched[1:]
    await compare()
    await one.store.read(lambda tx: agrees(tx, random.Random(1)))


@pytest.mark.parametrize("order", ["fifo", "fair"])
async def test_what_was_read_of_a_long_line_is_enough_for_those_who_come(make_desk: DeskMaker, order: str) -> None:
    """A gateway that keeps its reading for an hour tells newcomers how many were ahead of them then, and its own."""
    desk = await make_desk(queue_order=order, estimate_seconds=3600)
    leaked, other = await desk.issue("leaked"), await desk.issue("other")
    each = 1 if order == "fair" else 1 << 40
    await desk.store.write(lambda tx: fill(tx, leaked["accessor"], 2000, prefix="a", turn=-1, each=each))
    await desk.http.get("/status")
    for number in range(3):
        video = await desk.create(bearer_of(other))
        expected = 2000 + number if order == "fifo" else 2 * number + 1
        assert await standing(desk, video["id"], bearer_of(other)) == expected
    for number in (1, LISTED, LISTED + 1, 1000, 2000):
        assert await standing(desk, f"a{number}", bearer_of(leaked)) == number - 1


async def test_a_place_is_counted_again_only_where_its_block_has_changed(
    make_desk: DeskMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await make_desk()
    leaked = await desk.issue("leaked")
    await desk.store.write(lambda tx: fill(tx, leaked["accessor"], 3000, prefix="a"))
    counted: list[Place] = []
    rank = places.rank

    def counting(tx: Connection, start: Place, place: Place) -> int:
        counted.append(place)
        return rank(tx, start, place)

    monkeypatch.setattr(places, "rank", counting)
    for _ in range(3):
        assert await standing(desk, "a2000", bearer_of(leaked)) == 1999
    assert len(counted) == 1
    await desk.claimed()
    assert await standing(desk, "a2000", bearer_of(leaked)) == 1998
    assert len(counted) == 1
    await desk.http.delete("/v1/videos/a1999", headers=bearer_of(leaked))
    assert await standing(desk, "a2000", bearer_of(leaked)) == 1997
    assert len(counted) == 2
