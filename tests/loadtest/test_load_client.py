"""The load test's client beside the published one: what both put on the wire, and when both try again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import httpx2
import openai
import pytest

from loadtest.client import MAX_RETRIES, Line, OpenAIClient, multipart, retry_after, retry_seconds, should_retry
from loadtest.history import History

# What the connection says, not the client.
OF_THE_CONNECTION = {"host", "connection", "accept-encoding", "content-length"}
VIDEO = b'{"id": "video_1", "object": "video", "status": "completed", "model": "turbo", "progress": 100}'
Seen = list[tuple[str, str, dict[str, str], bytes]]


class _Wire(BaseHTTPRequestHandler):
    """Keeps what comes; answers 503 as often as it was told, then a video."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[Seen] = []
    failing: ClassVar[int] = 0

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append((self.command, self.path, headers, body))
        if len(self.seen) <= self.failing:
            self.send_response(503)
            self.send_header("retry-after-ms", "1")
        else:
            self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(VIDEO)))
        self.end_headers()
        self.wfile.write(VIDEO)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        """Nothing to standard error."""


class _Stream:
    def __init__(self, content: bytes) -> None:
        self._left = content

    def read(self, most: int) -> bytes:
        taken, self._left = self._left[:most], self._left[most:]
        return taken


class _Answer:
    """An answer as Locust's session gives it."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status_code, self.headers, self.content = answer.status_code, answer.headers, answer.content
        self.stream = _Stream(answer.content)


class _Session:
    """Requests as Locust's session takes them, without gevent."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def request(self, method: str, url: str, **options: Any) -> _Answer:
        return _Answer(self._http.request(method, url, content=options["data"], headers=options["headers"]))


@pytest.fixture
def wire() -> Iterator[tuple[str, type[_Wire]]]:
    class Fresh(_Wire):
        seen: ClassVar[Seen] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Fresh
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def ours(url: str, history: History, kind: type[_Session] = _Session) -> Iterator[OpenAIClient]:
    line = Line(history, now=lambda: 0.0, sleep=lambda _seconds: None)
    with httpx.Client(base_url=url, trust_env=False) as http:
        yield OpenAIClient(kind(http), line, "ldk_x", 0, 0, 0, random.Random(1))


CALLS: dict[str, tuple[Callable[[openai.OpenAI], object], Callable[[OpenAIClient], object]]] = {
    "create": (
        lambda client: client.videos.create(prompt="a dog", model="turbo", seconds="4", size="1280x720"),
        lambda client: client.create("a dog", "turbo", 4, "1280x720"),
    ),
    "poll": (lambda client: client.videos.poll("video_1"), lambda client: client.retrieve("video_1")),
    "download": (
        lambda client: client.videos.download_content("video_1").read(),
        lambda client: client.download("video_1"),
    ),
    "delete": (lambda client: client.videos.delete("video_1"), lambda client: client.delete("video_1")),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("call", CALLS)
def test_each_call_and_its_retries_look_the_same(call: str, wire: tuple[str, type[_Wire]]) -> None:
    url, server = wire
    theirs, own = CALLS[call]
    server.failing = MAX_RETRIES
    with openai.OpenAI(base_url=f"{url}/v1", api_key="ldk_x") as client:
        theirs(client)
    expected = [*server.seen]
    server.seen.clear()
    history = History()
    with ours(url, history) as mine:
        own(mine)
    assert len(server.seen) == len(expected) == MAX_RETRIES + 1
    assert [plain(each) for each in server.seen] == [plain(each) for each in expected]
    assert [(each.status, each.attempt, each.last) for each in history.exchanges] == [
        (503, 0, False),
        (503, 1, False),
        (200, 2, True),
    ]


def plain(request: tuple[str, str, dict[str, str], bytes]) -> tuple[str, str, dict[str, str], bytes]:
    """Without what a connection adds, and without the form's random boundary."""
    method, path, headers, body = request
    kept = {name: value for name, value in headers.items() if name not in OF_THE_CONNECTION}
    _, _, boundary = kept.get("content-type", "").partition("boundary=")
    if boundary:
        kept["content-type"] = kept["content-type"].replace(boundary, "B")
        body = body.replace(boundary.encode(), b"B")
    return method, path, kept, body


STATUSES = (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"retry-after": "2"},
    {"retry-after": "0.5"},
    {"retry-after": "0"},
    {"retry-after": "-3"},
    {"retry-after": "120"},
    {"retry-after": "121"},
    {"retry-after": "nan"},
    {"retry-after": "soon"},
    {"retry-after-ms": "250", "retry-after": "9"},
    {"retry-after-ms": "x", "retry-after": "9"},
    {"x-should-retry": "true"},
    {"x-should-retry": "false"},
    {"x-should-retry": "True"},
    {"x-should-retry": "true", "retry-after": "500"},
)


@pytest.mark.parametrize("headers", HEADERS)
def test_retries_are_the_published_clients(headers: dict[str, str]) -> None:
    client = openai.OpenAI(api_key="x", base_url="http://127.0.0.1:9/v1")
    for status in STATUSES:
        assert should_retry(status, headers) == client._should_retry(httpx2.Response(status, headers=headers)), status
    told = client._parse_retry_after_header(httpx2.Headers(headers))
    mine = retry_after(headers)
    assert mine == told or (mine != mine and told != told)
    for attempt in (0, 1, 2, 7):
        options: Any = openai._models.FinalRequestOptions(method="get", url="/", max_retries=10)
        theirs = client._calculate_retry_timeout(10 - attempt, options, httpx2.Headers(headers))
        longest, shortest = (retry_seconds(attempt, headers, drawn) for drawn in (0.0, 1.0))
        assert shortest - 1e-9 <= theirs <= longest + 1e-9, attempt


def test_no_answer_is_tried_again() -> None:
    assert should_retry(0, {})


def test_a_date_says_when_to_try_again() -> None:
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=10.0) == 50.0


def test_a_form_holds_any_prompt() -> None:
    body, kind = multipart({"prompt": 'a "dog"\r\non a skateboard · été'})
    boundary = kind.removeprefix("multipart/form-data; boundary=").encode()
    assert body.count(boundary) == 2
    assert 'a "dog"\r\non a skateboard · été'.encode() in body


def test_an_answer_that_breaks_off_is_tried_again_and_kept() -> None:
    class Broken(_Stream):
        def read(self, most: int) -> bytes:
            if taken := super().read(most):
                return taken
            raise ConnectionResetError

    class Cut(_Session):
        def request(self, method: str, url: str, **options: Any) -> Any:
            answer = _Answer(httpx.Response(200, content=b"0123456789"))
            answer.stream = Broken(b"0123456789")
            answer.release = lambda: None  # type: ignore[attr-defined]
            return answer

    history = History()
    with ours("http://127.0.0.1:9", history, Cut) as client:
        reply = client.download("video_1")
    assert not reply.ok
    assert [(each.status, each.code, each.bytes, each.ok) for each in history.exchanges] == [
        (200, "connection_reset", 10, False)
    ] * 3
