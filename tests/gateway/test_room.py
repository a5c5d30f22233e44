"""Who may join a waiting line that is nearly or entirely full, and how long whoever may not is told to wait."""

from typing import Any

import httpx
import pytest

from desk import Desk, DeskMaker, bearer_of
from gateway.jobs import room
from gateway.store import turns, workers
from gateway.store.workers import Worker

pytestmark = pytest.mark.anyio

MINTER: dict[str, Any] = {"scopes": ["videos:read", "videos:write", "tokens:mint"]}
LIMIT = 40  # of which the last four are the reserve


async def asked(desk: Desk, headers: dict[str, str]) -> httpx.Response:
    return await desk.http.post("/v1/videos", json={"prompt": "one more"}, headers=headers)


async def fill(desk: Desk, headers: dict[str, str], number: int) -> None:
    for _ in range(number):
        await desk.create(headers)


async def accepted(desk: Desk, headers: dict[str, str]) -> int:
    """How many more the token gets into the line."""
    number = 0
    while (answer := await asked(desk, headers)).status_code == 200:
        number += 1
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
    return number


async def hire(desk: Desk, *slots: int) -> None:
    """So many workers are heard of right now."""
    now = desk.clock.now()
    for number, each in enumerate(slots):
        worker = Worker(f"w{number}", "host", 1000 + number, each, now, now)
        await desk.store.write(lambda tx, worker=worker: workers.register(tx, worker))  # type: ignore[misc]


async def render(desk: Desk, headers: dict[str, str], seconds: float) -> None:
    """One video, which took so long."""
    await desk.create(headers)
    job = await desk.claimed()
    desk.clock.advance(seconds)
    assert await desk.complete(job)


# how long to wait


@pytest.mark.parametrize(
    ("seconds", "slots", "beyond", "told"),
    [
        (3.0, (1,), 1, 3),  # one must leave
        (3.0, (1, 2), 1, 1),  # three slots
        (3.0, (2,), 5, 8),  # five must leave: 7.5 s
        (3.0, (2,), 60, 90),  # the line is far beyond its limit
        (50.0, (1,), 3, 120),  # clients do not wait longer
    ],
)
@pytest.mark.parametrize("order", ["fifo", "fair"])
async def test_a_full_line_tells_when_a_place_is_free_at_the_present_rate(
    make_desk: DeskMaker, order: str, seconds: float, slots: tuple[int, ...], beyond: int, told: int
) -> None:
    wide = await make_desk(queue_order=order)
    narrow = await make_desk(queue_order=order, queue_limit=4, replica="r2")
    headers = await wide.bearer()
    await render(wide, headers, seconds)
    await fill(wide, headers, 3 + beyond)
    await hire(wide, *slots)
    refused = await asked(narrow, headers)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, str(told))
    assert f"{3 + beyond} videos are waiting" in refused.json()["error"]["message"]


async def test_who_waits_as_told_finds_a_place(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_limit=5)
    headers = await desk.bearer()
    await render(desk, headers, 4.0)
    await hire(desk, 1)
    await desk.create(headers)
    rendered = await desk.claimed()
    await fill(desk, headers, 5)
    refused = await asked(desk, headers)
    assert refused.headers["retry-after"] == "4"
    desk.clock.advance(4.0)
    assert await desk.complete(rendered)
    await desk.claimed()
    assert (await asked(desk, headers)).status_code == 200


async def test_where_nobody_renders_the_answer_says_so(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_limit=2)
    headers = await desk.bearer()
    await fill(desk, headers, 2)
    refused = await asked(desk, headers)
    assert "No worker is there" in refused.json()["error"]["message"]
    assert refused.headers["retry-after"] == "120"
    await hire(desk, 1)
    again = await asked(desk, headers)
    assert "No worker" not in again.json()["error"]["message"]
    assert int(again.headers["retry-after"]) < 120
    desk.clock.advance(60)  # and was heard of no more
    assert "No worker is there" in (await asked(desk, headers)).json()["error"]["message"]


# the reserve


async def test_one_token_cannot_fill_a_fair_line(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_order="fair", queue_limit=LIMIT)
    leaked, other, third = [await desk.bearer(name) for name in ("leaked", "other", "third")]
    assert await accepted(desk, leaked) == 36
    assert await accepted(desk, other) == 2
    assert await accepted(desk, third) == 1
    assert await accepted(desk, await desk.bearer("fourth")) == 1
    full = await asked(desk, await desk.bearer("fifth"))
    assert "40 videos are waiting, which is the limit" in full.json()["error"]["message"]
    # In its turn the leaked token's own goes first, but the place that comes free is not for it.
    await desk.finished()
    assert await accepted(desk, leaked) == 0
    assert await accepted(desk, await desk.bearer("sixth")) == 1


async def test_the_refusal_says_what_the_last_places_are_for(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_order="fair", queue_limit=LIMIT)
    leaked = await desk.bearer("leaked")
    await render(desk, leaked, 7.0)
    await hire(desk, 2)
    await fill(desk, leaked, 36)
    refused = await asked(desk, leaked)
    said = refused.json()["error"]["message"]
    assert "The last 4 places of 40 are kept for tokens that have" in said
    assert "fewer than 4 in line" in said
    assert refused.headers["retry-after"] == "4"


async def test_whoever_has_few_waiting_enters_until_the_line_is_full(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_order="fair", queue_limit=LIMIT)
    await fill(desk, await desk.bearer("leaked"), 36)
    got = [await accepted(desk, await desk.bearer(f"tester-{number}")) for number in range(5)]
    assert got == [2, 1, 1, 0, 0]
    assert (await desk.http.get("/status")).json()["queue"]["waiting"] == LIMIT


async def test_a_token_that_is_served_comes_in_again(make_desk: DeskMaker) -> None:
    """What the reserve is for: a token with few in line is served in every turn, however much another sends."""
    desk = await make_desk(queue_order="fair", queue_limit=LIMIT)
    leaked, other = await desk.bearer("leaked"), await desk.bearer("other")
    await accepted(desk, leaked)
    mine = []
    for _ in range(20):
        mine.append((await desk.create(other))["id"])
        await accepted(desk, leaked)
        assert mine[-1] in [(await desk.finished()).id for _ in range(2)]


async def test_minted_tokens_have_no_reserve_of_their_own(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_order="fair", queue_limit=LIMIT)
    leaked = await desk.issue("leaked", **MINTER)
    scopes = {"scopes": MINTER["scopes"]}
    child = (await desk.http.post("/v1/tokens", json=scopes, headers=bearer_of(leaked))).json()
    below = (await desk.http.post("/v1/tokens", json={}, headers=bearer_of(child))).json()
    await fill(desk, bearer_of(child), 36)
    for one in (leaked, child, below):
        assert await accepted(desk, bearer_of(one)) == 0
    assert await accepted(desk, await desk.bearer("other")) == 2


async def test_a_token_that_has_minted_very_many_has_no_part_in_the_reserve(
    make_desk: DeskMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MOST_COUNTED", 3)
    desk = await make_desk(queue_order="fair", queue_limit=LIMIT)
    await fill(desk, await desk.bearer("leaked"), 36)
    minter = await desk.bearer("minter", **MINTER)
    for _ in range(2):
        assert (await desk.http.post("/v1/tokens", json={}, headers=minter)).status_code == 201
    assert await accepted(desk, minter) == 0


async def test_first_come_first_served_has_no_reserve(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_order="fifo", queue_limit=LIMIT)
    assert await accepted(desk, await desk.bearer("leaked")) == LIMIT
    assert await accepted(desk, await desk.bearer("other")) == 0


async def test_a_short_line_has_no_reserve(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_order="fair", queue_limit=9)
    assert await accepted(desk, await desk.bearer("leaked")) == 9


async def test_nobodys_line_is_counted_while_the_whole_is_short(
    make_desk: DeskMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    look = turns.at_least_waiting_below

    def counting(tx: Any, root: str, number: int) -> bool:
        counted.append(root)
        return look(tx, root, number)

    monkeypatch.setattr(turns, "at_least_waiting_below", counting)
    desk = await make_desk(queue_order="fair", queue_limit=LIMIT)
    issued = await desk.issue("leaked")
    await fill(desk, bearer_of(issued), 36)
    assert counted == []
    assert await accepted(desk, bearer_of(issued)) == 0
    assert counted == [issued["accessor"]]


@pytest.mark.sqlite_alone
@pytest.mark.parametrize("limit", [10, 17, 40, 100, 1000, 100_000])
async def test_the_reserve_is_shared_evenly_and_always_has_a_first_place(limit: int) -> None:
    reserve = room.reserved(limit)
    allowed = [room.may_wait(free, reserve) for free in range(1, reserve + 1)]
    assert allowed == sorted(allowed)
    assert (allowed[0], allowed[-1]) == (1, min(room.LONGEST, reserve))
