"""What bad clients send over the socket: refused with the envelope, in bounded memory, without a line in the log."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from footage import bomb, picture
from live import Live, eventually, live_gateway

MIB = 1024 * 1024
MAX_GROWTH = 64 * MIB
BOUNDARY = "1d6f0e"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("bad") / "data", workers=0) as running:
        token = running.issue()["token"]
        httpx.post(f"{running.url}/v1/videos", json={"prompt": "x"}, headers=bearer(token), trust_env=False)
        yield running


@pytest.fixture
def token(live: Live) -> Iterator[str]:
    """A new token; afterwards the gateway has grown little, has nothing to tell, and keeps no upload."""
    before = resident(live)
    yield str(live.issue()["token"])
    data = live.supervisor.settings.data
    assert resident(live) - before < MAX_GROWTH
    log = (data / "logs" / "gateway.log").read_text()
    assert "Traceback" not in log
    assert "ERROR" not in log
    eventually(lambda: not list((data / "inputs").iterdir()))
    assert httpx.get(f"{live.url}/healthz", trust_env=False).status_code == 200


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def resident(live: Live) -> int:
    """Bytes of memory that the gateway's process holds, as Linux tells it; elsewhere 0."""
    if not Path("/proc/self/status").exists():
        return 0
    (gateway,) = [child for child in live.supervisor.children if child.name == "gateway"]
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def send(live: Live, head: str, pieces: Iterable[bytes] = ()) -> tuple[int, Any]:
    """Status and JSON body of the answer to a request written by hand; what is sent stops when the answer comes."""
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head.encode("latin-1"))
        for piece in pieces:
            if select.select([connection], [], [], 0)[0]:
                break
            try:
                connection.sendall(piece)
            except OSError:
                break  # the gateway has answered and closed its side
        received = b""
        while not complete(received):
            more = connection.recv(65_536)
            if not more:
                break
            received += more
    start, _, body = received.partition(b"\r\n\r\n")
    return int(start.split(b" ", 2)[1]), json.loads(body)


def complete(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and bool(lengths) and len(body) >= int(lengths[0])


def head(path: str, token: str, *more: str, method: str = "POST") -> str:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", *more]
    return "\r\n".join(lines) + "\r\n\r\n"


def part(name: str, filename: str = "") -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()


FORM = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"


def ensure_refused(answer: tuple[int, Any], status: int, code: str) -> None:
    assert answer[0] == status, answer
    assert set(answer[1]) == {"error"}
    assert set(answer[1]["error"]) == {"message", "type", "param", "code"}
    assert answer[1]["error"]["code"] == code
    assert len(answer[1]["error"]["message"]) < 1000


@pytest.mark.parametrize("told", ["declared", "chunked"])
def test_a_hundred_megabytes_are_refused(live: Live, token: str, told: str) -> None:
    before = resident(live)
    pieces: Iterable[bytes]
    if told == "declared":
        length, pieces = f"Content-Length: {100 * MIB}", (bytes(MIB) for _ in range(100))
    else:
        chunks = [part("video", "clip.mp4"), *[bytes(MIB)] * 100]
        length, pieces = "Transfer-Encoding: chunked", (b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    ensure_refused(send(live, head("/v1/videos/edits", token, FORM, length), pieces), 413, "payload_too_large")
    assert resident(live) - before < MAX_GROWTH


def test_sixty_megabytes_that_are_no_clip_are_refused_on_the_disk(live: Live, token: str) -> None:
    body = [
        part("prompt") + b"x\r\n" + part("video", "clip.mp4"),
        *[b"\x5a" * MIB] * 60,
        f"\r\n--{BOUNDARY}--".encode(),
    ]
    length = f"Content-Length: {sum(len(piece) for piece in body)}"
    ensure_refused(send(live, head("/v1/videos/edits", token, FORM, length), body), 400, "invalid_video")


def test_twenty_megabytes_of_prompt_are_refused(live: Live, token: str) -> None:
    body = [b'{"prompt": "', *[b"x" * MIB] * 20, b'"}']
    length = f"Content-Length: {sum(len(piece) for piece in body)}"
    kind = "Content-Type: application/json"
    ensure_refused(send(live, head("/v1/videos", token, kind, length), body), 400, "invalid_value")


@pytest.mark.parametrize(
    ("field", "path", "content", "code"),
    [
        ("input_reference", "/v1/videos", bomb(), "invalid_image"),
        ("input_reference", "/v1/videos", b"GIF89a" + bytes(100), "invalid_image"),
        ("video", "/v1/videos/edits", b"just text in a file called .mp4\n" * 100, "invalid_video"),
        ("video", "/v1/videos/edits", picture(), "invalid_video"),
        ("video", "/v1/videos/characters", b"#EXTM3U\nfile:///etc/passwd\n", "invalid_video"),
    ],
    ids=["picture bomb", "gif", "text called mp4", "picture called mp4", "playlist called mp4"],
)
def test_files_that_are_not_what_they_say(
    live: Live, token: str, field: str, path: str, content: bytes, code: str
) -> None:
    data = (
        {"name": "x"}
        if path.endswith("characters")
        else {"prompt": "x", **({"size": "854x480"} if field[0] == "i" else {})}
    )
    files = {field: ("clip.mp4", content, "video/mp4")}
    answer = httpx.post(live.url + path, headers=bearer(token), data=data, files=files, timeout=60, trust_env=False)
    ensure_refused((answer.status_code, answer.json()), 400, code)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{port}/healthz",
        "http://localhost:{port}/healthz",
        "http://2130706433:{port}/healthz",
        "http://[::ffff:127.0.0.1]:{port}/healthz",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/a.png",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://user:word@example.com/a.png",
        "http://127.0.0.1:{port}/\r\nX-Injected: 1",
    ],
)
def test_addresses_that_must_not_be_called(live: Live, token: str, address: str) -> None:
    address = address.format(port=live.supervisor.settings.port)
    body = {"prompt": "x", "input_reference": {"image_url": address}}
    answer = httpx.post(f"{live.url}/v1/videos", headers=bearer(token), json=body, timeout=30, trust_env=False)
    ensure_refused((answer.status_code, answer.json()), 400, "url_not_allowed")
    assert "root:" not in answer.text
    hook = {"name": "x", "url": address, "event_types": ["video.failed"]}
    answer = httpx.post(
        f"{live.url}/v1/webhook_endpoints", headers=bearer(token), json=hook, timeout=30, trust_env=False
    )
    assert (answer.status_code, set(answer.json())) == (400, {"error"})


def test_line_breaks_in_names_and_prompts_reach_no_header(live: Live, token: str) -> None:
    injected = "x\r\nX-Injected: yes\r\n\r\n<html>"
    made = httpx.post(f"{live.url}/v1/videos", headers=bearer(token), json={"prompt": injected}, trust_env=False)
    assert (made.status_code, made.json()["prompt"]) == (200, injected)
    assert "x-injected" not in made.headers
    httpx.delete(f"{live.url}/v1/videos/{made.json()['id']}", headers=bearer(token), trust_env=False)

    name = 'a.png"; filename="../../../../tmp/evil%0d%0aX-Injected: yes'
    files = {"input_reference": (name, b"no picture", "image/png\r\nX-Injected: yes")}
    answer = httpx.post(
        f"{live.url}/v1/videos", headers=bearer(token), data={"prompt": "x"}, files=files, trust_env=False
    )
    assert (answer.status_code, set(answer.json())) == (400, {"error"})
    assert "x-injected" not in answer.headers


@pytest.mark.parametrize("key", ["k" * 10_000, "k\x01k", "\xff\xfe", "k\tk", " "])
def test_odd_idempotency_keys_harm_nobody(live: Live, token: str, key: str) -> None:
    body = b'{"prompt": "x"}'
    lines = (f"Idempotency-Key: {key}", "Content-Type: application/json", f"Content-Length: {len(body)}")
    status, answer = send(live, head("/v1/videos", token, *lines) + body.decode())
    assert status in (200, 400)
    assert "error" in answer if status == 400 else answer["object"] == "video"


def test_ids_of_ten_thousand_characters_are_unknown(live: Live, token: str) -> None:
    long = "v" * 10_000
    calls = [
        ("GET", f"/v1/videos/{long}"),
        ("DELETE", f"/v1/videos/{long}"),
        ("GET", f"/v1/videos/{long}/content"),
        ("POST", f"/v1/videos/{long}/cancel"),
        ("GET", f"/v1/videos?after={long}"),
        ("GET", f"/v1/videos/characters/{long}"),
        ("GET", f"/v1/models/{long}"),
        ("GET", f"/v1/webhook_endpoints/{long}"),
        ("GET", f"/{long}"),
    ]
    for method, path in calls:
        ensure_refused(send(live, head(path, token, method=method)), 404, "not_found")
    ensure_refused(send(live, head(f"/media/{long}?exp=1&sig={long}", token, method="GET")), 403, "invalid_link")
    body = json.dumps({"prompt": "x", "video": {"id": long}})
    lines = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    ensure_refused(send(live, head("/v1/videos/edits", token, *lines) + body), 404, "not_found")


@pytest.mark.parametrize("bad", ["ldk_" + "x" * 50_000, "\xff\xfe", "a b c", ""])
def test_odd_bearers_are_unknown(live: Live, token: str, bad: str) -> None:
    ensure_refused(send(live, head("/v1/videos", bad, method="GET")), 401, "invalid_api_key")


@pytest.mark.parametrize(
    "request_line", ["GET / HTTP/9.9", "BREW /v1/videos HTTP/1.1", "GET /v1/videos?limit=\x01 HTTP/1.1", "nonsense"]
)
def test_what_is_not_http_is_refused_in_the_same_shape(live: Live, token: str, request_line: str) -> None:
    ensure_refused(send(live, f"{request_line}\r\nHost: x\r\n\r\n"), 400, "invalid_request")


def test_a_client_that_leaves_in_mid_upload_leaves_nothing(live: Live, token: str) -> None:
    host, port = live.url.removeprefix("http://").split(":")
    inputs = live.supervisor.settings.data / "inputs"
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(head("/v1/videos/edits", token, FORM, f"Content-Length: {50 * MIB}").encode())
            connection.sendall(part("video", "clip.mp4") + bytes(5 * MIB))
            eventually(lambda: list(inputs.iterdir()))
    eventually(lambda: not list(inputs.iterdir()))
    listed = httpx.get(f"{live.url}/v1/videos", headers=bearer(token), trust_env=False)
    assert listed.json()["data"] == []
