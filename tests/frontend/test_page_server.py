"""The page as its own process, without a gateway: what it answers, what it keeps to itself, how it refuses to start."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
CANARY = "ldk_CANARYinTheCoalMine"
# Python loads this at its start wherever it is found; what the server would say to another machine ends in its log,
# which must stay empty.
EAR = """
import sys

def heard(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        asked = arguments[1][0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        asked = arguments[0]
    else:
        return
    if asked not in ("127.0.0.1", "::1", "localhost", b"127.0.0.1", None):
        sys.stderr.write(f"asks for {asked!r}\\n")

sys.addaudithook(heard)
"""


def run(arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    # Not the repository's folder: neither the module nor the file may depend on where it is started.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    path = {"PYTHONPATH": str(ROOT)} if arguments[0] == "-m" else {}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=clean | path | environment,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ready(process: subprocess.Popen[str], url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the page ended with {process.returncode}: {process.communicate()[1]}")
        try:
            if httpx.get(f"{url}/state", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("the page did not answer within a minute")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The file a Space would run, with a token and with a gateway that is not there."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        port, nobody = first.getsockname()[1], second.getsockname()[1]
    ear = tmp_path_factory.mktemp("ear")
    (ear / "sitecustomize.py").write_text(EAR)
    environment = {
        "PYTHONPATH": str(ear),
        "LEAKDRILL_GATEWAY_URL": f"http://127.0.0.1:{nobody}",
        "LEAKDRILL_PAGE_TOKENS": CANARY,
        "LEAKDRILL_PAGE_PORT": str(port),
    }
    process = run([str(ROOT / "frontend" / "app.py")], environment)
    try:
        ready(process, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
    # Ctrl-C is no fault, and nothing above was worth a line in the log.
    assert (process.returncode, said) == (0, "")


def test_state_answers_while_the_gateway_is_away(page: str) -> None:
    answer = httpx.get(f"{page}/state")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["phase"] == "away"
    assert "cannot reach the gateway" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/config", "/state", "/gradio_api/info", "/gradio_api/startup-events"])
def test_no_token_leaves_the_server(page: str, path: str) -> None:
    answer = httpx.get(page + path)
    assert answer.status_code == 200
    assert CANARY not in answer.text


@pytest.mark.parametrize("path", ["/favicon.ico", "/manifest.json", "/theme.css"])
def test_what_a_browser_asks_for_by_itself_is_there(page: str, path: str) -> None:
    assert httpx.get(page + path).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/gradio_api/runs", "/gradio_api/mcp/"])
def test_what_the_page_does_not_offer_is_not_there(page: str, path: str) -> None:
    assert httpx.get(page + path).status_code == 404


def test_no_handler_is_offered_as_an_api(page: str) -> None:
    info = httpx.get(f"{page}/gradio_api/info").json()
    assert info == {"named_endpoints": {}, "unnamed_endpoints": {}}


def test_the_ear_hears_what_it_must_never_hear(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(EAR)
    call = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    heard = subprocess.run(
        [sys.executable, "-c", call], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert "asks for '192.0.2.1'" in heard.stderr


def test_the_page_holds_nothing_that_opens_a_standing_stream(page: str) -> None:
    config = httpx.get(f"{page}/config").json()
    kinds = {component["type"] for component in config["components"]}
    assert not kinds & {"state", "browserstate", "timer"}
    assert config["footer_links"] == []
    assert not config.get("run_history")
    assert "EventSource" not in config["head"]


def test_nothing_is_loaded_from_another_host(page: str) -> None:
    html = httpx.get(f"{page}/").text
    config = json.dumps(httpx.get(f"{page}/config").json())
    for outside in ("fonts.googleapis.com", "fonts.gstatic.com", "//cdn"):
        assert outside not in config
        assert f'src="https://{outside}' not in html


def test_a_clip_link_is_checked_without_trusting_it(page: str) -> None:
    answer = httpx.post(f"{page}/clip", json={"video": "video_1", "link": "http://elsewhere.example/secret"})
    assert answer.json()["state"] == "gone"
    assert httpx.post(f"{page}/clip", json={"video": 1}).status_code == 422


def test_a_taken_port_is_told_in_one_line(page: str) -> None:
    port = page.rpartition(":")[2]
    process = run(["-m", "frontend"], {"LEAKDRILL_PAGE_PORT": port})
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert said.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said


def test_a_bad_setting_is_told_in_one_line() -> None:
    process = run(["-m", "frontend"], {"LEAKDRILL_PAGE_PORT": "seven"})
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert said == "LEAKDRILL_PAGE_PORT must be a number from 1 to 65535, not 'seven'\n"
