"""Who gets into the control room, over HTTP and against a real gateway: the login, and the guard before every route."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from browsing import page_process
from control_desk import Instructor, Serve, control_app, deeds, events
from frontend.control_room import PAGES as SHOWN
from frontend.sessions import LIFE_SECONDS, MOST_SESSIONS, Sessions
from live import Live, eventually, live_gateway

PAGES = tuple(f"/control/{name}".rstrip("/") for name in SHOWN)
OPEN = {("GET", "/control/"), *(("GET", path) for path in PAGES)}
LOGIN = ("POST", "/control/login")


@pytest.fixture
def app(live: Live) -> FastAPI:
    return control_app(live.url)


@pytest.fixture
def page(serve: Serve, app: FastAPI) -> str:
    return serve(app)


@pytest.fixture
def instructor(page: str, live: Live) -> Instructor:
    instructor = Instructor(page)
    assert instructor.log_in(live.supervisor.admin_token).status_code == 200
    return instructor


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every route of the control room, as the server has it."""
    return [
        (method, route.path)
        for route in app.routes
        if isinstance(route, APIRoute) and (route.path == "/control" or route.path.startswith("/control/"))
        for method in sorted(route.methods or ())
    ]


def likely(path: str) -> dict[str, Any]:
    """A body that the route would act on."""
    fields = {"kind": "all", "which": "alpha", "reason": "raw", "do": "start", "speed": 14}
    words = {"/control/reset": "reset", "/control/class-end": "end"}
    confirm = words.get(path, "all")
    fields = {**fields, "students": 2, "names": "raw", "seat": 1, "id": "m1", "on": True}
    if path == "/control/inject":
        fields["do"] = "fire"
    return {**fields, "phase": "exposed", "text": "raw", "confirm": confirm}


@pytest.mark.parametrize("cookie", [None, "", "x", "a" * 43, "%00", "é" * 20])
def test_without_a_login_every_route_refuses_and_nothing_changes(
    app: FastAPI, page: str, live: Live, cookie: str | None
) -> None:
    live.issue("untouched", "alpha")
    if not live.control("GET", "/control/class")["open"]:
        live.control("POST", "/control/class", json={"names": ["untouched too"]})
    known = live.control("GET", "/control/class")
    before, tokens = events(live), live.control("GET", "/control/tokens")
    found = routes(app)
    assert len(found) >= 32
    assert {path for _, path in OPEN} < {path for _, path in found}
    headers = {"Origin": page, "Sec-Fetch-Site": "same-origin"}
    if cookie is not None:
        headers["Cookie"] = f"leakdrill-control-{page.rpartition(':')[2]}={cookie}".encode().decode("latin-1")
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    for method, path in found:
        if (method, path) == LOGIN:
            continue
        body = {**likely(path), "class": known["id"]} if method == "POST" else None
        answer = httpx.request(method, page + path, headers=raw, follow_redirects=True, json=body)
        if (method, path) in OPEN:
            assert (answer.status_code, 'id="login"' in answer.text) == (200, True), path
        else:
            assert answer.status_code == 401, path
            assert answer.json()["ok"] is False
        assert "untouched" not in answer.text
        assert known["code"] not in answer.text
        assert "no-store" in answer.headers["cache-control"]
    assert (events(live), live.control("GET", "/control/tokens")) == (before, tokens)
    assert live.control("GET", "/control/class") == known


def test_every_route_that_changes_is_among_those(app: FastAPI) -> None:
    posts = {path for method, path in routes(app) if method == "POST"}
    deeds = {"access", "preview", "revoke", "restore-preview", "restore", "clock", "phase", "broadcast", "reset"}
    deeds |= {"inject", "inject-clock"}
    deeds |= {f"class-{name}" for name in ("preview", "open", "seat-preview", "seat-reset", "end-preview", "end")}
    assert posts == {f"/control/{name}" for name in (*deeds, "login", "logout")}
    assert {method for method, _ in routes(app)} == {"GET", "POST"}


@pytest.mark.parametrize(
    "token", ["ldk_" + "0" * 36, "lda_CANARYinTheCoalMine", "with space", "é", "x" * 201, "", 7, None]
)
def test_a_wrong_token_lets_nobody_in(page: str, token: object) -> None:
    nobody = Instructor(page)
    answer = nobody.post("/control/login", json={"token": token})
    assert answer.status_code in (400, 401)
    assert "set-cookie" not in answer.headers
    assert "CANARY" not in answer.text
    assert nobody.get("/control/state").status_code == 401


def test_the_cookie_is_for_this_page_alone_and_holds_no_token(page: str, live: Live) -> None:
    answer = Instructor(page).log_in(live.supervisor.admin_token, "Zoë")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"leakdrill-control-{page.rpartition(':')[2]}=")
    for word in ("HttpOnly", "SameSite=strict", "Path=/control", "Max-Age=43200"):
        assert word in cookie
    assert live.supervisor.admin_token not in str(answer.headers) + answer.text


def test_a_change_comes_from_our_own_page_or_not_at_all(instructor: Instructor, page: str, live: Live) -> None:
    before = deeds(live)
    elsewhere: list[dict[str, str]] = [
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": ""},
        # Another program on this machine: the same site for a cookie, and not the same origin.
        {"Origin": live.url, "Sec-Fetch-Site": "same-site"},
        {"Origin": page.replace("http:", "ftp:") + ".elsewhere.example"},
    ]
    for headers in elsewhere:
        answer = instructor.post("/control/broadcast", json={"text": "no"}, headers=headers)
        assert (answer.status_code, answer.json()["ok"]) == (403, False), headers
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = instructor.post("/control/broadcast", content=b'{"text": "no"}', headers={"Content-Type": kind})
        assert answer.status_code == 415, kind
    assert deeds(live) == before
    fields = {"token": live.supervisor.admin_token, "name": ""}
    assert Instructor(page).post("/control/login", json=fields, headers=elsewhere[0]).status_code == 403


def test_no_route_that_changes_can_be_pressed_from_elsewhere(instructor: Instructor, app: FastAPI, live: Live) -> None:
    before = deeds(live)
    posts = [path for method, path in routes(app) if method == "POST" and (method, path) != LOGIN]
    for path in posts:
        answer = instructor.post(path, json=likely(path), headers={"Origin": "http://elsewhere.example"})
        assert (answer.status_code, answer.json()["ok"]) == (403, False), path
        answer = instructor.post(path, content=b"{}", headers={"Content-Type": "text/plain"})
        assert (answer.status_code, answer.json()["ok"]) == (415, False), path
    assert (len(posts) >= 16, events(live)) == (True, before)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[1]", 400),
        (b"\xff", 400),
        (b"[" * 9000, 400),
        (b'{"a":"' + b"x" * 20_000 + b'"}', 413),
    ],
)
def test_what_is_no_small_json_object_is_refused_in_words(instructor: Instructor, content: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    answer = instructor.post("/control/broadcast", content=content, headers=headers)
    assert (answer.status_code, answer.json()["ok"]) == (status, False)


def test_who_logs_out_is_out(instructor: Instructor, live: Live) -> None:
    cookies = dict(instructor.cookies)
    assert cookies
    assert instructor.do("logout").status_code == 200
    instructor.cookies.update(cookies)
    assert instructor.get("/control/state").status_code == 401


def test_a_second_login_ends_the_first_of_that_browser(instructor: Instructor, live: Live) -> None:
    before = dict(instructor.cookies)
    instructor.log_in(live.supervisor.admin_token)
    old = Instructor(instructor.page)
    old.cookies.update(before)
    assert old.get("/control/state").status_code == 401
    assert instructor.state()["phase"] == "normal"


def test_the_pages_behind_the_login_hold_no_facts_and_nothing_inline(instructor: Instructor, live: Live) -> None:
    live.issue("a-name-of-somebody", "alpha")
    for path in PAGES:
        answer = instructor.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        for word in ("a-name-of-somebody", "lda_", "tok_", "<style", "style=", "onclick", "http://", "https://"):
            assert word not in answer.text, (path, word)
        assert answer.text.count("<script") == answer.text.count('type="module"></script>') == 1
    assert instructor.get("/control-static/room.js").headers["content-type"].startswith("text/javascript")
    for path in ("/control-static/room.html", "/control-static/..%2f..%2fapp.py", "/control-static/nothing.js"):
        assert instructor.get(path).status_code == 404


def test_a_gateway_that_is_away_is_told_and_a_new_admin_token_ends_the_login(serve: Serve, tmp_path: Path) -> None:
    with live_gateway(tmp_path, workers=0) as live:
        page = serve(control_app(live.url))
        instructor = Instructor(page)
        first = live.supervisor.admin_token
        assert instructor.log_in(first).status_code == 200
        instructor.done("broadcast", text="before")
        eventually(lambda: instructor.state()["broadcast"] == "before")

        live.kill_gateway()
        (away,) = eventually(lambda: [one for one in [instructor.state()] if one["phase"] == "away"])
        assert (away["broadcast"], away["old"]) == ("before", True)
        assert away["old_words"].startswith("Figures from ")
        refused = instructor.do("broadcast", text="while away")
        assert refused.status_code == 503
        assert "look at the log" in refused.json()["words"]
        assert instructor.get("/control/log.json").status_code == 503
        assert Instructor(page).log_in(first).status_code == 503

        live.start_gateway()
        eventually(lambda: instructor.state()["phase"] == "normal")
        live.kill_gateway()
        (tmp_path / "admin.token").write_text("lda_another\n")
        live.start_gateway()
        (ended,) = eventually(lambda: [one for one in [instructor.get("/control/state")] if one.status_code == 401])
        assert "logged out" in ended.json()["words"]
        assert instructor.log_in(first).status_code == 401
        assert instructor.log_in("lda_another").status_code == 200


def test_a_page_that_knows_no_gateway_shows_that(serve: Serve) -> None:
    page = serve(control_app("http://127.0.0.1:9"))
    answer = Instructor(page).log_in("lda_any")
    assert (answer.status_code, "does not answer" in answer.json()["words"]) == (503, True)


def test_a_login_ends_by_itself_and_the_oldest_makes_room() -> None:
    now = [0.0]
    sessions = Sessions(monotonic=lambda: now[0])
    first = sessions.begin("lda_secret", "Zoë")
    found = sessions.of(first)
    assert found is not None
    assert (found.name, found.token) == ("Zoë", "lda_secret")
    assert "lda_secret" not in repr(found)
    assert first not in repr(vars(sessions))
    now[0] = LIFE_SECONDS - 1
    assert sessions.of(first) is not None
    now[0] = LIFE_SECONDS
    assert sessions.of(first) is None
    values = [sessions.begin("lda_secret", "") for _ in range(MOST_SESSIONS + 1)]
    assert sessions.of(values[0]) is None
    assert all(sessions.of(value) for value in values[1:])
    assert len(set(values)) == len(values)
    other = sessions.begin("lda_other", "")
    sessions.end_all("lda_secret")
    assert [sessions.of(value) is not None for value in (values[-1], other)] == [False, True]


def test_the_admin_token_is_nowhere_on_the_page_and_in_no_log(tmp_path: Path, live: Live, free_port: int) -> None:
    log, token = tmp_path / "page.log", live.supervisor.admin_token
    with page_process(log, free_port, LEAKDRILL_GATEWAY_URL=live.url) as url:
        instructor = Instructor(url)
        assert instructor.log_in("lda_CANARYinTheCoalMine").status_code == 401
        assert instructor.log_in(token, "Zoë").status_code == 200
        instructor.done("broadcast", text="hello")
        for place in ("/config", "/", "/control", "/control/state", "/control/choices", "/control/log.csv"):
            answer = instructor.get(place)
            assert (answer.status_code, token in answer.text) == (200, False), place
        assert instructor.get("/control/", follow_redirects=True).text == instructor.get("/control").text
    assert log.read_text() == ""


def test_the_generate_pages_handlers_lead_to_nothing_here(tmp_path: Path, live: Live, free_port: int) -> None:
    """Gradio takes a raw call of any handler by its number, whoever sends it; none of them is an instructor's."""
    live.issue("untouched", "alpha")
    known = live.control("GET", "/control/tokens"), live.control("GET", "/control/state")["phase"]
    before = [event for event in deeds(live) if event["actor"] != "student"]
    with page_process(tmp_path / "page.log", free_port, LEAKDRILL_GATEWAY_URL=live.url) as url:
        Instructor(url).log_in(live.supervisor.admin_token)
        handlers = httpx.get(f"{url}/config").json()["dependencies"]
        assert len(handlers) >= 6
        queued = 0
        for handler in handlers:
            raw = {"fn_index": handler["id"], "session_hash": "raw", "data": ["all"] * len(handler["inputs"])}
            for path in ("queue/join", "run/predict"):
                answer = httpx.post(f"{url}/gradio_api/{path}", json={**raw, "confirm": "all"}, timeout=20)
                queued += path == "queue/join" and answer.is_success
        assert queued, "at least one was taken, so this asks what it means to ask"
        with httpx.stream("GET", f"{url}/gradio_api/queue/data?session_hash=raw", timeout=20) as told:
            ended = (line for line in told.iter_lines() if "process_completed" in line)
            assert len(list(islice(ended, queued))) == queued
        for path in ("/gradio_api/info", "/gradio_api/mcp/schema", "/config"):
            text = httpx.get(url + path).text.lower()
            assert not any(word in text for word in ("/control/revoke", "class_open", "admin")), path
    assert (live.control("GET", "/control/tokens"), live.control("GET", "/control/state")["phase"]) == known
    assert [event for event in deeds(live) if event["actor"] != "student"] == before


def test_where_it_is_switched_off_there_is_no_control_room(tmp_path: Path, live: Live, free_port: int) -> None:
    own = {"LEAKDRILL_GATEWAY_URL": live.url, "LEAKDRILL_CONTROL_ROOM": "off"}
    with page_process(tmp_path / "page.log", free_port, **own) as url:
        assert Instructor(url).log_in(live.supervisor.admin_token).status_code in (404, 405)
        assert httpx.get(f"{url}/control").status_code == 404
