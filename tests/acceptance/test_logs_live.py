"""A whole deployment is led through its main paths at its most talkative, and no log holds a secret that was used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.settings import Settings
from gateway.supervisor import Supervisor, free_ports
from live import Live, eventually, leakdrill
from receiver import receiving

PROMPT = "a canary that nobody but its owner has heard of"
OF_THE_RECEIVER = "canary-0123456789-of-the-receiver"
FORMATS = ("text", "json")


class Visit:
    """Calls, and keeps every secret that was used or given out."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.secrets = {live.supervisor.admin_token, PROMPT}
        self.http = httpx.Client(base_url=live.url, trust_env=False, timeout=30)

    def issue(self, principal: str) -> dict[str, Any]:
        issued = self.live.issue(principal)
        self.secrets.add(issued["token"])
        return issued

    def call(self, method: str, path: str, token: str, **options: Any) -> httpx.Response:
        return self.http.request(method, path, headers={"Authorization": f"Bearer {token}"}, **options)

    def clip(self, token: str) -> str:
        made = self.call("POST", "/v1/videos", token, json={"prompt": PROMPT, "seconds": 4}).json()
        path = f"/v1/videos/{made['id']}"
        eventually(lambda: self.call("GET", path, token).json()["status"] == "completed", within=60)
        url = self.call("POST", f"{path}/link", token).json()["url"]
        self.secrets.add(parse_qs(urlsplit(url).query)["sig"][0])
        assert self.http.get(url).status_code == 200
        return str(url)

    def join_a_class(self) -> None:
        opened = self.live.control("POST", "/control/class", json={"names": ["Ada"]})
        self.secrets.add(opened["code"])
        joined = self.http.post("/join", json={"code": opened["code"], "name": "Ada"})
        assert joined.status_code < 300, joined.text
        self.secrets.add(joined.json()["token"])

    def log_in(self) -> None:
        with httpx.Client(base_url=self.live.supervisor.page_url, trust_env=False, timeout=30) as page:
            origin = {"Origin": self.live.supervisor.page_url}
            answer = page.post(
                "/control/login", json={"token": self.live.supervisor.admin_token, "name": "Ada"}, headers=origin
            )
            assert answer.status_code == 200, answer.text
            self.secrets |= set(page.cookies.values())
            assert page.get("/control/state").status_code == 200
            assert page.post("/control/login", json={"token": "lda_wrong"}, headers=origin).status_code >= 400


def lead_through(live: Live, folder: Path, *, page: bool) -> Visit:
    visit = Visit(live)
    live.supervisor.give_page([visit.issue("page")["token"]])
    owner, leaked = visit.issue("owner"), visit.issue("leaked")
    with receiving() as receiver:
        # Receivers are told apart by such queries, and the library that calls them writes addresses at `info`.
        visit.secrets.add(OF_THE_RECEIVER)
        hook = {"name": "x", "url": receiver.url(f"/hook?who={OF_THE_RECEIVER}"), "event_types": ["video.completed"]}
        made = visit.call("POST", "/v1/webhook_endpoints", owner["token"], json=hook).json()
        visit.secrets.add(made["signing_secret"])
        url = visit.clip(owner["token"])
        eventually(lambda: receiver.calls)
    done = leakdrill(
        "disclose",
        leaked["token"],
        "--gateway",
        live.url,
        cwd=folder,
        LEAKDRILL_DATA=str(live.supervisor.settings.data),
    )
    assert done.returncode == 0, done.stderr
    visit.join_a_class()
    live.control("POST", "/control/revocations", json={"selector": {"principal": "owner"}, "reason": "drill"})
    assert visit.call("GET", "/v1/videos", owner["token"]).status_code == 401
    assert visit.http.get(url).status_code == 401
    if page:
        live.supervisor.wait_for_page()
        visit.log_in()
    visit.http.close()
    return visit


@pytest.mark.parametrize("format", FORMATS)
def test_no_log_holds_a_secret(format: str, tmp_path: Path) -> None:
    ports = free_ports(2)
    settings = Settings.model_validate(
        {
            "data": tmp_path / "data",
            "port": ports,
            "page_port": ports + 1,
            "log_level": "debug",
            "log_format": format,
            "allow_private_targets": "loopback",
            "render": "cached",
        }
    )
    with Supervisor(settings) as supervisor:
        page = format == "json"  # it takes a while to start, and writes both formats by the same parts
        supervisor.start(workers=1, page=page)
        visit = lead_through(Live(supervisor), tmp_path, page=page)
        children = list(supervisor.children)
        supervisor.stop()
    assert {child.process.returncode for child in children} == {0}
    logs = {path.stem: path.read_text() for path in (tmp_path / "data" / "logs").iterdir()}
    assert set(logs) == {"gateway", "worker-1", *(["page"] if page else [])}
    assert len(visit.secrets) >= (11 if page else 10)
    for part, text in logs.items():
        assert {secret for secret in visit.secrets if secret in text} == set(), part
        assert "Traceback" not in text, text
    if format == "text":
        assert "action=answered method=POST route=/v1/videos status=200" in logs["gateway"]
        return
    lines = {part: [json.loads(line) for line in text.splitlines()] for part, text in logs.items()}
    assert all({"time", "level", "logger", "part"} <= set(line) for said in lines.values() for line in said)
    created = next(one for one in lines["gateway"] if one.get("route") == "/v1/videos" and one["method"] == "POST")
    assert created["replica"] == "r1"
    assert created["request_id"].startswith("req_")
    assert created["accessor"].startswith("tok_")
    started = next(one for one in lines["worker-1"] if one.get("action") == "render_started")
    assert started["job"].startswith("video_")
    assert "accessor" in started
