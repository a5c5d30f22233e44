"""`/metrics`: each figure moves when its thing happens, says the same on every gateway, and keeps its labels few."""

from __future__ import annotations

import random
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from desk import Desk, DeskMaker, bearer_of
from gateway.events import EventKind
from gateway.jobs import lifecycle
from gateway.metrics import ProcessCounts, service, tally
from gateway.metrics.counts import REQUEST_BOUNDS
from gateway.metrics.exposition import wants_openmetrics
from gateway.metrics.tally import SPAN_BOUNDS
from gateway.outbound import Policy
from gateway.store import Connection, events
from gateway.store.uses import Use
from gateway.store.workers import Worker
from gateway.tokens.keys import load_keyring
from gateway.web.limits import RequestId
from gateway.webhooks.delivery import Deliverer
from gateway.webhooks.sending import Sender
from receiver import receiving
from scraping import OPENMETRICS, answer, read, scrape
from signalling import accepting, add_sink
from signalling import deliver as push

pytestmark = pytest.mark.anyio


async def test_both_formats_say_the_same_to_prometheus_own_parsers(desk: Desk) -> None:
    headers = await desk.bearer()
    await desk.create(headers)
    await scrape(desk)
    plain = await answer(desk)
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    open_ = await answer(desk, accept=OPENMETRICS)
    assert open_.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert open_.text.endswith("# EOF\n")
    first, second = read(plain.text), read(open_.text, openmetrics=True)
    assert first.shared() == second.shared()
    assert first.kinds == second.kinds
    assert set(first.kinds.values()) == {"counter", "gauge", "histogram"}
    assert all(name.startswith("leakdrill_") for name in first.kinds)


async def test_a_job_is_followed_from_the_line_to_its_end(desk: Desk) -> None:
    standard, free = await desk.bearer(), await desk.bearer("tester-002", tier="free")
    await lifecycle.worker_started(desk.store, Worker("w1", "here", 1, 3, desk.clock.now(), desk.clock.now()))
    for headers in (standard, standard, standard, free):
        await desk.create(headers)
    desk.clock.advance(4)
    before = await scrape(desk)
    assert before.some("jobs") == {"queued/standard": 3, "queued/free": 1}
    assert before.get("oldest_waiting_seconds") == 4
    assert (before.get("workers"), before.get("worker_slots")) == (1, 3)
    assert before.get("jobs_queued_total") == 4

    given_back = await desk.claimed()
    assert await lifecycle.release(desk.store, given_back, worker="w1", now=desk.clock.now())
    stalled = await desk.claimed()
    await lifecycle.look_for_silent(desk.store, desk.silence)
    desk.clock.advance(5.5)
    await lifecycle.look_for_silent(desk.store, desk.silence)
    silent = await scrape(desk)
    assert silent.get("jobs_stalled") == 1
    assert silent.some("jobs") == {"queued/standard": 2, "in_progress/standard": 1, "queued/free": 1}
    assert (silent.get("workers"), silent.get("worker_slots")) == (0, 0)
    taken_over = await desk.claimed("w2")
    assert taken_over.id == stalled.id
    assert await desk.complete(taken_over)
    doomed = await desk.claimed("w2")
    assert await lifecycle.fail(
        desk.store, doomed, worker="w2", code="render_failed", message="no", now=desk.clock.now()
    )
    running = await desk.claimed("w2")
    assert (await desk.http.post(f"/v1/videos/{running.id}/cancel", headers=standard)).status_code == 200
    waiting = (await desk.http.get("/v1/videos", headers=free)).json()["data"][0]["id"]
    assert (await desk.http.delete(f"/v1/videos/{waiting}", headers=free)).status_code == 200

    after = await scrape(desk)
    assert after.some("jobs") == {}
    assert after.get("oldest_waiting_seconds") == 0
    assert [after.get(f"job_{what}_total") for what in ("claims", "reclaims", "stalls", "releases")] == [4, 1, 1, 1]
    assert after.some("job_aborts_total") == {"cancelled": 1}
    assert after.get("jobs_completed_total") == 1
    assert after.some("jobs_failed_total") == {"render_failed": 1, "cancelled": 2}
    assert after.some("job_wait_seconds_count") == {"standard": 3}
    assert after.get("job_run_seconds_sum") == 5.5
    ended = after.get("jobs_completed_total") + sum(after.some("jobs_failed_total").values())
    assert ended == after.get("jobs_queued_total")


async def test_a_job_that_every_worker_lost_is_a_stall_and_a_failure(make_desk: DeskMaker) -> None:
    desk = await make_desk(max_attempts=2)
    await desk.create(await desk.bearer())
    for _ in range(2):
        await desk.claimed()
        desk.clock.advance(6)
    assert await desk.claim() is None
    figures = await scrape(desk)
    assert figures.some("jobs_failed_total") == {"worker_lost": 1}
    assert (figures.get("job_reclaims_total"), figures.get("job_stalls_total")) == (1, 2)


async def test_histograms_sum_up_what_clients_measured(desk: Desk) -> None:
    chance, headers, waited, ran = random.Random(7), await desk.bearer(tier="unlimited"), [], []
    for _ in range(12):
        arrived = desk.clock.now()
        await desk.create(headers)
        desk.clock.advance(chance.choice([0, 0.004, 0.3, 7, 4000]))
        job = await desk.claimed()
        waited.append(desk.clock.now() - arrived)
        desk.clock.advance(chance.choice([0.004, 0.05, 20, 90]))
        assert await desk.complete(job)
        video = (await desk.http.get(f"/v1/videos/{job.id}", headers=headers)).json()
        assert video["status"] == "completed"
        ran.append(desk.clock.now() - arrived - waited[-1])
        if chance.random() < 0.3:
            await scrape(desk)  # a scrape in between changes nothing
    figures = await scrape(desk)
    for name, labels, measured in (
        ("job_wait_seconds", {"tier": "unlimited"}, waited),
        ("job_run_seconds", {}, ran),
    ):
        assert figures.get(f"{name}_count", **labels) == 12
        assert figures.get(f"{name}_sum", **labels) == pytest.approx(sum(measured))
        for bound in SPAN_BOUNDS:
            within = sum(one <= bound for one in measured)
            assert figures.get(f"{name}_bucket", **labels, le=str(bound)) == within


async def test_a_revocation_and_what_it_stops(desk: Desk) -> None:
    issued = await desk.issue()
    headers, other = bearer_of(issued), await desk.bearer("tester-002", "beta")
    for _ in range(3):
        await desk.create(headers)
    await desk.create(other)
    await desk.claimed()
    assert (await desk.revoke({"cohort": "alpha"})).status_code == 200
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 401
    figures = await scrape(desk)
    assert (figures.get("revocations_total"), figures.get("revoked_tokens_total")) == (1, 1)
    assert figures.get("revocation_duration_seconds_count") == 1
    assert figures.some("jobs_failed_total") == {"access_revoked": 3}
    assert figures.some("job_aborts_total") == {"revoked": 1}
    assert figures.some("jobs") == {"queued/standard": 1}
    assert figures.some("tokens") == {"active": 1, "revoked": 1}
    assert figures.some("known_token_refusals_total") == {"revoked": 1}
    assert figures.get("events_listed") == len(await desk.events()) == sum(figures.some("events_total").values())


async def test_who_was_let_in(desk: Desk) -> None:
    issued, short = await desk.issue(), await desk.issue("tester-002", expires_in=10)
    reading = await desk.issue("tester-003", scopes=["videos:read"])
    good = bearer_of(issued)
    assert (await desk.http.get("/v1/videos", headers=good)).status_code == 200
    assert (await desk.http.get("/v1/videos")).status_code == 401
    assert (await desk.http.get("/v1/videos/video_1")).status_code == 401
    assert (await desk.http.get("/v1/videos", headers={"Authorization": "Bearer nonsense"})).status_code == 401
    assert (await desk.http.get("/control/state", headers=good)).status_code == 401
    unknown = issued["token"][:4] + issued["token"][4:][::-1]
    await desk.http.get("/v1/videos", headers={"Authorization": f"Bearer {unknown}"})
    await desk.http.post("/v1/videos", json={"prompt": "a"}, headers=bearer_of(reading))
    desk.clock.advance(11)
    await desk.http.get("/v1/videos", headers=bearer_of(short))
    await desk.http.patch(f"/control/tokens/{issued['accessor']}", json={"state": "quarantined"}, headers=desk.admin)
    await desk.http.post("/v1/videos", json={"prompt": "a"}, headers=good)
    await desk.http.patch(f"/control/tokens/{issued['accessor']}", json={"state": "suspended"}, headers=desk.admin)
    await desk.http.get("/v1/videos", headers=good)
    figures = await scrape(desk)
    assert figures.some("auth_results_total") == {
        "accepted": 1,
        "admin": 5,
        "missing": 2,
        "malformed": 2,
        "not_admin": 1,
        "insufficient_scope": 1,
        "expired": 1,
        "quarantined": 1,
        "suspended": 1,
    }
    assert figures.some("api_errors_total") == {"invalid_api_key": 7, "insufficient_scope": 2}


async def test_requests_are_counted_by_template_hot_ones_too(desk: Desk) -> None:
    headers = await desk.bearer()
    video = await desk.create(headers)  # answered before the routed application
    for _ in range(3):
        assert (await desk.http.get(f"/v1/videos/{video['id']}", headers=headers)).status_code == 200
    await desk.http.get("/v1/videos/video_none", headers=headers)
    await desk.http.get(f"/v1/videos/{video['id']}/content", headers=headers)
    await desk.http.delete("/v1/nothing/here", headers=headers)
    await desk.http.post("/v1/videos", content=b"x" * 10, headers={**headers, "content-length": "999999999"})
    figures = await scrape(desk)
    assert figures.some("http_requests_total") == {
        "POST//control/tokens/2xx": 1,
        "POST//v1/videos/2xx": 1,
        "GET//v1/videos/{video_id}/2xx": 3,
        "GET//v1/videos/{video_id}/4xx": 1,
        "GET//v1/videos/{video_id}/content/4xx": 1,
        "DELETE/other/4xx": 1,
        "POST/other/4xx": 1,
    }
    hot = {"method": "GET", "route": "/v1/videos/{video_id}", "status": "2xx"}
    assert figures.get("http_requests_total", **hot) == 3
    assert figures.get("http_request_duration_seconds_count", **hot) == 3
    assert figures.get("http_request_duration_seconds_bucket", **hot, le="+Inf") == 3


async def deliver(desk: Desk, policy: Policy) -> None:
    """Every webhook that is due now, to its end."""
    one = Deliverer(desk.store, desk.clock, Sender("loopback", 5.0), policy)
    while await one.sweep():
        await one.flights.landed()


async def test_deliveries_by_state(make_desk: DeskMaker) -> None:
    desk = await make_desk(allow_private_targets="loopback")
    issued = await desk.issue()
    headers = bearer_of(issued)

    async def owed(endpoint: str) -> Any:
        body = {"name": "mine", "url": endpoint, "event_types": ["video.completed"]}
        made = (await desk.http.post("/v1/webhook_endpoints", json=body, headers=headers)).json()
        await desk.create(headers)
        await desk.finished()
        return made["id"]

    with receiving() as hook, accepting() as sink:
        made = await add_sink(desk, sink.url())
        first = await owed(hook.url())
        assert (await scrape(desk)).get("webhook_deliveries_pending") == 1
        await deliver(desk, Policy())
        hook.answer = lambda path, before: (500, {})
        await desk.create(headers)
        await desk.finished()
        await deliver(desk, Policy(attempts=1))
        await desk.create(headers)
        await desk.finished()
        await desk.http.delete(f"/v1/webhook_endpoints/{first}", headers=headers)
        await owed(hook.url())
        await desk.revoke({"accessor": issued["accessor"]})
        held = await scrape(desk)
        assert held.get("webhook_deliveries_pending") == 0
        assert held.some("webhook_deliveries_total") == {"delivered": 1, "dead": 1, "stopped": 2}
        assert held.get("signals_pending") > 0
        await push(desk)
        sent = await scrape(desk)
        assert sent.get("signals_pending") == 0
        assert sent.get("signals_total", state="delivered") == held.get("signals_pending")
        await desk.issue("tester-002")
        await desk.revoke({"principal": "tester-002"})
        await desk.http.delete(f"/control/sinks/{made['id']}", headers=desk.admin)
        assert (await scrape(desk)).get("signals_total", state="dropped") > 0


@pytest.mark.parametrize("defects", [[], ["legacy-path-unchecked"]], ids=["strict", "defect"])
async def test_late_accepts_stay_0_in_strict_and_are_counted_where_they_happen(desk: Desk, defects: list[str]) -> None:
    issued = await desk.issue()
    headers = bearer_of(issued)
    await desk.create(headers)
    job = await desk.finished()
    told = await desk.http.patch("/control/replicas", json={"defects": defects}, headers=desk.admin)
    assert told.status_code == 200
    assert (await desk.http.get(f"/v1/videos/{job.id}/content", headers=headers)).status_code == 200
    await desk.revoke({"accessor": issued["accessor"]})
    desk.clock.advance(1)
    for _ in range(2):
        late = await desk.http.get(f"/v1/videos/{job.id}/content", headers=headers)
        assert late.status_code == (200 if defects else 401)
    await desk.context.usage.flush(desk.store)
    figures = await scrape(desk)
    assert figures.get("late_accepts_total") == (2 if defects else 0)
    assert figures.get("errs_on_purpose") == bool(defects)
    assert figures.get("token_accepts_total", surface="download") == (3 if defects else 1)


async def test_gateways_on_one_database_say_the_same_of_it_and_their_own_of_themselves(make_desk: DeskMaker) -> None:
    one, two = await make_desk(), await make_desk(replica="r2")
    headers = await one.bearer()
    for _ in range(3):
        await one.create(headers)
    await scrape(one)
    await two.finished()
    await two.claimed()
    await two.revoke({"all": True}, confirm="all")
    first, second = await scrape(one), await scrape(two)
    assert first.shared() == second.shared()
    assert first.get("replicas") == 2
    own = {name for name, pairs in first.samples if "replica" in dict(pairs)}
    assert {"leakdrill_http_requests_total", "leakdrill_auth_results_total", "leakdrill_build_info"} <= own
    revoked = {"method": "POST", "route": "/control/revocations", "status": "2xx"}
    assert first.every("http_requests_total", **revoked) == []
    assert second.every("http_requests_total", **revoked) == [1]
    later = await scrape(await make_desk(replica="r3"))
    there = {("leakdrill_replicas", frozenset[tuple[str, str]]()): 3.0}
    assert later.shared() == second.shared() | there


async def test_a_reset_empties_the_room_and_keeps_what_was_counted(desk: Desk) -> None:
    await desk.create(await desk.bearer())
    await desk.finished()
    before = await scrape(desk)
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    after = await scrape(desk)
    assert before.get("jobs_completed_total") == after.get("jobs_completed_total") == 1
    assert before.get("job_run_seconds_count") == after.get("job_run_seconds_count") == 1
    assert (after.some("jobs"), after.some("tokens")) == ({}, {})
    assert after.get("events_total", kind="reset") == 1


async def test_a_long_list_is_read_in_pieces(make_desk: DeskMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, more = await make_desk(), 75
    monkeypatch.setattr(tally, "PIECE", 50)

    def write(tx: Connection) -> None:
        for number in range(more):
            events.append(tx, EventKind.JOB_PROGRESSED, at=desk.clock.now(), actor="w1", data={"progress": number})

    await desk.store.write(write)
    monkeypatch.setattr(service, "LONGEST_SECONDS", 0)
    first = await scrape(desk)
    assert first.get("events_unread") == 25
    assert first.every("events_total", kind="job.progressed") == []  # not a beginning, which would look like a rise
    assert first.get("events_listed") == more
    second = await scrape(desk)
    assert second.get("events_unread") == 0
    assert second.get("events_total", kind="job.progressed") == more


async def test_a_database_that_is_away_takes_only_its_own_figures_along(desk: Desk) -> None:
    await desk.create(await desk.bearer())
    present = await scrape(desk)
    await desk.store.write(lambda tx: tx.execute("DROP TABLE signals"))
    away = await scrape(desk)
    assert (present.get("database_up"), away.get("database_up")) == (1, 0)
    assert away.shared() == {}
    assert away.kinds == present.kinds
    assert sum(away.some("http_requests_total").values()) == sum(present.some("http_requests_total").values()) + 1


@pytest.mark.sqlite_alone
async def test_who_may_read(make_desk: DeskMaker) -> None:
    closed = await make_desk(metrics="admin")
    assert (await answer(closed)).status_code == 401
    assert (await closed.http.get("/metrics", headers=closed.admin)).status_code == 200
    off = await make_desk(metrics="off")
    gone = await off.http.get("/metrics", headers=off.admin)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")


async def test_no_secret_and_no_name_of_anybody_is_in_it(desk: Desk) -> None:
    issued = await desk.issue("tester-007", "omega")
    video = await desk.create(bearer_of(issued))
    job = await desk.claimed("worker-9")
    await desk.complete(job)
    await desk.revoke({"token": issued["token"]})
    await desk.http.get(f"/v1/videos/{video['id']}", headers=bearer_of(issued))
    text = (await answer(desk)).text
    keys = load_keyring(desk.settings)
    for word in (issued["token"], issued["accessor"], "tester-007", "omega", video["id"], "worker-9", keys.admin):
        assert word not in text


@pytest.mark.sqlite_alone
async def test_labels_stay_few_whatever_is_asked_for(desk: Desk) -> None:
    headers = await desk.bearer()
    for number in range(60):
        await desk.http.request(f"VERB{number}", f"/v1/videos/{number}/{number}", headers=headers)
        await desk.http.get(f"/v1/videos/video_{number}", headers={"Authorization": f"Bearer ldk_{number}"})
    layer = RequestId(_answering, "r1", desk.context.sight, desk.context.metrics.counts)
    for number in range(10_000):
        for method in ("GET", f"VERB{number}"):
            await layer({"type": "http", "method": method, "path": f"/{number}", "headers": []}, _nothing, _unheard)
        desk.context.metrics.counts.refused(f"code_{number}")
        desk.context.metrics.counts.judged(f"reason {number}")

    def write(tx: Connection) -> None:
        tx.execute("UPDATE tokens SET tier = 'tier ' || accessor")
        for number in range(300):
            for kind, word in ((EventKind.JOB_FAILED, "code"), (EventKind.REQUEST_REFUSED, "reason")):
                events.append(tx, kind, at=desk.clock.now(), actor="w1", data={word: f"{word} {number}"})
            uses = Use(f"surface {number}", "r1", 1, 0, 0.0)
            tx.execute(
                "INSERT INTO token_uses SELECT accessor, :surface, :replica, :accepted, :late, :last_accepted_at "
                "FROM tokens",
                vars(uses),
            )

    await desk.create(headers)
    await desk.store.write(write)
    figures = await scrape(desk)
    requests = figures.some("http_requests_total")
    assert requests["GET/other/2xx"] == 10_000
    assert requests["other/other/2xx"] == 10_000
    assert requests["other/other/4xx"] == 60
    assert len(requests) < 10
    assert len(figures.some("api_errors_total")) == 101
    assert figures.get("auth_results_total", result="other") == 10_000
    assert figures.some("jobs_failed_total") == {"other": 300}
    assert figures.some("known_token_refusals_total") == {"other": 300}
    assert figures.some("jobs") == {"queued/other": 1}
    assert len(figures.some("token_accepts_total")) == 81
    assert len(figures.samples) < 700


async def _answering(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _unheard(_message: Message) -> None:
    pass


@pytest.mark.sqlite_alone
async def test_a_request_lasts_until_its_last_byte(desk: Desk) -> None:
    ticks = iter([10.0, 10.2, 20.0, 23.0])
    counts = ProcessCounts(timer=lambda: next(ticks))

    async def streaming(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 206, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await send({"type": "http.response.body", "body": b"2", "more_body": False})

    async def breaking(_scope: Scope, _receive: Receive, send: Send) -> None:
        raise ConnectionError("gone")

    scope: Scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
    await RequestId(streaming, "r1", desk.context.sight, counts)(dict(scope), _nothing, _unheard)
    with pytest.raises(ConnectionError):
        await RequestId(breaking, "r1", desk.context.sight, counts)(dict(scope), _nothing, _unheard)
    sent, broken = counts.requests["GET", "other", "2xx"], counts.requests["GET", "other", "other"]
    assert sent.seconds == pytest.approx(0.2)
    assert sent.counts[REQUEST_BOUNDS.index(0.25)] == 1
    assert broken.seconds == pytest.approx(3)


@pytest.mark.parametrize(
    ("accept", "open_"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", True),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text; version=nonsense; q=nonsense", True),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;q=0.6", False),
        (",;,;;=;q=", False),
    ],
)
def test_which_format_an_accept_header_means(accept: str, open_: bool) -> None:
    assert wants_openmetrics(accept) is open_
