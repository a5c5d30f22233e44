"""The gateway as a drill sees it: an HTTP client that times and keeps every request.

Public calls return an Answer whatever happens, since being refused is what a drill looks for. Control calls raise:
TargetDown when nobody answers or something else does, TargetRefused for a wrong address or admin token, DrillError
otherwise.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from drills.callers import Answer, Bearer, Caller, bearer_in, form_of
from drills.containment import Selector
from drills.errors import DrillError, TargetDown, TargetRefused
from drills.history import FOREIGN, PAGE, REDIRECT, Exchange, History, outcome_of
from drills.population import Clip
from drills.replies import EventsPage, GatewayEvent, ReplicaReply, ReplicasReply, RevocationReply, Status
from drills.topology import Order

Reply = TypeVar("Reply", bound=BaseModel)

EVENTS_PAGE = 500
NOT_MODIFIED = 304
LONGEST_TOLD_SECONDS = 86_400.0


class GatewayClient:
    """Talks to one gateway. Close it with `aclose()`. `replica` is its name, None where there is only one."""

    def __init__(
        self,
        target: str,
        admin_token: str,
        history: History,
        *,
        timeout: float,
        transport: httpx.AsyncBaseTransport | None = None,
        replica: str | None = None,
    ) -> None:
        self.target = target.rstrip("/")
        self.replica = replica
        self.own_name = replica  # what it calls itself; None until it has said so
        self._history = history
        self._admin = admin_token
        self._http = httpx.AsyncClient(
            base_url=self.target,
            timeout=timeout,
            transport=transport,
            trust_env=False,
            limits=httpx.Limits(max_connections=128, max_keepalive_connections=64),
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    # public face

    async def submit(self, caller: Caller, clip: Clip, prompt: str) -> Answer:
        """POST /v1/videos as a form, the way the openai client sends it."""
        return await self.send(caller, "submit", "POST", "/v1/videos", form=form_of(clip, prompt))

    async def poll(self, caller: Caller, video: str) -> Answer:
        return await self.send(caller, "poll", "GET", f"/v1/videos/{video}", job=video)

    async def list_videos(self, caller: Caller) -> Answer:
        return await self.send(caller, "list", "GET", "/v1/videos?limit=1")

    async def download(self, caller: Caller, video: str) -> Answer:
        return await self.send(caller, "download", "GET", f"/v1/videos/{video}/content", job=video)

    async def cancel(self, caller: Caller, video: str) -> Answer:
        return await self.send(caller, "cancel", "POST", f"/v1/videos/{video}/cancel", job=video)

    def stream(self, caller: Caller, video: str) -> AbstractAsyncContextManager[httpx.Response]:
        """Open the events of a video and leave the reading to the caller; raises httpx.HTTPError."""
        self._history.check_limit()
        token = caller.bearer.token if caller.bearer else ""
        headers = {"Authorization": f"Bearer {token}"}
        return self._http.stream("GET", f"/v1/videos/{video}/events", headers=headers)

    # control face

    async def ready(self) -> None:
        """Raise TargetDown unless /readyz says ready, TargetRefused when something else lives there."""
        answer = await self.send(self._control("ready"), "status", "GET", "/readyz")
        status = answer.exchange.status
        if status is None:
            raise TargetDown(f"{self.target} does not answer")
        if status >= 500:
            raise TargetDown(f"{self.target} is not ready ({status})")
        if not answer.accepted or not answer.body:
            raise TargetRefused(f"{self.target} is not a leakdrill gateway (/readyz answered {status})")
        self.own_name = answer.headers.get("leakdrill-replica")

    async def status(self) -> Status | None:
        """GET /status; None when it gives no usable answer."""
        answer = await self.send(self._control("status"), "status", "GET", "/status")
        try:
            return Status.model_validate(answer.body) if answer.accepted else None
        except ValidationError:
            return None

    async def check_admin(self) -> Status:
        """Read /control/state with the admin token. Raises TargetRefused when it is not taken."""
        return self.shaped(Status, await self._demand("state", "GET", "/control/state"))

    async def issue(
        self,
        principal: str,
        cohort: str,
        *,
        label: str | None = None,
        expires_in: float | None = None,
        mints: bool = False,
    ) -> Bearer:
        """A new token. `expires_in` is seconds; `mints` lets it issue tokens itself."""
        body: dict[str, object] = {"principal": principal, "cohort": cohort}
        if label is not None:
            body["labels"] = [label]
        if expires_in is not None:
            body["expires_in"] = expires_in
        if mints:
            body["scopes"] = ["videos:read", "videos:write", "tokens:mint"]
        return bearer_in(await self._demand("issue", "POST", "/control/tokens", json=body), principal, cohort, label)

    async def tell(self, order: Order, for_seconds: float) -> ReplicaReply:
        """Tell a replica how late to learn and what to do wrong; what it does from then on, for a day at the most."""
        body: dict[str, object] = {"replica": order.replica, "profile": order.profile, "defects": order.defects}
        body["for_seconds"] = min(for_seconds, LONGEST_TOLD_SECONDS)
        if order.seconds is not None:
            body["seconds"] = order.seconds
        told = self.shaped(ReplicasReply, await self._demand("tell", "PATCH", "/control/replicas", json=body))
        if not told.data:
            raise DrillError(f"/control/replicas told nobody of {order.replica}")
        return told.data[0]

    async def replicas(self) -> list[ReplicaReply]:
        """What each gateway was told."""
        return self.shaped(ReplicasReply, await self._demand("replicas", "GET", "/control/replicas")).data

    async def set_phase(self, phase: str) -> None:
        await self._demand("phase", "PATCH", "/control/state", json={"phase": phase})

    async def set_clock(self, time: str, speed: float, *, running: bool) -> None:
        """`time` is ISO 8601 with an offset, `speed` replay seconds per second."""
        await self._demand("clock", "PUT", "/control/clock", json={"time": time, "speed": speed, "running": running})

    async def preview(self, selector: Selector) -> RevocationReply | None:
        """What a revocation would touch; None when the gateway does not say."""
        body = {"selector": selector.model_dump(exclude_defaults=True)}
        answer = await self.send(self._control("preview"), "control", "POST", "/control/revocations/preview", json=body)
        try:
            return RevocationReply.model_validate(answer.body) if answer.accepted else None
        except ValidationError:
            return None

    async def revoke(
        self,
        selector: Mapping[str, object],
        reason: str,
        timeout: float,  # noqa: ASYNC109
        transfers: str = "cut",
        *,
        housekeeping: bool = False,
    ) -> Answer:
        """POST /control/revocations. The caller reads the outcome: a timeout means that nobody knows. `housekeeping`
        says that it is no move of the exercise."""
        body: dict[str, object] = {"selector": dict(selector), "reason": reason}
        if transfers != "cut":
            body["in_flight"] = {"transfers": transfers}
        if selector.get("all"):
            body["confirm"] = "all"
        if housekeeping:
            body["housekeeping"] = True
        caller, path = self._control("revoke"), "/control/revocations"
        return await self.send(caller, "control", "POST", path, json=body, timeout=timeout)

    async def events(self, after: int, kind: str = "") -> list[GatewayEvent]:
        """Every event after a sequence number whose kind begins so. Raises DrillError when unreadable."""
        found: list[GatewayEvent] = []
        while True:
            path = f"/control/events?after={after}&limit={EVENTS_PAGE}&kind={kind}"
            page = self.shaped(EventsPage, await self._demand("events", "GET", path))
            found += page.data
            if not page.has_more or not page.data:
                return found
            after = page.data[-1].seq

    async def ask(self, who: str, method: str, path: str, *, json: Mapping[str, object] | None = None) -> Answer:
        """A control call whatever becomes of it."""
        return await self.send(self._control(who), "control", method, path, json=json)

    async def order(self, who: str, method: str, path: str, *, json: Mapping[str, object] | None = None) -> Answer:
        """A control call that must succeed; raises as all of them do."""
        return await self._demand(who, method, path, json=json)

    # below both

    @staticmethod
    def _control(who: str) -> Caller:
        return Caller("control", who)

    @staticmethod
    def shaped(model: type[Reply], answer: Answer) -> Reply:
        """The answer's body. Raises DrillError where it has another shape."""
        try:
            return model.model_validate(answer.body)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise DrillError(f"{answer.exchange.path} answered another shape: {place}: {first['msg']}") from error

    async def _demand(self, who: str, method: str, path: str, *, json: Mapping[str, object] | None = None) -> Answer:
        """A control call that must succeed."""
        return self.insist(await self.send(self._control(who), "control", method, path, json=json))

    def insist(self, answer: Answer) -> Answer:
        """The answer to a control call that had to succeed; raises as all of them do."""
        status, where = answer.exchange.status, f"{answer.exchange.method} {answer.exchange.path}"
        if status is None:
            raise TargetDown(f"{self.target} does not answer ({where})")
        code = answer.exchange.code or ""
        if code in FOREIGN:
            what = "an HTML page" if code == PAGE else "a redirect"
            words = f"answers with {what} instead of the API's answer ({where}: {status})"
            raise TargetDown(f"{self.target} {words}: something else stands before the gateway")
        if status >= 500:
            raise TargetDown(f"{self.target} is out of order ({where}: {status} {code}".rstrip() + ")")
        if status in (401, 403):
            raise TargetRefused(f"{self.target} refused the admin token ({where}: {status})")
        if not answer.accepted:
            raise DrillError(f"{where} answered {status} {code}".rstrip())
        return answer

    async def send(
        self,
        caller: Caller,
        surface: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        job: str | None = None,
        bare: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - httpx's own, per step of the exchange
    ) -> Answer:
        """Send, time, keep. `bare` leaves Authorization out: the caller's bearer then says whose link it is."""
        self._history.check_limit()
        token = caller.bearer.token if caller.bearer else self._admin
        sent = {} if bare else {"Authorization": f"Bearer {token}"}
        # A part without a file name is a plain form field; this is how multipart goes without a file.
        parts = {name: (None, value) for name, value in form.items()} if form else None
        options: dict[str, Any] = {"headers": {**sent, **(headers or {})}, "json": json, "files": parts}
        if content is not None:
            options["content"] = content
        if timeout is not None:
            options["timeout"] = timeout
        start = self._history.now()
        try:
            response: httpx.Response | None = await self._http.request(method, path, **options)
        except (httpx.HTTPError, httpx.InvalidURL):
            response = None
        end = self._history.now()
        body = _json_object(response)
        exchange = self._exchange(caller, surface, method, path, response, body, start, end)
        if job and exchange.job is None:
            exchange = exchange.model_copy(update={"job": job})
        self._history.add(exchange)
        return Answer(exchange, body, response.headers if response is not None else {}, _json_list(response))

    def _exchange(
        self,
        caller: Caller,
        surface: str,
        method: str,
        path: str,
        response: httpx.Response | None,
        body: Mapping[str, Any],
        start: float,
        end: float,
    ) -> Exchange:
        """The record of a request: accessor instead of token, path without its query (a link's signature is there)."""
        code = _foreign(response) or _error_code(body)
        status = response.status_code if response is not None else None
        fetched = response is not None and surface in ("download", "signed_link")
        return Exchange(
            n=len(self._history.exchanges) + 1,
            actor=caller.actor,
            who=caller.who,
            surface=surface,
            accessor=caller.bearer.accessor if caller.bearer else None,
            method=method,
            path=urlsplit(path).path,
            start=start,
            end=end,
            status=status,
            outcome=outcome_of(status, code, surface),
            code=code,
            job=_video_id(body),
            bytes=len(response.content) if response is not None and fetched else None,
            replica=self.replica,
        )


def is_page(headers: Mapping[str, str]) -> bool:
    """Whether an answer is a page for people, which the API never gives."""
    return "html" in headers.get("content-type", "").lower()


def _foreign(response: httpx.Response | None) -> str | None:
    """What came instead of an answer of the API's; None where one came, or nothing."""
    if response is None:
        return None
    if is_page(response.headers) or response.content[:15].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return PAGE
    return REDIRECT if 300 <= response.status_code < 400 and response.status_code != NOT_MODIFIED else None


def _json(response: httpx.Response | None) -> object:
    """The answer's JSON; None for anything else."""
    if response is None or "json" not in response.headers.get("content-type", ""):
        return None
    try:
        return response.json()
    except ValueError:
        return None


def _json_object(response: httpx.Response | None) -> dict[str, Any]:
    """The answer's JSON object; empty for anything else."""
    body = _json(response)
    return body if isinstance(body, dict) else {}


def _json_list(response: httpx.Response | None) -> list[Any]:
    """The answer's JSON array; empty for anything else."""
    body = _json(response) if response is not None and response.content[:1] == b"[" else None
    return body if isinstance(body, list) else []


def _error_code(body: Mapping[str, Any]) -> str | None:
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return str(code) if code else None


def _video_id(body: Mapping[str, Any]) -> str | None:
    return str(body["id"]) if body.get("object") == "video" and "id" in body else None
