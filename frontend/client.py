"""The gateway's public HTTP API, as far as the page uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

# Codes of our own, beside the gateway's: no answer came, or one that is not the gateway's.
AWAY = "gateway_away"
STRANGE = "strange_answer"


T = TypeVar("T", "Seat", "Status", "Video")


class GatewayError(Exception):
    """The gateway refused, failed or did not answer."""

    def __init__(self, code: str, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after = retry_after

    @property
    def passing(self) -> bool:
        """True if the same question may be answered in a moment: no answer, or a server in trouble."""
        return self.code == AWAY or (self.status is not None and self.status >= 500)


@dataclass(frozen=True)
class Order:
    """One clip as somebody asked for it."""

    prompt: str
    model: str
    size: str
    seconds: int
    seed: int | None = None
    style: str | None = None
    negative_prompt: str | None = None

    def body(self) -> dict[str, str | int]:
        body: dict[str, str | int] = {
            "model": self.model,
            "prompt": self.prompt,
            "seconds": str(self.seconds),
            "size": self.size,
        }
        if self.seed is not None:
            body["seed"] = self.seed
        if self.style:
            body["style"] = self.style
        if self.negative_prompt:
            body["negative_prompt"] = self.negative_prompt
        return body


@dataclass(frozen=True)
class Video:
    id: str
    status: str
    progress: int
    error_code: str | None
    error_message: str | None
    ahead: int | None
    eta_ms: int | None
    step: tuple[int, int] | None
    seed: int | None
    poll_after_ms: int | None

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed")

    @classmethod
    def from_response(cls, response: httpx.Response) -> Video:
        body = _json(response)
        error = body.get("error") or {}
        return cls(
            id=str(body["id"]),
            status=str(body["status"]),
            progress=int(body.get("progress") or 0),
            error_code=error.get("code"),
            error_message=error.get("message"),
            ahead=_number(response.headers, "leakdrill-queue-ahead"),
            eta_ms=_number(response.headers, "leakdrill-eta-ms"),
            step=_step(response.headers.get("leakdrill-step", "")),
            seed=_number(response.headers, "leakdrill-seed"),
            poll_after_ms=_number(response.headers, "openai-poll-after-ms"),
        )


@dataclass(frozen=True)
class Seat:
    """A student's seat in a class, and its token, which the gateway shows this once."""

    name: str
    token: str

    @classmethod
    def from_response(cls, response: httpx.Response) -> Seat:
        body = _json(response)
        return cls(name=str(body["name"]), token=str(body["token"]))


@dataclass(frozen=True)
class Status:
    phase: str
    waiting: int
    running: int
    workers: int | None
    eta_ms: int | None
    broadcast: str | None
    replay_time: str | None
    replay_speed: float
    replay_running: bool
    consistency: str
    defects: tuple[str, ...]

    @classmethod
    def from_response(cls, response: httpx.Response) -> Status:
        return cls.of(_json(response))

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Status:
        """From an answer of /status, or of /control/state, which says more."""
        queue, clock = body.get("queue") or {}, body.get("replay_clock") or {}
        return cls(
            phase=str(body["phase"]),
            waiting=int(queue.get("waiting", 0)),
            running=int(queue.get("running", 0)),
            workers=body.get("workers"),
            eta_ms=body.get("eta_ms"),
            broadcast=body.get("broadcast"),
            replay_time=clock.get("time"),
            replay_speed=float(clock.get("speed", 1)),
            replay_running=bool(clock.get("running", False)),
            consistency=str(body.get("consistency", "strict")),
            defects=tuple(map(str, body.get("defects") or ())),
        )


class Gateway:
    """One connection pool for the page. The token is an argument of each call, because each call may use another."""

    def __init__(self, base_url: str) -> None:
        # A proxy of the environment is not asked: the tokens go to the gateway and nowhere else.
        self._http = httpx.AsyncClient(
            base_url=base_url,
            limits=httpx.Limits(max_connections=200),
            trust_env=False,
        )
        self._giving_up: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        if self._giving_up:
            await asyncio.wait(self._giving_up, timeout=3)
        await self._http.aclose()

    async def status(self) -> Status:
        return _read(Status, await self._ask("GET", "/status", patience=2))

    async def operate(
        self, method: str, path: str, admin_token: str, actor: str = "", *, json: object = None, patience: float = 10
    ) -> dict[str, Any]:
        """What the control API answers its admin; `actor` is who of those with the admin token asks, for the log."""
        headers = {"Authorization": f"Bearer {admin_token}", "leakdrill-actor": quote(actor)}
        answer = await self._send(method, path, headers=headers, json=json, patience=patience)
        if not answer.is_success:
            raise _error(answer)
        return _json(answer)

    async def create(self, order: Order, token: str) -> Video:
        return _read(Video, await self._ask("POST", "/v1/videos", token, json=order.body()))

    async def retrieve(self, video_id: str, token: str) -> Video:
        return _read(Video, await self._ask("GET", f"/v1/videos/{video_id}", token, patience=5))

    async def cancel(self, video_id: str, token: str) -> Video:
        return _read(Video, await self._ask("POST", f"/v1/videos/{video_id}/cancel", token))

    async def link(self, video_id: str, token: str, variant: str = "video", patience: float = 10) -> str:
        answer = await self._ask("POST", f"/v1/videos/{video_id}/link?variant={variant}", token, patience=patience)
        return str(_json(answer)["url"])

    async def styles(self, token: str) -> tuple[str, ...]:
        """The styles of all models, in the order the gateway names them."""
        models = _json(await self._ask("GET", "/v1/models", token)).get("data", [])
        return tuple(dict.fromkeys(str(style) for model in models for style in model.get("styles", ())))

    async def join(self, code: str, name: str | None, visitor: str) -> Seat:
        """Takes a seat of the class with this code: the one of that name, or the next. `visitor` is the address that
        asks, so that one who guesses codes is told from the others behind this page."""
        body = {"code": code} if name is None else {"code": code, "name": name}
        answer = await self._send("POST", "/join", headers={"X-Forwarded-For": visitor}, json=body)
        if not answer.is_success:
            raise _error(answer)
        return _read(Seat, answer)

    async def media_status(self, path_and_query: str) -> tuple[int, str | None]:
        """What a GET of a media link would answer now: the status, and the code of the refusal."""
        # A HEAD has no body to carry the code, so one byte is asked for instead when the link is refused.
        answer = await self._send("HEAD", path_and_query)
        if answer.is_success:
            return answer.status_code, None
        answer = await self._send("GET", path_and_query, headers={"Range": "bytes=0-0"})
        return answer.status_code, None if answer.is_success else _error(answer).code

    def give_up(self, creating: asyncio.Task[Video], token: str) -> None:
        """Cancels at the gateway what nobody waits for any more, even if the gateway has not yet named it."""
        task = asyncio.create_task(self._give_up(creating, token))
        self._giving_up.add(task)
        task.add_done_callback(self._giving_up.discard)

    async def _give_up(self, creating: asyncio.Task[Video], token: str) -> None:
        try:
            video = await creating
            await self.cancel(video.id, token)
        except GatewayError:
            # A revoked token cannot cancel, and needs not: its jobs were stopped with it.
            return

    async def _ask(
        self, method: str, path: str, token: str | None = None, json: object = None, patience: float = 10
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = await self._send(method, path, headers=headers, json=json, patience=patience)
        if not answer.is_success:
            raise _error(answer)
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        patience: float = 10,
    ) -> httpx.Response:
        try:
            return await self._http.request(method, path, headers=headers, json=json, timeout=patience)
        except httpx.RequestError as error:
            raise GatewayError(AWAY, "The gateway did not answer.") from error


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise GatewayError(STRANGE, "Something answered that is not the gateway.", status=response.status_code)
    return body


def _read(kind: type[T], response: httpx.Response) -> T:
    try:
        return kind.from_response(response)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GatewayError(
            STRANGE, "Something answered that is not the gateway.", status=response.status_code
        ) from error


def _error(response: httpx.Response) -> GatewayError:
    retry_after = response.headers.get("retry-after", "")
    error = _json(response).get("error")
    details = error if isinstance(error, dict) else {}
    return GatewayError(
        str(details.get("code") or STRANGE),
        str(details.get("message") or f"The gateway answered {response.status_code}."),
        status=response.status_code,
        retry_after=float(retry_after) if retry_after.isdigit() else None,
    )


def _number(headers: httpx.Headers, name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isdigit() else None


def _step(value: str) -> tuple[int, int] | None:
    step, _, steps = value.partition("/")
    return (int(step), int(steps)) if step.isdigit() and steps.isdigit() else None
