"""`leakdrill sink`: a receiver of security events for drills, which misbehaves when it is asked to."""

from __future__ import annotations

import hmac
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import click
import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway import settings as settings_module
from gateway.commands.serve import stop_event
from gateway.commands.verifier import ERRS, SetRefused, Verifier, public_keys
from gateway.errors import OperatorError

MAX_BYTES = 65536


@dataclass(frozen=True)
class Manners:
    """How the sink answers. `slow` is seconds before each answer; `status` and `refuse` take the place of an answer to
    a token that holds; `authorization` is the header that must come."""

    slow: float = 0.0
    status: int | None = None
    refuse: str | None = None
    authorization: str | None = None


@dataclass
class Tally:
    """What has come: tokens that hold by `jti`, and how many did not. `enough` is set after `most` of either."""

    most: int | None
    enough: threading.Event
    seen: set[str] = field(default_factory=set)
    came: int = 0
    bad: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, jti: str | None) -> bool:
        """Counts one, None for one that does not hold; whether it came before."""
        with self.lock:
            again = jti in self.seen
            self.came, self.bad = self.came + 1, self.bad + (jti is None)
            if jti is not None:
                self.seen.add(jti)
            return again

    def answered(self) -> None:
        """Looks whether that was enough; only now, so that the last one gets its answer."""
        if self.most is not None and self.came >= self.most:
            self.enough.set()


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=9100, show_default=True, help="Port on 127.0.0.1.")
@click.option("--audience", default="leakdrill-sink", show_default=True, help="The aud that must be named.")
@click.option("--issuer", help="The iss that must be named [what the gateway publishes].")
@click.option("--authorization", help="The Authorization header that must come.")
@click.option("--slow", type=click.FloatRange(0, 3600), default=0.0, help="Wait so many seconds before each answer.")
@click.option("--status", type=click.IntRange(200, 599), help="Answer this instead of 202.")
@click.option("--refuse", type=click.Choice(ERRS), help="Answer 400 with this err instead of 202.")
@click.option("--down-for", type=click.FloatRange(0, 86_400), default=0.0, help="Refuse connections for so long.")
@click.option("--count", type=click.IntRange(1), help="End after so many events.")
@click.option("--json", "as_json", is_flag=True, help="Print each event's claims as JSON.")
@click.option("--gateway", "--target", "target", help="Gateway address [http://127.0.0.1:8000].")
def sink(
    port: int,
    audience: str,
    issuer: str | None,
    authorization: str | None,
    slow: float,
    status: int | None,
    refuse: str | None,
    down_for: float,
    count: int | None,
    as_json: bool,
    target: str | None,
) -> None:
    """Receive security events, verify each, and print a line for it. Exit code 0: all verified, 1: one did not, 2: bad
    usage, or no gateway."""
    if status is not None and refuse is not None:
        raise click.UsageError("--status and --refuse exclude each other")
    address = (target or f"http://127.0.0.1:{settings_module.load().port}").rstrip("/")
    published = _fetch(f"{address}/.well-known/ssf-configuration")
    keys = Keys(f"{address}/.well-known/jwks.json")
    verifier = Verifier(issuer or str(published.get("issuer")), audience, keys.named)
    stop = stop_event()
    tally = Tally(count, stop)
    answer = Answering(verifier, Manners(slow, status, refuse, authorization), tally, _printer(as_json), stop)
    with _bound(port, answer) as server:
        if not stop.wait(down_for):
            server.server_activate()
            click.echo(f"listening on http://127.0.0.1:{port}/ for {audience}, from {verifier.issuer}", err=True)
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            stop.wait()
            server.shutdown()
    click.echo(f"{tally.came} came, {len(tally.seen)} different, {tally.bad} did not verify", err=True)
    sys.exit(1 if tally.bad else 0)


class Keys:
    """The gateway's public keys, fetched when an identifier is not known yet."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._known: dict[str, rsa.RSAPublicKey] = {}
        self._lock = threading.Lock()

    def named(self, kid: str) -> rsa.RSAPublicKey | None:
        """The key, or None where the gateway publishes no such one; raises OperatorError where it does not answer."""
        with self._lock:
            if kid not in self._known:
                try:
                    self._known = public_keys(_fetch(self._url))
                except ValueError as exc:
                    raise OperatorError(f"{self._url} holds {exc}") from exc
            return self._known.get(kid)


@dataclass(frozen=True)
class Answering:
    """From a request's body and Authorization header to the status and body of the answer."""

    verifier: Verifier
    manners: Manners
    tally: Tally
    show: Callable[..., None]
    stop: threading.Event

    def __call__(self, body: bytes, content_type: str, authorization: str | None) -> tuple[int, dict[str, str] | None]:
        self.stop.wait(self.manners.slow)
        try:
            if content_type.partition(";")[0].strip().lower() != "application/secevent+jwt":
                raise SetRefused("invalid_request", "the content type is not application/secevent+jwt")
            wanted = self.manners.authorization
            if wanted is not None and not hmac.compare_digest(wanted.encode(), (authorization or "").encode()):
                raise SetRefused("authentication_failed", "the Authorization header is not the one that was agreed")
            event = self.verifier.check(body)
        except SetRefused as exc:
            self.tally.note(None)
            self.show("does not verify", exc.err, exc.description)
            return 400, {"err": exc.err, "description": exc.description}
        except OperatorError as exc:
            self.show("cannot be judged", "", str(exc))
            return 503, None
        again = self.tally.note(event.jti)
        status = 400 if self.manners.refuse else self.manners.status or 202
        word = ("again" if again else "verified") if status == 202 else f"answered {status}"
        self.show(word, event.kind, f"{event.subject}  txn={event.txn}  jti={event.jti}", event.claims)
        return status, {"err": self.manners.refuse, "description": "as asked"} if self.manners.refuse else None


def _printer(as_json: bool) -> Callable[..., None]:
    def show(word: str, kind: str, text: str, claims: Any = None) -> None:
        if as_json:
            click.echo(json.dumps({"outcome": word, "kind": kind, "text": text, "claims": claims}))
        else:
            click.echo(f"{datetime.now(UTC):%H:%M:%S}  {word:<15}  {kind:<21}  {text}")

    return show


def _bound(port: int, answer: Answering) -> ThreadingHTTPServer:
    """A server that holds its port and refuses connections until it is activated."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("content-length", "0")
            if not length.isascii() or not length.isdigit() or int(length) > MAX_BYTES:
                self.send_error(413)
                return
            body = self.rfile.read(int(length))
            status, refusal = answer(body, self.headers.get("content-type", ""), self.headers.get("authorization"))
            content = b"" if refusal is None else json.dumps(refusal).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                if refusal is not None:
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Language", "en")
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()
            except OSError:
                click.echo("the gateway did not wait for the answer", err=True)
            answer.tally.answered()

        def log_message(self, *_: object) -> None:
            """Each event has a line of its own."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", port), Handler, bind_and_activate=False)
    try:
        server.server_bind()
    except OSError as exc:
        server.server_close()
        raise OperatorError(
            f"cannot listen on 127.0.0.1:{port}: {exc.strerror or exc}; choose another port with --port"
        ) from exc
    return server


def _fetch(url: str) -> Any:
    try:
        answer = httpx.get(url, timeout=10.0, trust_env=False)
        answer.raise_for_status()
        return answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as exc:
        raise OperatorError(
            f"{url} cannot be read ({exc}); start a gateway with `leakdrill up`, or name it with --gateway"
        ) from exc
