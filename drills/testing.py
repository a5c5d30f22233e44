"""Twins that ship with the drills: an event loop whose time is virtual, and a gateway in memory.

`run_virtual(work)` runs a drill of any length without waiting. `MemoryGateway` is an httpx transport with the parts of
the gateway that a drill talks to, and with named faults to try the oracle on.
"""

import asyncio
import json
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx

Result = TypeVar("Result")

# Virtual second 0 in unix seconds, so that two runs tell the same times.
EPOCH = 1_700_000_000.0
Fault = Literal[
    "html", "admin_refused", "down_at_start", "revoke_503", "revoke_timeout", "down_after_revoke", "link_lives",
    "job_goes_on", "nobody_accepted", "bystander_fails", "events_missing", "token_lives",
]  # fmt: skip


class _EagerSelector(selectors.DefaultSelector):
    """Never waits: it tells the loop how long it would have waited."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits for something that never comes")
            self._advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next thing to do. For work that touches no socket and no thread."""

    def __init__(self) -> None:
        self._virtual = 0.0
        super().__init__(_EagerSelector(self._pass))

    def _pass(self, seconds: float) -> None:
        self._virtual += max(0.0, seconds)

    def time(self) -> float:
        return self._virtual


def run_virtual(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


@dataclass
class _Job:
    id: str
    accessor: str
    seconds: float
    status: str = "queued"
    started: float = 0.0
    error: dict[str, str] | None = None


@dataclass
class MemoryGateway(httpx.AsyncBaseTransport):
    """A gateway with one worker. `latency` is seconds per request; `faults` name what it does wrong.

    With `names` it is several, each at the host of its name, and can be told a cache: it then takes a token for good
    until that many seconds after the revocation.
    """

    faults: frozenset[Fault] = frozenset()
    latency: float = 0.004
    admin: str = "admin"
    phase: str = "normal"
    clock: dict[str, Any] | None = None
    revoked: set[str] = field(default_factory=set)
    tokens: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)
    jobs: dict[str, _Job] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    down: bool = False
    names: tuple[str, ...] = ()
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    revoked_at: float = 0.0
    asked: str = ""
    held_by: str = ""
    leases: list[str] = field(default_factory=list)
    knows_injects: bool = True
    fired: dict[str, str] = field(default_factory=dict)
    lines: list[str | None] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        await asyncio.sleep(self.latency)
        if self.down or "down_at_start" in self.faults:
            raise httpx.ConnectError("refused", request=request)
        self._work()
        self.asked = request.url.host
        if "html" in self.faults:
            return httpx.Response(200, html="<h1>Something else</h1>")
        path = urlsplit(str(request.url)).path
        if path in ("/readyz", "/status"):
            return httpx.Response(200, json=self._status(), headers={"leakdrill-replica": self.asked})
        if path.startswith("/control"):
            return await self._control(request, path.removeprefix("/control"))
        if path.startswith("/media/"):
            return self._media(path)
        if path.startswith("/s/"):
            return self._shared(path)
        return self._public(request, path)

    # the queue: one worker, jobs in order

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _work(self) -> None:
        """Bring the queue up to now."""
        for job in self.jobs.values():
            if job.status == "in_progress" and self._now() >= job.started + job.seconds:
                job.status = "completed"
                self._event("job.completed", job.accessor, job.id, at=job.started + job.seconds)
            if job.status == "queued" and not any(each.status == "in_progress" for each in self.jobs.values()):
                job.status, job.started = "in_progress", self._now()
                self._event("job.started", job.accessor, job.id)

    def drain(self) -> None:
        """All that waits or runs is done at once, as after a moment in which only the workers got on."""
        for job in self.jobs.values():
            if job.status in ("queued", "in_progress"):
                job.status = "completed"
                self._event("job.completed", job.accessor, job.id)

    def _event(self, kind: str, accessor: str | None, job: str | None, at: float | None = None, **data: object) -> None:
        when = EPOCH + (self._now() if at is None else at)
        entry = {"at": when, "kind": kind, "accessor": accessor, "job": job, "data": data}
        self.events.append({"seq": len(self.events) + 1, **entry})

    def _count(self, status: str) -> int:
        return sum(job.status == status for job in self.jobs.values())

    def _status(self) -> dict[str, Any]:
        queue = {"waiting": self._count("queued"), "running": self._count("in_progress")}
        known = {"consistency": "strict", "defects": [], "workers": 1, "version": "0.0-memory"}
        replicas = {name: f"http://{name}" for name in self.names}
        line = self.lines[-1] if self.lines else None
        return {
            "status": "ok", "phase": self.phase, "queue": queue, **known, "replicas": replicas, "broadcast": line,
        }  # fmt: skip

    # public face

    def _public(self, request: httpx.Request, path: str) -> httpx.Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        held = self.tokens.get(token)
        if held is None or self._is_dead(held):
            return _error(401, "invalid_api_key")
        if "bystander_fails" in self.faults and held[2] == "bystanders":
            return _error(500, "broken")
        accessor, parts = held[0], path.split("/")
        if parts[2:] == ["tokens"]:
            return self._issue({"principal": held[1], "cohort": held[2], "labels": self.labels.get(held[0], [])})
        if parts[2:] == ["videos"] and request.method == "POST":
            job = _Job(f"video_{len(self.jobs) + 1}", accessor, 8.0 if b"standard" in request.content else 0.3)
            self.jobs[job.id] = job
            self._event("job.queued", accessor, job.id)
            return self._video(job)
        if parts[2:] == ["videos"]:
            return httpx.Response(200, json={"object": "list", "data": []})
        job = self.jobs[parts[3]]
        if parts[4:] == ["cancel"] and job.status in ("queued", "in_progress"):
            job.status, job.error = "failed", {"code": "cancelled", "message": ""}
            self._event("job.cancelled", accessor, job.id)
        if parts[4:] == ["content"]:
            return httpx.Response(200, content=b"clip", headers={"content-type": "video/mp4", "etag": '"clip"'})
        if parts[4:] == ["link"]:
            return httpx.Response(200, json={"url": f"{request.url.copy_with(path=f'/media/{job.id}')}?sig=s&exp=9"})
        if parts[4:] == ["events"]:
            return httpx.Response(200, content=self._stream(job), headers={"content-type": "text/event-stream"})
        if parts[4:] == ["share"]:
            return httpx.Response(200, json={"url": str(request.url.copy_with(path=f"/s/{job.id}"))})
        return self._video(job)

    async def _stream(self, job: _Job) -> AsyncIterator[bytes]:
        """A video's events, until it or its token has ended."""
        yield b'event: video\ndata: {"object": "video"}\n\n'
        while job.status in ("queued", "in_progress") and job.accessor not in self.revoked:  # noqa: ASYNC110 - it polls too
            await asyncio.sleep(0.1)
        if job.accessor in self.revoked:
            yield b'event: error\ndata: {"error": {"code": "invalid_api_key"}}\n\n'

    def _is_dead(self, held: tuple[str, str, str]) -> bool:
        if "nobody_accepted" in self.faults and self.revoked:
            return True
        remembered = self.told.get(self.asked, {}).get("seconds") or 0.0
        if self._now() < self.revoked_at + remembered:
            return False
        return held[0] in self.revoked and not ("token_lives" in self.faults and held[1] == "tester-001")

    def _media(self, path: str) -> httpx.Response:
        job = self.jobs[path.removeprefix("/media/")]
        if job.accessor in self.revoked and "link_lives" not in self.faults:
            return _error(401, "invalid_api_key")
        return httpx.Response(200, content=b"clip", headers={"content-type": "video/mp4"})

    def _shared(self, path: str) -> httpx.Response:
        if self.jobs[path.removeprefix("/s/")].accessor in self.revoked:
            return _error(404, "not_found")
        return httpx.Response(200, content=b"clip", headers={"content-type": "video/mp4"})

    @staticmethod
    def _video(job: _Job) -> httpx.Response:
        body = {"object": "video", "id": job.id, "status": job.status, "error": job.error}
        return httpx.Response(200, json=body, headers={"openai-poll-after-ms": "250"})

    # control face

    async def _control(self, request: httpx.Request, path: str) -> httpx.Response:
        if "admin_refused" in self.faults or request.headers.get("authorization") != f"Bearer {self.admin}":
            return _error(401, "invalid_api_key")
        body = json.loads(request.content) if request.content else {}
        if path == "/state":
            self.phase = body.get("phase", self.phase)
            return httpx.Response(200, json=self._status())
        if path == "/tokens":
            return self._issue(body)
        if path == "/clock":
            self.clock = body
            return httpx.Response(200, json=body)
        if path == "/replicas":
            return self._replicas(body)
        if path.startswith("/drill"):
            return self._lease(request, body)
        if path.startswith("/injects/") or path == "/broadcast":
            return self._say(path.removeprefix("/injects/"), body)
        if path == "/events":
            return self._read_events(request)
        if path == "/revocations/preview":
            return httpx.Response(200, json=self._effect(self._selected(body["selector"])))
        return await self._revoke(request, body)

    def _lease(self, request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        """One drill at a time; a lease that is given back is kept in `leases` all the same."""
        if request.method == "POST":
            if self.held_by:
                return _error(409, "drill_under_way")
            self.leases.append(f"drill_{len(self.leases) + 1}")
            self.held_by = self.leases[-1]
            return httpx.Response(201, json={"id": self.held_by, **body})
        if not request.url.path.endswith(f"/{self.held_by}") or not self.held_by:
            return _error(409 if self.held_by else 404, "drill_under_way" if self.held_by else "not_found")
        if request.method == "DELETE":
            self.held_by = ""
        return httpx.Response(200, json={"id": self.held_by})

    def _say(self, inject: str, body: dict[str, Any]) -> httpx.Response:
        """A line for every page, with an inject or without; `lines` keeps each, the newest last."""
        if inject == "/broadcast":
            self.lines.append(body["text"])
        elif not self.knows_injects:
            return _error(404, "not_found")
        elif inject in self.fired:
            return _error(409, "inject_fired")
        else:
            self.fired[inject] = body["line"]
            self.lines.append(body["line"])
        return httpx.Response(200, json={})

    def _replicas(self, body: dict[str, Any]) -> httpx.Response:
        if body:
            self.told[body["replica"]] = body
        rows = []
        for name in [body["replica"]] if body else self.names:
            told = self.told.get(name, {})
            rows.append({"name": name, "consistency": told.get("profile", "strict"), "seconds": told.get("seconds")})
        return httpx.Response(200, json={"data": rows})

    def _issue(self, body: dict[str, Any]) -> httpx.Response:
        n = len(self.tokens) + 1
        token, accessor = f"ldk_memory{n}", f"tok_{n}"
        self.tokens[token] = (accessor, body["principal"], body["cohort"])
        self.labels[accessor] = body.get("labels") or []
        self._event("token.issued", accessor, None)
        return httpx.Response(201, json={"token": token, "accessor": accessor, **body})

    def _read_events(self, request: httpx.Request) -> httpx.Response:
        if "events_missing" in self.faults and self.revoked:
            return _error(500, "broken")
        query = parse_qs(request.url.query.decode())
        after, kind, limit = int(query["after"][0]), query.get("kind", [""])[0], int(query["limit"][0])
        found = [each for each in self.events if each["seq"] > after and each["kind"].startswith(kind)]
        return httpx.Response(200, json={"data": found[:limit], "has_more": len(found) > limit})

    def _selected(self, selector: dict[str, Any]) -> list[tuple[str, str, str]]:
        wanted = [("accessor", 0), ("principal", 1), ("cohort", 2)]
        return [
            held
            for held in self.tokens.values()
            if selector.get("all")
            or selector.get("label") in self.labels.get(held[0], [])
            or any(selector.get(name) == held[index] for name, index in wanted)
        ]

    def _effect(self, held: list[tuple[str, str, str]]) -> dict[str, Any]:
        accessors = {each[0] for each in held}
        mine = [job.status for job in self.jobs.values() if job.accessor in accessors]
        items = [dict(zip(("accessor", "principal", "cohort"), each, strict=True)) for each in held]
        jobs = {"queued": mine.count("queued"), "running": mine.count("in_progress")}
        return {"tokens": len(held), "jobs": jobs, "items": items, "bystanders": len(self.tokens) - len(held)}

    async def _revoke(self, request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        if "revoke_503" in self.faults:
            return _error(503, "unavailable")
        if "revoke_timeout" in self.faults:
            raise httpx.ReadTimeout("no answer", request=request)
        if body["selector"].get("all") and body.get("confirm") != "all":
            return _error(400, "confirmation_required")
        held = self._selected(body["selector"])
        effect, id = self._effect(held), f"rev_{len(self.revoked) + 1}"
        self.revoked |= {each[0] for each in held}
        self.revoked_at = self._now()
        self._event("revocation.applied", None, None, id=id, accessors=[each[0] for each in held], jobs=effect["jobs"])
        for job in self.jobs.values():
            if job.accessor in self.revoked and job.status in ("queued", "in_progress"):
                if "job_goes_on" in self.faults:
                    self._event("job.started", job.accessor, job.id)
                job.status, job.error = "failed", {"code": "access_revoked", "message": ""}
        self.phase = "revoked" if self.phase == "exposed" else self.phase
        self.down = "down_after_revoke" in self.faults
        return httpx.Response(200, json={"id": id, "acknowledged_at": EPOCH + self._now(), **effect})


def _error(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": code, "type": "error", "param": None, "code": code}})
