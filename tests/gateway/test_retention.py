"""What ages out, when, and what must stay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from desk import Desk, DeskMaker
from gateway.retention import Retention
from gateway.store import ageing
from gateway.supervisor import _put_aside

pytestmark = pytest.mark.anyio

DAY = 86_400.0


def retention(desk: Desk) -> Retention:
    return Retention(desk.settings, desk.store, desk.clock)


async def sweep(desk: Desk) -> dict[str, int]:
    return await retention(desk).sweep(wall=desk.clock.now())


def files(desk: Desk) -> set[str]:
    return {path.name for path in desk.settings.media.iterdir()}


async def rows(desk: Desk, table: str) -> int:
    found = await desk.store.read(lambda tx: tx.fetch_one(f"SELECT count(*) AS n FROM {table}"))
    assert found is not None
    return int(found["n"])


async def test_a_clip_whose_time_is_over_is_removed_and_a_later_one_is_not(desk: Desk) -> None:
    headers = await desk.bearer()
    await desk.create(headers)
    await desk.create(headers)
    old = await desk.finished()
    (desk.settings.media / f"{old.id}.1.webp").write_bytes(b"x")
    desk.clock.advance(desk.settings.clip_seconds - 10)
    new = await desk.finished()
    sweeper = retention(desk)
    assert (await sweeper.sweep(wall=0))["clips"] == 0
    desk.clock.advance(11)
    assert (await sweeper.sweep(wall=0))["clips"] == 1
    assert files(desk) == {f"{new.id}.1.mp4"}
    assert (await sweeper.sweep(wall=0))["clips"] == 0
    desk.clock.advance(desk.settings.clip_seconds)
    assert (await sweeper.sweep(wall=0))["clips"] == 1
    answer = await desk.http.get(f"/v1/videos/{old.id}/content", headers=headers)
    assert answer.json()["error"]["code"] == "content_expired"
    assert await rows(desk, "jobs") == 2  # by default they are known for ever
    assert await desk.events("records.aged") == []


async def test_more_clips_of_one_moment_than_fit_into_one_question(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ageing, "AT_ONCE", 2)
    headers = await desk.bearer()
    for _ in range(5):
        await desk.create(headers)
        await desk.finished()
    desk.clock.advance(desk.settings.clip_seconds + 1)
    assert (await sweep(desk))["clips"] == 5
    assert files(desk) == set()


async def test_old_jobs_go_but_not_those_that_wait_are_young_or_were_paid_for(
    make_desk: DeskMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ageing, "AT_ONCE", 2)
    desk = await make_desk(keep_jobs_days=7.0)
    headers, metered = await desk.bearer(), await desk.bearer("eve", credits=500)
    for _ in range(3):
        await desk.create(headers)
        await desk.finished()
    await desk.create(metered)
    paid = await desk.finished()
    desk.clock.advance(8 * DAY)
    await desk.create(headers)
    young = await desk.finished()
    waiting = (await desk.create(headers))["id"]
    assert (await sweep(desk))["jobs"] == 3
    listed = [video["id"] for name in (headers, metered) for video in await listing(desk, name)]
    assert sorted(listed) == sorted([waiting, young.id, paid.id])
    assert files(desk) == {f"{young.id}.1.mp4"}
    (told,) = await desk.events("records.aged")
    assert told["data"] == {"jobs": 3}
    assert (await desk.http.get("/control/credits", headers=desk.admin)).json()["balanced"] is True
    assert (await desk.finished()).id == waiting  # the line still counts right


async def listing(desk: Desk, headers: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await desk.http.get("/v1/videos", headers=headers)).json()["data"]
    return found


async def test_ended_deliveries_go_and_owed_ones_stay(make_desk: DeskMaker) -> None:
    desk = await make_desk(keep_deliveries_days=1.0)
    columns = "(id, endpoint, accessor, event_type, payload, state, created_at, ended_at)"
    end = desk.clock.now()
    for id, state, ended in (("d1", "delivered", end), ("d2", "pending", None), ("d3", "dead", end + 2 * DAY)):
        params = {"id": id, "state": state, "ended": ended}
        text = f"INSERT INTO webhook_deliveries {columns} VALUES (:id, 'e', 'a', 'x', '{{}}', :state, 0, :ended)"
        await desk.store.write(lambda tx, text=text, params=params: tx.execute(text, params))  # type: ignore[misc]
    desk.clock.advance(1.5 * DAY)
    gone = await sweep(desk)
    assert (gone["deliveries"], gone["signals"]) == (1, 0)
    assert await rows(desk, "webhook_deliveries") == 2


async def test_reports_go_once_nothing_in_them_has_changed_for_long(make_desk: DeskMaker) -> None:
    desk = await make_desk(keep_reports_days=1.0)
    for name, age in (("old", 2 * DAY), ("new", DAY / 2)):
        folder = desk.settings.data / "reports" / name
        folder.mkdir()
        (folder / "journal.json").write_text("{}")
        for path in (folder / "journal.json", folder):
            os.utime(path, (desk.clock.now() - age, desk.clock.now() - age))
    assert (await sweep(desk))["reports"] == 1
    assert [path.name for path in (desk.settings.data / "reports").iterdir()] == ["new"]


def test_a_log_that_has_grown_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    _put_aside(log, 5)
    for text in ("first one", "second one"):
        log.write_text(text)
        _put_aside(log, 100)
        assert log.exists()
        _put_aside(log, 5)
        assert not log.exists()
    assert (tmp_path / "gateway.log.1").read_text() == "second one"
