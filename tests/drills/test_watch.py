"""Watches in virtual time, of a gateway that is not ours and behaves as each test needs."""

import asyncio
import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from drills.errors import TargetDown, TargetRefused
from drills.testing import run_virtual
from drills.watch.client import bearer_of
from drills.watch.clocks import BadTime, ClockReader, read_time
from drills.watch.journal import WatchJournal
from drills.watch.report import load_watch, render_watch
from drills.watch.run import WatchResult, run_watch
from drills.watch.session import Telling, WatchPlan
from hostile import poisoned
from pages import Page, shape

LEAKED, BESIDE = "key-of-a-tester", "key-of-a-bystander"
PLAN = WatchPlan(
    target="http://foreign.test", tokens=[bearer_of(LEAKED, "watched-1")],
    bystanders=[bearer_of(BESIDE, "bystander-1")], seconds=20, after_seconds=5,
)  # fmt: skip
REFUSED = httpx.Response(401, json={"error": {"code": "invalid_api_key", "message": ""}})
Behaviour = Callable[[float, str, str], httpx.Response | None]


@dataclass
class Foreign(httpx.AsyncBaseTransport):
    """A Videos API with one finished clip. `behave` is asked first: seconds, bearer, path; None: be sound."""

    behave: Behaviour = lambda now, token, path: None
    video: dict[str, Any] = field(default_factory=lambda: {"id": "v1", "object": "video", "status": "completed"})
    asked: list[str] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.004)
        now, path = asyncio.get_running_loop().time(), request.url.path
        self.asked.append(f"{request.method} {request.url.host}{path}")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        answer = self.behave(now, token, path)
        if answer is not None:
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        if not token and path.startswith("/v1"):
            return httpx.Response(401, json={})
        if path == "/v1/videos":
            return httpx.Response(200, json={"object": "list", "data": [self.video]})
        if path == "/v1/videos/v1":
            return httpx.Response(200, json=self.video)
        if path in ("/v1/videos/v1/content", "/clips/v1"):
            return httpx.Response(200, content=b"clip" * 5000, headers={"content-type": "video/mp4"})
        return httpx.Response(404, json={"error": {"code": "not_found"}})


def cut(at: float, lag: float = 0.0) -> Behaviour:
    """The leaked token is refused from then on."""
    return lambda now, token, path: REFUSED if token == LEAKED and now >= at + lag else None


def watch(
    out: Path, foreign: Foreign, plan: WatchPlan = PLAN, told_at: float | None = 6.0
) -> tuple[WatchResult, WatchJournal]:
    async def work() -> WatchResult:
        telling = Telling()
        if told_at is not None:
            asyncio.get_running_loop().call_later(told_at, telling.tell, "key")
        return await run_watch(plan, out=out, telling=telling, transport=foreign, wall=lambda: 1e9)

    result = run_virtual(work())
    return result, load_watch(result.paths["journal.json"])


def test_what_is_refused_when_it_is_told_is_contained(tmp_path: Path) -> None:
    foreign = Foreign(cut(6.0))
    result, journal = watch(tmp_path, foreign)
    assert (result.verdict, result.exit_code) == ("contained", 0), result.reasons
    assert journal.plan.surfaces == ["list", "poll", "download"]
    assert "nothing to ask at signed_link, stream" in journal.notes[0]
    assert not any(asked.startswith(("POST http", "DELETE")) for asked in foreign.asked)
    assert {asked for asked in foreign.asked if asked.startswith("POST")} == {"POST foreign.test/v1/videos/v1/link"}
    assert 40 <= len([each for each in journal.exchanges if each.actor == "probe"]) <= 8 * journal.ended + 12


@pytest.mark.parametrize(("bound", "verdict"), [(0.0, "not_contained"), (1.0, "not_contained"), (2.5, "contained")])
def test_a_lag_is_measured_and_a_bound_allows_it(tmp_path: Path, bound: float, verdict: str) -> None:
    result, journal = watch(tmp_path, Foreign(cut(6.0, lag=2.0)), replace(PLAN, bound_seconds=bound))
    assert result.verdict == verdict, result.reasons
    lags = [one.lag for one in journal.verdict.surfaces]
    assert all(lag is not None and 1.3 < lag < 2.0 for lag in lags), lags


def dies(now: float, token: str, path: str) -> httpx.Response | None:
    if now >= 6.0:
        raise httpx.ConnectError("gone")
    return None


def page(now: float, token: str, path: str) -> httpx.Response | None:
    answer = httpx.Response(200, html="<h1>Sign in</h1>")
    return answer if now >= 6.0 and token == LEAKED else None


def limits(now: float, token: str, path: str) -> httpx.Response | None:
    return httpx.Response(429, json={}) if now >= 6.0 and token == LEAKED else None


def nobody(now: float, token: str, path: str) -> httpx.Response | None:
    return REFUSED if now >= 6.0 else None


def flaps(now: float, token: str, path: str) -> httpx.Response | None:
    return REFUSED if token == LEAKED and now >= 6.0 and not 8.0 < now < 8.5 else None


def over_revokes(now: float, token: str, path: str) -> httpx.Response | None:
    other = bearer_of("key-of-another", "x").token
    return REFUSED if now >= 6.0 and token != other else None


def link_lives(now: float, token: str, path: str) -> httpx.Response | None:
    return REFUSED if token == LEAKED and now >= 6.0 and path != "/clips/v1" else None


@pytest.mark.parametrize(
    ("behave", "exit_code", "words"),
    [
        (dies, 3, "without a clear refusal"),
        (page, 3, "without a clear refusal"),
        (limits, 3, "without a clear refusal"),
        (nobody, 3, "tokens outside the revocation are not accepted: bystander-1"),
        (flaps, 1, "I2: "),
        (lambda now, token, path: None, 1, "I1: "),
    ],
)
def test_each_way_of_going_wrong_has_its_verdict(tmp_path: Path, behave: Behaviour, exit_code: int, words: str) -> None:
    result, _ = watch(tmp_path, Foreign(behave))
    assert (result.exit_code, words in " ".join(result.reasons)) == (exit_code, True), result.reasons


def test_a_bystander_who_is_refused_while_another_is_not_was_cut_by_mistake(tmp_path: Path) -> None:
    beside = [*PLAN.bystanders, bearer_of("key-of-another", "bystander-2")]
    result, journal = watch(tmp_path, Foreign(over_revokes), replace(PLAN, bystanders=beside))
    assert (result.exit_code, result.reasons[0][:3]) == (1, "I5:")
    assert {one.who for one in journal.verdict.offences} == {"bystander-1"}
    assert "1 uninvolved token lost access without being meant" in (tmp_path / "report.md").read_text()


def test_a_link_that_lives_on_is_found_and_not_written_down(tmp_path: Path) -> None:
    foreign = Foreign(
        link_lives, video={"id": "v1", "status": "completed", "url": "http://foreign.test/clips/v1?sig=s"}
    )
    result, journal = watch(tmp_path, foreign)
    assert result.exit_code == 1
    assert {one.surface for one in journal.verdict.offences} == {"signed_link"}
    assert all("clips" not in path.read_text() for path in tmp_path.iterdir())


def test_a_link_to_another_host_is_asked_only_if_that_is_named(tmp_path: Path) -> None:
    video = {"id": "v1", "status": "completed", "url": "http://media.test/clips/v1"}
    foreign = Foreign(cut(6.0), video=video)
    _, journal = watch(tmp_path / "a", foreign)
    assert "a link leads to media.test, which is not asked" in " ".join(journal.notes)
    assert not any("media.test" in asked for asked in foreign.asked)
    result, journal = watch(tmp_path / "b", foreign, replace(PLAN, hosts=frozenset({"media.test"})))
    assert "signed_link" in journal.plan.surfaces
    assert any("media.test" in asked for asked in foreign.asked)
    assert result.exit_code == 1  # it lives on


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (httpx.Response(200, html="<h1>Hello</h1>"), TargetRefused, "no Videos API"),
        (httpx.Response(200, json={"data": "x"}), TargetRefused, "no Videos API"),
        (httpx.Response(302, headers={"location": "/login"}), TargetRefused, "no Videos API"),
        (httpx.Response(404, json={}), TargetRefused, "no Videos API"),
        (REFUSED, TargetRefused, "begins while every token is accepted"),
        (httpx.Response(503, json={}), TargetDown, "answered 503"),
        (httpx.Response(429, json={}), TargetDown, "429"),
    ],
)
def test_what_is_no_videos_api_is_told_and_leaves_nothing(
    tmp_path: Path, answer: httpx.Response, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        watch(tmp_path / "out", Foreign(lambda now, token, path: answer))
    assert not (tmp_path / "out").exists()


def test_another_status_can_be_a_refusal(tmp_path: Path) -> None:
    denied = httpx.Response(403, json={"error": {"code": "key_disabled"}})
    foreign = Foreign(lambda now, token, path: denied if token == LEAKED and now >= 6 else None)
    assert watch(tmp_path / "a", foreign)[0].exit_code == 3
    assert watch(tmp_path / "b", foreign, replace(PLAN, refusals=frozenset({403})))[0].exit_code == 0


def test_nobody_tells_and_nothing_is_refused(tmp_path: Path) -> None:
    result, journal = watch(tmp_path, Foreign(), told_at=None)
    assert (result.exit_code, result.reasons) == (3, ["nobody told of a revocation, and no request was refused"])
    assert 20 <= journal.ended < 21


def test_nobody_tells_but_what_comes_back_is_late_for_certain(tmp_path: Path) -> None:
    result, journal = watch(tmp_path, Foreign(flaps), told_at=None)
    assert journal.moment is not None
    assert (result.exit_code, journal.moment.how) == (1, "inferred")


def test_a_time_that_is_given_is_as_good_as_it_is_written(tmp_path: Path) -> None:
    given = read_time("2001-09-09T01:46:46Z", datetime.now(UTC))  # second 6 of the watch, which begins at 1e9
    assert given.at - 1e9 == 6
    result, journal = watch(tmp_path / "a", Foreign(cut(6.0)), replace(PLAN, given=given), told_at=None)
    assert result.exit_code == 0, result.reasons
    assert journal.moment is not None
    assert (journal.moment.earliest, journal.moment.latest) == (6.0, 7.0)
    result, _ = watch(tmp_path / "b", Foreign(cut(6.0, lag=0.5)), replace(PLAN, given=given), told_at=None)
    assert result.exit_code == 3
    assert "may have come after it" in result.reasons[0]


@pytest.mark.parametrize(
    ("text", "at", "width"),
    [
        ("2026-03-01T14:05:09+01:00", 1772370309.0, 1.0),
        ("2026-03-01 13:05Z", 1772370300.0, 60.0),
        ("13:05:09.250", 1772370309.25, 0.001),
    ],
)
def test_times_as_people_write_them(text: str, at: float, width: float) -> None:
    found = read_time(text, datetime(2026, 3, 1, tzinfo=UTC))
    assert found.at == at
    assert found.width == pytest.approx(width)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "14:05.5", "2026-02-30T10:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BadTime, match="is no time"):
        read_time(text, datetime(2026, 3, 1, tzinfo=UTC))


def test_dates_narrow_the_server_clock_down() -> None:
    reader = ClockReader()
    for start in (0.2, 0.9, 1.3, 5.95):
        ahead = 100.0 + start + 0.02
        header = datetime.fromtimestamp(int(ahead), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        reader.show(header, start, start + 0.04)
    reader.show("yesterday", 9, 9)
    read = reader.read()
    assert read is not None
    assert read.answers == 4
    assert read.low <= 100 <= read.high
    assert read.high - read.low < 2


def test_same_journal_same_bytes_and_no_token(tmp_path: Path) -> None:
    result, _ = watch(tmp_path, Foreign(cut(6.0, lag=1.0)))
    again = render_watch(result.paths["journal.json"], tmp_path / "again")
    for name, path in again.items():
        assert path.read_bytes() == result.paths[name].read_bytes(), name
    for path in (*result.paths.values(), *again.values()):
        assert not any(token in path.read_text() for token in (LEAKED, BESIDE))
    assert json.loads((tmp_path / "journal.json").read_text())["tokens"][0]["fingerprint"].startswith("fp_")


def test_the_words_of_a_gateway_stay_words_in_a_watchs_reports(tmp_path: Path) -> None:
    _, journal = watch(tmp_path, Foreign(cut(6.0, lag=2.0)))
    kept = frozenset({"Exchange.surface", "Offence.surface", "SurfaceResult.surface", "WatchJournal.format"})
    texts = {}
    for name, one in (("plain", journal), ("bad", poisoned(journal, kept))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.json").write_text(one.model_dump_json(), encoding="utf-8")
        paths = render_watch(tmp_path / name / "journal.json", tmp_path / name)
        texts[name] = {file: path.read_text(encoding="utf-8") for file, path in paths.items()}
    plain, bad = texts["plain"], texts["bad"]
    assert "HYPERLINK" in bad["report.md"]
    assert Page(bad["report.html"]).tags == Page(plain["report.html"]).tags
    assert shape(bad["report.md"]) == shape(plain["report.md"])
    rows = list(csv.reader(io.StringIO(bad["timeline.csv"])))
    assert bad["timeline.csv"].count("\n") == len(rows) == plain["timeline.csv"].count("\n")
    assert not [cell for row in rows for cell in row[1:] if cell[:1] in ("=", "+", "-", "@")]
