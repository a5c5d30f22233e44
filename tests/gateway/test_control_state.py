import pytest

from desk import Desk
from gateway.errors import OperatorError
from gateway.events import Event, first_broken
from gateway.settings import load, prepare_data
from gateway.store import events
from gateway.tokens.keys import load_keyring

pytestmark = pytest.mark.anyio


async def test_status_is_public_and_holds_no_secret(desk: Desk) -> None:
    issued = await desk.issue()
    answer = await desk.http.get("/status")
    status = answer.json()
    assert status == {
        "phase": "normal",
        "phase_since": None,
        "replay_clock": None,
        "queue": {"waiting": 0, "running": 0},
        "workers": 0,
        "eta_ms": 2000,
        "broadcast": None,
        "defects": [],
        "consistency": "strict",
        "faults": [],
        "profile": None,
        "replicas": {"r1": "http://127.0.0.1:8000"},
        "server_time": desk.clock.now(),
        "version": "0.1.0",
    }
    assert issued["accessor"] not in answer.text


async def test_the_replay_clock_is_set_moved_paused_and_removed(desk: Desk) -> None:
    async def put(**body: object) -> dict[str, object]:
        answer = await desk.http.put("/control/clock", json=body, headers=desk.admin)
        assert answer.status_code == 200, answer.text
        reading: dict[str, object] = answer.json()["replay_clock"]
        return reading

    assert await put(time="2024-11-26T08:30:00-05:00", speed=60) == {
        "time": "2024-11-26T08:30:00-05:00",
        "speed": 60.0,
        "running": True,
    }
    desk.clock.advance(10)
    assert (await put(running=False))["time"] == "2024-11-26T08:40:00-05:00"
    desk.clock.advance(100)
    assert (await put(running=True, speed=1))["time"] == "2024-11-26T08:40:00-05:00"
    await desk.issue()
    assert (await desk.events("token.issued"))[0]["replay_at"] == "2024-11-26T08:40:00-05:00"
    gone = await desk.http.delete("/control/clock", headers=desk.admin)
    assert gone.json()["replay_clock"] is None


async def test_a_broadcast_reaches_status(desk: Desk) -> None:
    await desk.http.put("/control/broadcast", json={"text": "<b>five minutes</b>"}, headers=desk.admin)
    assert (await desk.http.get("/status")).json()["broadcast"] == "<b>five minutes</b>"
    await desk.http.put("/control/broadcast", json={"text": None}, headers=desk.admin)
    assert (await desk.http.get("/status")).json()["broadcast"] is None


async def test_reset_leaves_a_clean_room_and_the_whole_list(desk: Desk) -> None:
    headers = await desk.bearer()
    await desk.create(headers)
    await desk.finished()
    await desk.http.patch("/control/state", json={"phase": "exposed"}, headers=desk.admin)
    refused = await desk.http.post("/control/reset", json={}, headers=desk.admin)
    assert refused.status_code == 422
    before = await desk.events()
    answer = await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert answer.json()["phase"] == "normal"
    state = (await desk.http.get("/control/state", headers=desk.admin)).json()
    assert (state["tokens"], state["jobs"]) == ({}, {})
    assert list(desk.settings.media.iterdir()) == []
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 401
    after = await desk.events()
    assert after[: len(before)] == before
    assert after[-1]["kind"] == "reset"


async def test_state_counts_everything(desk: Desk) -> None:
    headers = await desk.bearer(expires_in=5)
    await desk.create(headers)
    await desk.finished()
    await desk.create(headers)
    desk.clock.advance(6)
    state = (await desk.http.get("/control/state", headers=desk.admin)).json()
    assert state["tokens"] == {"expired": 1}
    assert state["jobs"] == {"completed": 1, "queued": 1}
    assert state["last_event"] == len(await desk.events())


async def test_event_pages_follow_seq_and_kind(desk: Desk) -> None:
    headers = await desk.bearer()
    for _ in range(5):
        await desk.create(headers)
    seen: list[int] = []
    after = 0
    while True:
        params: dict[str, int | str] = {"after": after, "limit": 2, "kind": "job."}
        page = (await desk.http.get("/control/events", params=params, headers=desk.admin)).json()
        seen += [event["seq"] for event in page["data"]]
        if not page["has_more"]:
            break
        after = seen[-1]
    assert seen == [2, 3, 4, 5, 6]
    whole: list[Event] = await desk.store.read(lambda tx: events.page(tx, after=0, limit=100))
    assert first_broken(whole) is None


async def test_readiness_needs_the_media_directory(desk: Desk) -> None:
    assert (await desk.http.get("/healthz")).json() == {"status": "ok"}
    assert (await desk.http.get("/readyz")).status_code == 200
    desk.settings.media.rmdir()
    answer = await desk.http.get("/readyz")
    assert answer.status_code == 503
    assert "media" in answer.json()["reason"]


def test_settings_name_the_variable_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKDRILL_PORT", "http")
    monkeypatch.setenv("LEAKDRILL_DATABASE_URL", "mysql://x")
    with pytest.raises(OperatorError, match=r"LEAKDRILL_DATABASE_URL: must start with sqlite.*LEAKDRILL_PORT"):
        load()


def test_options_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKDRILL_PORT", "9000")
    assert load().port == 9000
    assert load(port=9001).port == 9001
    assert load(port=None).port == 9000


def test_a_data_directory_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKDRILL_DATA", "/dev/null/data")
    with pytest.raises(OperatorError, match=r"cannot create /dev/null/data.*LEAKDRILL_DATA"):
        prepare_data(load())


async def test_secrets_are_made_once_and_for_the_owner_only(desk: Desk) -> None:
    for name in ("admin.token", "secret.key"):
        assert (desk.settings.data / name).stat().st_mode & 0o777 == 0o600
    assert load_keyring(desk.settings) == desk.keys
    (desk.settings.data / "secret.key").write_text("")
    with pytest.raises(OperatorError, match="is empty"):
        load_keyring(desk.settings)


async def test_who_of_those_with_the_admin_token_asked_is_in_the_event_list(desk: Desk) -> None:
    for given in ("Zo%C3%AB%20%3Cb%3E", "  ", "caf\u00e9"):
        admin = [(name.encode(), value.encode()) for name, value in desk.admin.items()]
        headers = [*admin, (b"leakdrill-actor", given.encode("latin-1"))]
        answer = await desk.http.put("/control/broadcast", json={"text": "hello"}, headers=headers)
        assert answer.status_code == 200
    assert [event["actor"] for event in await desk.events("broadcast.set")] == [
        "admin (Zoë <b>)",
        "admin",
        "admin (café)",
    ]


@pytest.mark.parametrize("given", ["x" * 41, "a%00b", "%E2%80%AEolleh"])
async def test_a_name_that_is_none_changes_nothing(desk: Desk, given: str) -> None:
    headers = {**desk.admin, "leakdrill-actor": given}
    answer = await desk.http.put("/control/broadcast", json={"text": "hello"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_value")
    assert await desk.events("broadcast.set") == []


async def test_a_name_alone_is_no_login(desk: Desk) -> None:
    answer = await desk.http.put("/control/broadcast", json={"text": "x"}, headers={"leakdrill-actor": "Zoe"})
    assert answer.status_code == 401
