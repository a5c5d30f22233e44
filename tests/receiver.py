"""A webhook receiver on 127.0.0.1, in a thread of its own, that keeps what it was sent."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class Call:
    """One request as it arrived; header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    def signed_with(self, secret: str) -> bool:
        """Whether one of the signatures is this secret's, reckoned without our own code."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """`answer` is given the path and how many calls came before, and says the status and headers; `body` goes with each
    answer. While `hold` is cleared, no answer goes out."""

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    answer: Callable[[str, int], Answer] = lambda path, before: (204, {})
    body: bytes = b""
    hold: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def to(self, path: str) -> list[Call]:
        """The calls to one path."""
        return [call for call in self.calls if call.path == path]


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A receiver that takes calls until the context ends."""
    receiver = Receiver()
    receiver.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            before = len(receiver.calls)
            receiver.calls.append(Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            receiver.hold.wait(30)
            status, headers = receiver.answer(self.path, before)
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(receiver.body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(receiver.body)
            except OSError:
                pass  # the sender has gone away, as its timeout wants it

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # else a burst waits a second for its second SYN

    server = Server(("127.0.0.1", port), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
