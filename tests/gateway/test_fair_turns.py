"""Who is served next where tokens are served in turn, and where they are not."""

from typing import Any

import pytest

from desk import Desk, DeskMaker, bearer_of

pytestmark = pytest.mark.anyio

MINTER: dict[str, Any] = {"scopes": ["videos:read", "videos:write", "tokens:mint"]}


@pytest.fixture
async def fair(make_desk: DeskMaker) -> Desk:
    return await make_desk(queue_order="fair")


async def several(desk: Desk, headers: dict[str, str], number: int) -> list[str]:
    return [(await desk.create(headers))["id"] for _ in range(number)]


async def served(desk: Desk, number: int) -> list[str]:
    """The ids of the next jobs, each finished before the next is taken."""
    return [(await desk.finished()).id for _ in range(number)]


async def child(desk: Desk, headers: dict[str, str]) -> dict[str, str]:
    answer = await desk.http.post("/v1/tokens", json={}, headers=headers)
    assert answer.status_code == 201, answer.text
    return bearer_of(answer.json())


async def places(desk: Desk, ids: list[str], headers: dict[str, str]) -> list[str | None]:
    answers = [await desk.http.get(f"/v1/videos/{id}", headers=headers) for id in ids]
    return [answer.headers.get("leakdrill-queue-ahead") for answer in answers]


async def test_first_come_first_served_unless_told_otherwise(desk: Desk) -> None:
    leaked, other = await desk.bearer("leaked"), await desk.bearer("other")
    first, second = await several(desk, leaked, 3), await several(desk, other, 2)
    assert await places(desk, second, other) == ["3", "4"]
    assert await served(desk, 5) == first + second


async def test_tokens_are_served_in_turn(fair: Desk) -> None:
    leaked, other, third = [await fair.bearer(name) for name in ("leaked", "other", "third")]
    a, b, c = await several(fair, leaked, 5), await several(fair, other, 2), await several(fair, third, 1)
    assert await places(fair, a, leaked) == ["0", "3", "5", "6", "7"]
    assert await places(fair, b + c, other) == ["1", "4", None]
    assert await served(fair, 8) == [a[0], b[0], c[0], a[1], b[1], a[2], a[3], a[4]]


async def test_whoever_comes_later_waits_for_no_more_than_a_turn(fair: Desk) -> None:
    leaked, other = await fair.bearer("leaked"), await fair.bearer("other")
    waiting = await several(fair, leaked, 9)
    assert await served(fair, 4) == waiting[:4]
    late = await several(fair, other, 2)
    assert await places(fair, late, other) == ["0", "2"]
    assert await served(fair, 4) == [late[0], waiting[4], late[1], waiting[5]]


async def test_who_asks_for_one_at_a_time_does_not_go_before_all_others(fair: Desk) -> None:
    patient, other = await fair.bearer("patient"), await fair.bearer("other")
    waiting = await several(fair, patient, 4)
    order = []
    for _ in range(4):
        await several(fair, other, 1)
        order += await served(fair, 2)
    assert [id for id in order if id in waiting] == waiting
    assert [id in waiting for id in order[::2]] != [id in waiting for id in order[1::2]]


async def test_minted_tokens_share_the_turns_of_the_one_above_all(fair: Desk) -> None:
    leaked, other = await fair.bearer("leaked", **MINTER), await fair.bearer("other")
    below = [await child(fair, leaked) for _ in range(3)]
    theirs = [await fair.create(one) for one in (leaked, *below)]
    own = await several(fair, other, 4)
    expected = [id for pair in zip([one["id"] for one in theirs], own, strict=True) for id in pair]
    assert await served(fair, 8) == expected


async def test_priorities_go_first_and_each_has_turns_of_its_own(fair: Desk) -> None:
    free, partner = await fair.bearer("free", tier="free"), await fair.bearer("partner", tier="partner")
    waiting, sooner = await several(fair, free, 3), await several(fair, partner, 3)
    assert await served(fair, 6) == sooner + waiting


async def test_a_job_that_is_given_back_has_its_old_place(fair: Desk) -> None:
    from gateway.jobs import lifecycle

    leaked, other = await fair.bearer("leaked"), await fair.bearer("other")
    a, b = await several(fair, leaked, 3), await several(fair, other, 3)
    first = await fair.claimed()
    second = await fair.claimed()
    assert [first.id, second.id] == [a[0], b[0]]
    third = await fair.claimed()
    assert await lifecycle.release(fair.store, first, worker="w1", now=fair.clock.now())
    assert await served(fair, 1) == [a[0]]
    assert third.id == a[1]


async def test_what_is_cancelled_costs_no_turn(fair: Desk) -> None:
    hasty, other = await fair.bearer("hasty"), await fair.bearer("other")
    cancelled, others = await several(fair, hasty, 5), await several(fair, other, 5)
    for id in cancelled:
        await fair.http.delete(f"/v1/videos/{id}", headers=hasty)
    [again] = await several(fair, hasty, 1)
    assert await places(fair, [again], hasty) == ["1"]
    assert await served(fair, 3) == [others[0], again, others[1]]


async def turns(desk: Desk) -> list[tuple[Any, ...]]:
    def rows(tx: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in tx.fetch_all("SELECT root, priority, turn FROM turns ORDER BY turn")]

    return await desk.store.read(rows)


async def test_turns_are_counted_anew_once_nobody_waits_or_is_served(fair: Desk) -> None:
    one = await fair.issue("one")
    await several(fair, bearer_of(one), 4)
    await served(fair, 3)
    last = await fair.claimed()
    [late] = await several(fair, bearer_of(one), 1)
    assert await turns(fair) == [("", 0, 3), (one["accessor"], 0, 4)]
    assert await fair.complete(last)
    assert await served(fair, 1) == [late]
    await several(fair, bearer_of(one), 1)
    assert await turns(fair) == [(one["accessor"], 0, 0)]


async def test_who_waits_keeps_the_place_when_the_order_is_changed(make_desk: DeskMaker) -> None:
    fair, fifo = await make_desk(queue_order="fair"), await make_desk(queue_order="fifo")
    leaked, other = await fair.bearer("leaked"), await fair.bearer("other")
    a = await several(fair, leaked, 3)
    b = await several(fair, other, 1)
    late = await several(fifo, other, 2)
    assert await served(fifo, 6) == [a[0], b[0], a[1], a[2], *late]
