import asyncio
import hashlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import FrozenClock, ReplayClock
from gateway.events import GENESIS, Event, EventKind, canonical, chain_hash, first_broken
from gateway.settings import Settings
from gateway.store import Connection, Store, events, exercise, open_store

pytestmark = pytest.mark.anyio


def test_a_replay_clock_runs_at_its_speed_and_can_pause() -> None:
    clock = ReplayClock(anchor=1000.0, anchor_wall=50.0, speed=60.0, running=True, utc_offset=-5 * 3600)
    assert clock.at(50.0) == 1000.0
    assert clock.at(52.0) == 1120.0
    paused = clock.moved(52.0, running=False)
    assert paused.at(99.0) == 1120.0
    assert paused.moved(99.0, running=True, speed=1.0).at(101.0) == 1122.0


def test_a_replay_clock_shows_the_replayed_place() -> None:
    clock = ReplayClock(anchor=1_732_627_800.0, anchor_wall=0.0, speed=1.0, running=True, utc_offset=-5 * 3600)
    assert clock.iso(0.0) == "2024-11-26T08:30:00-05:00"


def test_a_replay_clock_that_runs_out_of_the_calendar_shows_its_last_day() -> None:
    far = ReplayClock(anchor=253_402_300_799.0, anchor_wall=0.0, speed=100_000.0, running=True, utc_offset=50_400)
    assert far.iso(10.0**9) == "9999-12-31T14:00:00+14:00"
    early = ReplayClock(anchor=-62_135_596_800.0, anchor_wall=0.0, speed=1.0, running=False, utc_offset=-43_200)
    assert early.iso(0.0) == "0001-01-01T12:00:00-12:00"


def test_a_frozen_clock_does_not_go_back() -> None:
    clock = FrozenClock(5.0)
    clock.advance(1.5)
    assert clock.now() == 6.5
    with pytest.raises(ValueError, match="forward only"):
        clock.advance(-1)


async def written(store: Store, count: int) -> list[Event]:
    def work(tx: Connection) -> None:
        for number in range(count):
            events.append(tx, EventKind.BROADCAST_SET, at=float(number), actor="admin", data={"text": f"é{number}"})

    await store.write(work)
    return await store.read(lambda tx: events.page(tx, after=0, limit=100))


async def test_the_chain_holds_as_written(store: Store) -> None:
    found = await written(store, 5)
    assert [event.seq for event in found] == [1, 2, 3, 4, 5]
    assert found[0].previous == GENESIS
    assert first_broken(found) is None


@pytest.mark.parametrize(
    ("tamper", "caught_at"),
    [
        ('UPDATE events SET data = \'{"text":"x"}\' WHERE seq = 3', 3),
        ("UPDATE events SET at = at + 1 WHERE seq = 2", 2),
        ("DELETE FROM events WHERE seq = 3", 4),
        ("DELETE FROM events WHERE seq = 1", 2),
    ],
)
async def test_an_edited_or_dropped_line_is_found(store: Store, tamper: str, caught_at: int) -> None:
    await written(store, 5)
    await store.write(lambda tx: tx.execute(tamper))
    found = await store.read(lambda tx: events.page(tx, after=0, limit=100))
    assert first_broken(found) == caught_at


async def test_the_chain_holds_where_a_write_among_others_is_taken_back(store: Store, settings: Settings) -> None:
    def write(text: str, clock: ReplayClock | None = None) -> Callable[[Connection], None]:
        def work(tx: Connection) -> None:
            events.append(tx, EventKind.BROADCAST_SET, at=50.0, actor="admin", data={"text": text})
            if clock is not None:
                exercise.set_clock(tx, clock)
                events.append(tx, EventKind.CLOCK_SET, at=50.0, actor="admin")
            if text == "bad":
                raise RuntimeError(text)

        return work

    paused = ReplayClock(anchor=0.0, anchor_wall=0.0, speed=1.0, running=False)
    works = [write("one"), write("bad", paused), write("two"), write("three", paused), write("four")]
    await asyncio.gather(*(store.write(work, brief=True) for work in works), return_exceptions=True)
    other = open_store(settings.database)
    await other.write(write("elsewhere"))
    await store.write(write("five"))
    await other.close()
    found = await store.read(lambda tx: events.page(tx, after=0, limit=100))
    told = [(event.data.get("text", event.kind), event.replay_at is not None) for event in found]
    assert told == [
        ("one", False),
        ("two", False),
        ("three", False),
        ("clock.set", True),
        ("four", True),
        ("elsewhere", True),
        ("five", True),
    ]
    assert first_broken(found) is None


def test_the_hash_covers_every_field() -> None:
    base = {
        "at": 1.0,
        "replay_at": None,
        "kind": "job.queued",
        "actor": "a",
        "accessor": "tok_1",
        "job": "video_1",
        "data": canonical({"b": 1, "a": 2}),
    }
    seen = {chain_hash(GENESIS, **base)}  # type: ignore[arg-type]
    for name in base:
        seen.add(chain_hash(GENESIS, **{**base, name: 2.0 if name == "at" else "other"}))  # type: ignore[arg-type]
    seen.add(chain_hash("1" * 64, **base))  # type: ignore[arg-type]
    assert len(seen) == len(base) + 2


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(PLAIN, lambda one: st.lists(one) | st.dictionaries(TEXT, one), max_leaves=8)


@given(st.dictionaries(TEXT, VALUES), st.floats(allow_nan=False, allow_infinity=False), TEXT, st.none() | TEXT)
def test_what_is_stored_and_hashed_is_what_json_makes_of_it(
    data: dict[str, object], at: float, text: str, other: str | None
) -> None:
    def made(value: object) -> str:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert canonical(data) == made(data)
    line = made([GENESIS, at, other, text, text, other, other, made(data)])
    own = chain_hash(
        GENESIS, at=at, replay_at=other, kind=text, actor=text, accessor=other, job=other, data=canonical(data)
    )
    assert own == hashlib.sha256(line.encode()).hexdigest()
