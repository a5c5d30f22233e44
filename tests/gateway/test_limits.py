from pathlib import Path

import pytest

from desk import START, Desk, DeskMaker, bearer_of
from gateway.errors import OperatorError, RateLimitExceeded
from gateway.limits import RequestLimits, Tier, Tiers, load_tiers
from gateway.limits.waits import duration
from gateway.tokens import Token, TokenState

pytestmark = pytest.mark.anyio

RATE_HEADERS = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")


def token_of(tier: str, accessor: str = "tok_1") -> Token:
    return Token(
        accessor=accessor,
        principal="p",
        cohort="c",
        scopes=("videos:read",),
        labels=(),
        tier=tier,
        state=TokenState.ACTIVE,
        created_at=START,
        expires_at=None,
        last_used_at=None,
        revoked_at=None,
        revoked_reason=None,
        revocation=None,
    )


def limits_of(per_minute: int | None) -> RequestLimits:
    tier = Tier(requests_per_minute=per_minute, in_flight=None, queued=None, priority=0)
    return RequestLimits(Tiers({"standard": tier}))


# tiers


async def test_the_tiers_that_ship() -> None:
    tiers = load_tiers()
    assert set(tiers) == {"standard", "free", "partner", "unlimited"}
    standard, free, partner = (tiers.of(name) for name in ("standard", "free", "partner"))
    assert (standard.requests_per_minute, standard.queued) == (None, None)
    assert (free.requests_per_minute, free.in_flight, free.queued) == (60, 1, 5)
    assert partner.priority < standard.priority < free.priority
    assert tiers.of("gone from the file") is standard


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n", "valid dictionary"),
        ("standard: [", "not YAML"),
        ("free: {requests_per_minute: 1, in_flight: 1, queued: 1, priority: 0}", "no tier 'standard'"),
        ("standard: {requests_per_minute: 0, in_flight: 1, queued: 1, priority: 0}", "standard.requests_per_minute"),
        ("standard: {requests_per_minute: 1.5, in_flight: 1, queued: 1, priority: 0}", "standard.requests_per_minute"),
        ("standard: {in_flight: 1, queued: 1, priority: 0}", "standard.requests_per_minute"),
        ("standard: {requests_per_minute: 1, in_flight: 1, queued: 1, priority: 0, burst: 3}", "standard.burst"),
        ("Gold tier: {requests_per_minute: 1, in_flight: 1, queued: 1, priority: 0}", "Gold tier"),
        ("\x00", "not YAML"),
    ],
)
async def test_a_tiers_file_that_does_not_fit_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "tiers.yaml"
    file.write_text(text)
    with pytest.raises(OperatorError, match="LEAKDRILL_TIERS_FILE") as refused:
        load_tiers(str(file))
    assert says in str(refused.value)
    assert str(file) in str(refused.value)


async def test_a_tiers_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot read"):
        load_tiers(str(tmp_path / "none.yaml"))


async def test_a_token_has_a_tier(desk: Desk) -> None:
    assert (await desk.issue())["tier"] == "standard"
    issued = await desk.issue("tester-002", tier="free")
    assert issued["tier"] == "free"
    shown = await desk.http.get(f"/control/tokens/{issued['accessor']}", headers=desk.admin)
    assert shown.json()["tier"] == "free"
    body = {"principal": "x", "cohort": "y", "tier": "gold"}
    refused = await desk.http.post("/control/tokens", json=body, headers=desk.admin)
    assert refused.status_code == 422
    assert refused.json()["error"]["param"] == "tier"
    assert "free, partner, standard, unlimited" in refused.json()["error"]["message"]


# requests per minute


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600, 20_000])
async def test_a_minutes_requests_pass_at_once_and_who_waits_as_told_is_accepted(per_minute: int) -> None:
    limits, token = limits_of(per_minute), token_of("standard")
    for exactly in ("retry-after-ms", "Retry-After"):
        limits.clear()
        now = START
        for _ in range(per_minute):
            limits.admit(token, {}, now)
        for _ in range(3):
            with pytest.raises(RateLimitExceeded) as refused:
                limits.admit(token, {}, now)
            told = float(refused.value.headers[exactly]) / (1000 if exactly == "retry-after-ms" else 1)
            assert 0 < told <= 120
            assert float(refused.value.headers["Retry-After"]) >= float(refused.value.headers["retry-after-ms"]) / 1000
            with pytest.raises(RateLimitExceeded):
                limits.admit(token, {}, now + float(refused.value.headers["retry-after-ms"]) / 1000 - 0.0015)
            now += told
            limits.admit(token, {}, now)
            while True:  # spend what has come in meanwhile
                try:
                    limits.admit(token, {}, now)
                except RateLimitExceeded:
                    break


async def test_over_an_hour_no_more_pass_than_the_tier_has() -> None:
    limits, token = limits_of(60), token_of("standard")
    passed = 0
    for tick in range(3600 * 10):
        try:
            limits.admit(token, {}, START + tick / 10)
        except RateLimitExceeded:
            continue
        passed += 1
    assert passed == 60 + 3599


async def test_tokens_do_not_share_a_bucket_and_refusals_cost_nothing() -> None:
    limits = limits_of(1)
    limits.admit(token_of("standard", "a"), {}, START)
    limits.admit(token_of("standard", "b"), {}, START)
    for tick in range(59):
        with pytest.raises(RateLimitExceeded):
            limits.admit(token_of("standard", "a"), {}, START + tick)
    limits.admit(token_of("standard", "a"), {}, START + 60)


async def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    limits, token = limits_of(1), token_of("standard")
    limits.admit(token, {}, START + 3600)
    with pytest.raises(RateLimitExceeded) as refused:
        limits.admit(token, {}, START)
    assert refused.value.headers["Retry-After"] == "60"
    limits.admit(token, {}, START + 60)


async def test_the_buckets_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.limits.requests.MAX_TOKENS", 3)
    limits = limits_of(1)
    for number in range(10):
        limits.admit(token_of("standard", f"tok_{number}"), {}, START)
    assert len(limits._used) == 3
    limits.admit(token_of("standard", "later"), {}, START + 120)
    assert list(limits._used) == ["later"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.12, "120ms"), (0.0001, "1ms"), (1, "1s"), (1.5, "1.5s"), (60, "1m0s"), (62.25, "1m2.25s")],
)
async def test_durations_are_written_as_the_vendor_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


async def test_the_limit_over_http(desk: Desk) -> None:
    headers = await desk.bearer(tier="free")
    first = await desk.http.get("/v1/videos", headers=headers)
    assert [first.headers[name] for name in RATE_HEADERS] == ["60", "59", "1s"]
    missing = await desk.http.get("/v1/videos/video_none", headers=headers)
    assert missing.status_code == 404
    assert [missing.headers[name] for name in RATE_HEADERS] == ["60", "58", "2s"]
    for _ in range(58):
        assert (await desk.http.get("/v1/models", headers=headers)).status_code == 200
    refused = await desk.http.get("/v1/videos", headers=headers)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("requests", "rate_limit_exceeded", None)
    assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("1", "1000")
    assert "x-should-retry" not in refused.headers
    assert [refused.headers[name] for name in RATE_HEADERS] == ["60", "0", "1m0s"]
    desk.clock.advance(int(refused.headers["retry-after"]))
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 200
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 429


async def test_the_standard_tier_is_never_limited(desk: Desk) -> None:
    headers = await desk.bearer()
    for _ in range(300):
        answer = await desk.http.get("/v1/videos?limit=0", headers=headers)
        assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    for _ in range(30):
        await desk.create(headers)


async def test_a_revoked_token_is_answered_401_and_no_longer_429(desk: Desk) -> None:
    issued = await desk.issue(tier="free")
    for _ in range(61):
        answer = await desk.http.get("/v1/videos", headers=bearer_of(issued))
    assert answer.status_code == 429
    await desk.revoke({"accessor": issued["accessor"]})
    refused = await desk.http.get("/v1/videos", headers=bearer_of(issued))
    assert refused.status_code == 401
    assert not [name for name in refused.headers if name.startswith("x-ratelimit")]


async def test_a_reset_fills_every_bucket(desk: Desk) -> None:
    headers = await desk.bearer(tier="free")
    await desk.http.get("/v1/videos", headers=headers)
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    headers = await desk.bearer(tier="free")
    answer = await desk.http.get("/v1/videos", headers=headers)
    assert answer.headers["x-ratelimit-remaining-requests"] == "59"


# queued jobs


async def test_queued_jobs_are_limited_and_the_wait_is_honest(desk: Desk) -> None:
    headers, other = await desk.bearer(tier="free"), await desk.bearer("tester-002")
    videos = [await desk.create(headers) for _ in range(5)]
    refused = await desk.http.post("/v1/videos", json={"prompt": "one more"}, headers=headers)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "queued_jobs_exceeded")
    assert "free" in error["message"]
    oldest = await desk.http.get(f"/v1/videos/{videos[0]['id']}", headers=headers)
    eta = int(oldest.headers["leakdrill-eta-ms"]) / 1000
    assert eta <= int(refused.headers["retry-after"]) <= max(1, eta + 1)
    await desk.create(other)
    assert (await desk.finished()).id != videos[0]["id"]  # standard goes before free
    assert (await desk.claimed()).id == videos[0]["id"]
    await desk.create(headers)
    again = await desk.http.post("/v1/videos", json={"prompt": "one more"}, headers=headers)
    assert again.json()["error"]["code"] == "queued_jobs_exceeded"


async def test_a_wait_for_the_line_is_never_longer_than_clients_accept(desk: Desk) -> None:
    other, headers = await desk.bearer("tester-002"), await desk.bearer(tier="free")
    for _ in range(300):
        await desk.create(other)
    for _ in range(5):
        await desk.create(headers)
    refused = await desk.http.post("/v1/videos", json={"prompt": "one more"}, headers=headers)
    assert refused.headers["retry-after"] == "120"


async def test_a_cancelled_job_makes_room(desk: Desk) -> None:
    headers = await desk.bearer(tier="free")
    videos = [await desk.create(headers) for _ in range(5)]
    await desk.http.delete(f"/v1/videos/{videos[2]['id']}", headers=headers)
    await desk.create(headers)


# jobs in flight, and whose turn it is


async def test_a_token_at_its_limit_is_passed_over_not_blocked(desk: Desk) -> None:
    free, standard = await desk.bearer(tier="free"), await desk.bearer("tester-002", tier="unlimited")
    mine = [(await desk.create(free))["id"] for _ in range(3)]
    running = await desk.claimed()
    assert running.id == mine[0]
    assert await desk.claim() is None
    theirs = [(await desk.create(standard))["id"] for _ in range(3)]
    assert [(await desk.claimed()).id for _ in range(3)] == theirs
    assert await desk.claim() is None
    assert await desk.complete(running)
    assert (await desk.claimed()).id == mine[1]
    assert await desk.claim() is None


async def test_a_lost_workers_job_is_taken_over_although_the_token_is_at_its_limit(desk: Desk) -> None:
    headers = await desk.bearer(tier="free")
    first = (await desk.create(headers))["id"]
    await desk.create(headers)
    assert (await desk.claimed("w1")).id == first
    assert await desk.claim("w2") is None
    desk.clock.advance(6)
    taken = await desk.claimed("w2")
    assert (taken.id, taken.attempt) == (first, 2)


async def test_lower_priorities_are_served_first(desk: Desk) -> None:
    made = {}
    for tier in ("free", "standard", "partner"):
        made[tier] = (await desk.create(await desk.bearer(f"tester-{tier}", tier=tier)))["id"]
    assert [(await desk.claimed()).id for _ in range(3)] == [made["partner"], made["standard"], made["free"]]


async def test_a_revoked_tokens_place_goes_to_the_next(desk: Desk) -> None:
    issued = await desk.issue("tester-001", tier="partner")
    await desk.create(bearer_of(issued))
    other = await desk.create(await desk.bearer("tester-002", tier="free"))
    await desk.revoke({"accessor": issued["accessor"]})
    assert (await desk.claimed()).id == other["id"]


async def test_ones_own_tiers_file(make_desk: DeskMaker, tmp_path: Path) -> None:
    file = tmp_path / "tiers.yaml"
    file.write_text("standard: {requests_per_minute: 2, in_flight: 2, queued: null, priority: 0}\n")
    desk = await make_desk(tiers_file=str(file))
    headers = await desk.bearer()
    for _ in range(2):
        await desk.create(headers)
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 429
    desk.clock.advance(60)
    await desk.create(headers)
    assert await desk.claim()
    assert await desk.claim()
    assert await desk.claim() is None
