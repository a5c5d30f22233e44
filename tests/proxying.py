"""A proxy in front of a gateway, which at a word answers everything itself: with a page for people."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

PAGE = b"<!doctype html><title>Down for maintenance</title><h1>We will be back soon</h1>"
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"}


@dataclass
class Proxy:
    """`turned` makes it answer with a page; `pages` counts how often it did."""

    url: str
    turned: threading.Event = field(default_factory=threading.Event)
    pages: int = 0


@contextmanager
def proxy_before(gateway: str, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy on a free port of this machine, which goes away at the end. With `tls`, the context of a server for
    `localhost`, it speaks TLS and tells the gateway so, as such proxies do."""
    with httpx.Client(base_url=gateway, trust_env=False, timeout=30) as ahead:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.close_connection = True
                self.raw_requestline = self.rfile.readline(65_537)
                if self.raw_requestline and self.parse_request():
                    self.close_connection = True
                    self.pass_on()

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if proxy.turned.is_set():
                    proxy.pages += 1
                    self.answer(200, {"content-type": "text/html; charset=utf-8"}, PAGE)
                    return
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
                headers |= {} if tls is None else {"X-Forwarded-Proto": "https"}
                answer = ahead.request(self.command, self.path, content=body, headers=headers)
                self.answer(answer.status_code, answer.headers, answer.content)

            def answer(self, status: int, headers: object, content: bytes) -> None:
                self.send_response(status)
                for name, value in dict(headers).items():  # type: ignore[call-overload]
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.send_header("connection", "close")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Keeps quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            proxy.url = f"https://localhost:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            server.server_close()
            serving.join(10)
