"""The target beside the load: is it there, its tokens, the revocation, and what its own list says afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from loadtest.client import STAINLESS, multipart
from loadtest.errors import LoadError, TargetAway, TargetRefused
from loadtest.order import Bearer, Order
from loadtest.shape import Clip

PAGE = 1000
WARM_UP_SECONDS = 180.0
# Tokens outlive the load test by this much where their revocation at the end does not succeed.
SPARE_SECONDS = 3600.0
REASON = "load test: the leaked cohort"
Shaped = TypeVar("Shaped", bound=BaseModel)


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Counts(_Reply):
    """Jobs that a revocation stopped."""

    queued: int
    running: int


class Acknowledged(_Reply):
    """What the target said of the revocation."""

    id: str
    tokens: int
    jobs: Counts


class SurfaceEnd(_Reply):
    """The target's own account of one surface at one gateway after the revocation."""

    surface: str
    replica: str
    accepted: int
    late_accepts: int
    refusals: int


class Event(_Reply):
    """A line of the target's event list. `at` is Unix seconds of its clock."""

    seq: int
    at: float
    kind: str
    accessor: str | None = None
    job: str | None = None


class Target:
    """Calls one target, as its admin where that is possible. `run` names the load test in the labels of its tokens."""

    def __init__(self, order: Order, run: str) -> None:
        self.url = order.target
        self.label = f"loadtest-{run}"
        self._order = order
        self._admin = order.admin_token.get_secret_value() if order.admin_token else None
        self._issued = False
        try:
            self._http = httpx.Client(base_url=self.url, timeout=30.0, trust_env=False)
        except httpx.InvalidURL as error:
            raise TargetRefused(f"{self.url} is not an address: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def controlled(self) -> bool:
        """Whether /control is open to us."""
        return self._admin is not None

    def check(self) -> None:
        """Raises TargetAway where nobody answers, TargetRefused where it is something else or refuses us."""
        if not self.controlled:
            self._check_token()
            return
        answer = self._send("GET", "/readyz")
        if answer.status_code >= 500:
            raise TargetAway(f"{self.url} is not ready (HTTP {answer.status_code})")
        if answer.status_code != 200 or not _is_json(answer):
            raise TargetRefused(
                f"{self.url} is not a leakdrill gateway: GET /readyz answered HTTP {answer.status_code} with "
                f"{_kind(answer)}; name one with --target, or give --token for a gateway that has no /control"
            )
        self._demand("GET", "/control/state")

    def _check_token(self) -> None:
        token = self._order.tokens[0].get_secret_value()
        answer = self._send("GET", "/v1/videos?limit=1", bearer=token)
        if answer.status_code in (401, 403):
            raise TargetRefused(f"{self.url} refused the token (GET /v1/videos: HTTP {answer.status_code})")
        if answer.status_code >= 500:
            raise TargetAway(f"{self.url} is not ready (GET /v1/videos: HTTP {answer.status_code})")
        if not _is_json(answer):
            raise TargetRefused(
                f"{self.url} is not a video API: GET /v1/videos answered HTTP {answer.status_code} with {_kind(answer)}"
            )

    def bearers(self) -> list[Bearer]:
        """The tokens that users come with: issued for this load test, or those that were given."""
        if not self.controlled:
            given = [each.get_secret_value() for each in self._order.tokens]
            return [Bearer(token=each, accessor=f"token {n}", leaked=False) for n, each in enumerate(given, 1)]
        wanted = self._order.shape.tokens
        leaked = wanted.leaked if wanted.leaked_share > 0 else 0
        others = wanted.bystanders if wanted.leaked_share < 1 else 0
        self._issued = True
        return [self._issue(n, leaked=n < leaked) for n in range(leaked + others)]

    def _issue(self, n: int, *, leaked: bool, principal: str = "") -> Bearer:
        body = {
            "principal": principal or f"loadtest-{n + 1:03d}",
            "cohort": self.cohort if leaked else f"{self.label}-bystanders",
            "labels": [self.label],
            "tier": "unlimited",
            "expires_in": self._order.seconds + self._order.drain_seconds + WARM_UP_SECONDS + SPARE_SECONDS,
        }
        answer = self._demand("POST", "/control/tokens", body)
        try:
            return Bearer(token=answer["token"], accessor=answer["accessor"], leaked=leaked)
        except (KeyError, ValidationError) as error:
            raise LoadError(f"{self.url}/control/tokens answered in another shape than a leakdrill gateway") from error

    @property
    def cohort(self) -> str:
        """The leaked tokens' cohort."""
        return f"{self.label}-leaked"

    def warm_up(self, clips: Sequence[Clip], bearers: Sequence[Bearer], pause: Callable[[float], None]) -> None:
        """One video of each kind, so that nothing that is made once is measured. Raises TargetAway where one does not
        become a clip: nothing that follows would mean anything."""
        token = bearers[0].token
        if self.controlled:
            token = self._issue(0, leaked=False, principal="loadtest-warm-up").token
        ids = [self._create(clip, token) for clip in clips]
        deadline = time.monotonic() + WARM_UP_SECONDS
        for clip, video in zip(clips, ids, strict=True):
            while (status := self._status(video, token)) in ("queued", "in_progress"):
                if time.monotonic() > deadline:
                    raise TargetAway(f"warm-up: a video of {clip.size} did not end within {WARM_UP_SECONDS:.0f} s")
                pause(0.2)
            if status != "completed":
                raise TargetAway(f"warm-up: a video of {clip.size} ended as {status}; is a worker running?")

    def _create(self, clip: Clip, token: str) -> str:
        fields = {"prompt": "warm-up", "model": clip.model, "seconds": str(clip.seconds), "size": clip.size}
        body, kind = multipart(fields)
        headers = {**STAINLESS, "content-type": kind}
        answer = self._send("POST", "/v1/videos", bearer=token, content=body, headers=headers)
        found = _object(answer)
        if answer.is_error or "id" not in found:
            raise TargetRefused(
                f"warm-up: {self.url} refused a video of {clip.size}, {clip.seconds} s, model {clip.model} "
                f"(HTTP {answer.status_code}: {_message(found)})"
            )
        return str(found["id"])

    def _status(self, video: str, token: str) -> str:
        answer = self._send("GET", f"/v1/videos/{video}", bearer=token)
        return str(_object(answer).get("status")) if answer.is_success else f"HTTP {answer.status_code}"

    def revoke_leaked(self) -> Acknowledged:
        """Revokes the leaked cohort. Raises LoadError where that was not acknowledged."""
        body = {"selector": {"cohort": self.cohort}, "reason": REASON}
        return _shaped(Acknowledged, self._demand("POST", "/control/revocations", body), "/control/revocations")

    def effect(self, revocation: str) -> list[SurfaceEnd]:
        """The target's own account of what the revocation did."""
        answer = self._demand("GET", f"/control/revocations/{revocation}")
        rows = answer.get("effect", {}).get("time_to_dead", [])
        return [_shaped(SurfaceEnd, row, "/control/revocations") for row in rows]

    def last_event(self) -> int:
        """The number of the newest line of the event list: doubled until beyond it, then halved towards it."""
        low, high = 0, 1
        while self._page(high, 1, ""):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._page(middle, 1, "") else (low, middle)
        return high if self._page(low, 1, "") else low

    def job_events(self, after: int, accessors: set[str]) -> list[Event]:
        """What happened to the jobs of these tokens, oldest first."""
        found: list[Event] = []
        while page := self._page(after, PAGE, "job."):
            found += [event for event in page if event.accessor in accessors]
            after = page[-1].seq
        return found

    def _page(self, after: int, limit: int, kind: str) -> list[Event]:
        path = f"/control/events?after={after}&limit={limit}&kind={kind}"
        return [_shaped(Event, row, "/control/events") for row in self._demand("GET", path).get("data", [])]

    def still_there(self) -> bool:
        """Whether anybody answers at the address."""
        try:
            self._http.get("/readyz" if self.controlled else "/v1/videos?limit=1", timeout=5.0)
        except httpx.HTTPError:
            return False
        return True

    def roll_back(self) -> str | None:
        """Revokes whatever was issued. None where nothing is left, else what is, in words."""
        if not self._issued:
            return None
        body = {"selector": {"label": self.label}, "reason": "load test: rolled back"}
        try:
            self._demand("POST", "/control/revocations", body)
        except LoadError as error:
            return (
                f"the load test's tokens could not be revoked ({error}); they expire by themselves, or: "
                f"leakdrill tokens revoke --label {self.label} --target {self.url}"
            )
        self._issued = False
        return None

    def _demand(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """A control call that must succeed."""
        answer = self._send(method, path, bearer=self._admin or "", json=body)
        where = f"{method} {path.partition('?')[0]}"
        if answer.status_code in (401, 403):
            raise TargetRefused(f"{self.url} refused the admin token ({where}: HTTP {answer.status_code})")
        if answer.is_error:
            raise LoadError(f"{self.url}: {where} answered HTTP {answer.status_code}: {_message(_object(answer))}")
        if not _is_json(answer):
            raise TargetRefused(f"{self.url} is not a leakdrill gateway: {where} answered with {_kind(answer)}")
        return _object(answer)

    def _send(self, method: str, path: str, *, bearer: str | None = None, **options: Any) -> httpx.Response:
        headers = dict(options.pop("headers", {}))
        if bearer is not None:
            headers["authorization"] = f"Bearer {bearer}"
        try:
            return self._http.request(method, path, headers=headers, **options)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise TargetRefused(f"{self.url} is not an address: {error}") from error
        except httpx.HTTPError as error:
            raise TargetAway(f"{self.url} does not answer ({method} {path.partition('?')[0]}: {error})") from error


def _shaped(model: type[Shaped], data: object, where: str) -> Shaped:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise LoadError(f"{where} answered in another shape than a leakdrill gateway") from error


def _object(answer: httpx.Response) -> dict[str, Any]:
    with suppress(ValueError):
        body = answer.json()
        if isinstance(body, dict):
            return body
    return {}


def _message(body: dict[str, Any]) -> str:
    error = body.get("error")
    return str(error.get("message")) if isinstance(error, dict) else "no reason given"


def _is_json(answer: httpx.Response) -> bool:
    try:
        answer.json()
    except ValueError:
        return False
    return True


def _kind(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", "no content type")).partition(";")[0]
