"""What a test does to a gateway and sees of it, by the control API. Whatever is not here: `Gateway.control`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from leakdrill_pytest.levers import Clock, Faults, Profile
from leakdrill_pytest.program import Program

LOOK_SECONDS = 0.02
EVENTS_PAGE = 1000


class ControlRefused(Exception):
    """The gateway refused a call as the admin: `status`, and the `code` and `message` of its error."""

    def __init__(self, method: str, path: str, answer: httpx.Response) -> None:
        try:
            error = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            error = {"code": None, "message": answer.text}
        self.status, self.code, self.message = answer.status_code, error["code"], error["message"]
        super().__init__(f"{method} {path} was refused (HTTP {self.status}, {self.code}): {self.message}")


@dataclass(frozen=True)
class Token:
    """A token. `token` is the bearer, which is not shown in failures; `accessor` names it everywhere else.
    `expires_at` is Unix seconds."""

    token: str = field(repr=False)
    accessor: str
    principal: str
    cohort: str
    scopes: tuple[str, ...]
    expires_at: float | None

    @property
    def headers(self) -> dict[str, str]:
        """What a request that bears it has."""
        return {"Authorization": f"Bearer {self.token}"}


class Gateway:
    """A running gateway, and its admin."""

    def __init__(self, program: Program) -> None:
        self.url = program.url
        self.admin_token = program.admin_token
        self.data: Path = program.data
        self.log: Path = program.log
        headers = {"Authorization": f"Bearer {program.admin_token}"}
        self._http = httpx.Client(base_url=program.url, headers=headers, timeout=30.0, trust_env=False)
        self._seen = 0
        self.clock = Clock(self.control)
        self.faults = Faults(self.control)
        self.profile = Profile(self.control)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def openai_base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    @property
    def urls(self) -> list[str]:
        """Where each replica answers, by their names."""
        return [url for _, url in sorted(self.status()["replicas"].items())]

    def control(self, method: str, path: str, **options: Any) -> Any:
        """A call as the admin: the JSON of the answer. `options` are httpx's; raises ControlRefused."""
        answer = self._http.request(method, path, **options)
        if answer.is_error:
            raise ControlRefused(method, path, answer)
        return answer.json()

    def status(self) -> dict[str, Any]:
        """`GET /status`."""
        status: dict[str, Any] = self.control("GET", "/status")
        return status

    def issue(
        self,
        principal: str = "tester",
        cohort: str = "testers",
        *,
        scopes: tuple[str, ...] = ("videos:read", "videos:write"),
        labels: tuple[str, ...] = (),
        expires_in: float | None = None,
        tier: str = "standard",
        credits: int | None = None,
    ) -> Token:
        """A new token. `expires_in` is seconds of real time."""
        body = {"principal": principal, "cohort": cohort, "scopes": list(scopes), "labels": list(labels)}
        more = {"expires_in": expires_in, "tier": tier, "credits": credits}
        answer = self.control("POST", "/control/tokens", json={**body, **more})
        names = ("token", "accessor", "principal", "cohort", "expires_at")
        return Token(scopes=tuple(answer["scopes"]), **{name: answer[name] for name in names})

    def state_of(self, token: Token | str) -> str:
        """active, quarantined, suspended, revoked or expired."""
        return str(self.control("GET", f"/control/tokens/{_accessor(token)}")["state"])

    def suspend(self, token: Token | str) -> None:
        """The token is refused until it is restored."""
        self.control("PATCH", f"/control/tokens/{_accessor(token)}", json={"state": "suspended"})

    def quarantine(self, token: Token | str) -> None:
        """The token may read and not create until it is restored."""
        self.control("PATCH", f"/control/tokens/{_accessor(token)}", json={"state": "quarantined"})

    def revoke(
        self,
        token: Token | str | None = None,
        *,
        cohort: str | None = None,
        principal: str | None = None,
        label: str | None = None,
        fingerprint: str | None = None,
        everyone: bool = False,
        in_flight: dict[str, str] | None = None,
        reason: str = "a test",
    ) -> dict[str, Any]:
        """Revokes one token, or a selection; give exactly one of them. In force once this returns.

        The answer counts `tokens`, `jobs` and so on; `in_flight` says what becomes of what is under way. Both are in
        docs/revocation.md.
        """
        body: dict[str, Any] = _selected(token, everyone, cohort, principal, label, fingerprint)
        if in_flight is not None:
            body["in_flight"] = in_flight
        answer: dict[str, Any] = self.control("POST", "/control/revocations", json={**body, "reason": reason})
        return answer

    def restore(
        self,
        token: Token | str | None = None,
        *,
        cohort: str | None = None,
        principal: str | None = None,
        label: str | None = None,
        everyone: bool = False,
        to: Literal["active", "quarantined"] = "active",
        reason: str = "a test",
        within: float = 10.0,
    ) -> dict[str, Any]:
        """Brings suspended and quarantined tokens back at once; the answer says what became of each (`items`).
        Revoked ones stay revoked. Fails where that is not over `within` seconds."""
        body = _selected(token, everyone, cohort, principal, label, None)
        body |= {"reason": reason, "to": to, "over_seconds": 0}
        answer: dict[str, Any] = self.control("POST", "/control/restorations", json=body)
        deadline = time.monotonic() + within
        while answer["state"] == "running":
            if time.monotonic() > deadline:
                raise AssertionError(f"the restoration was not over within {within} s: {answer}")
            time.sleep(LOOK_SECONDS)
            answer = self.control("GET", f"/control/restorations/{answer['id']}")
        return answer

    def tell(
        self,
        replica: str | None = None,
        *,
        profile: str | None = None,
        seconds: float | None = None,
        defects: list[str] | None = None,
    ) -> None:
        """Lets a replica, or each of them, learn late of revocations (`profile`, with its bound in `seconds`) or make
        known mistakes (`defects`), as in docs/consistency.md. It is right again after a reset."""
        given = {"replica": replica, "profile": profile, "seconds": seconds, "defects": defects}
        self.control("PATCH", "/control/replicas", json={name: one for name, one in given.items() if one is not None})

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """What happened since the last reset, oldest first; `kind` is a beginning such as "job."."""
        found: list[dict[str, Any]] = []
        after, more = self._seen, True
        while more:
            params: dict[str, Any] = {"after": after, "kind": kind, "limit": EVENTS_PAGE}
            page = self.control("GET", "/control/events", params=params)
            found += page["data"]
            more = page["has_more"]
            after = found[-1]["seq"] if found else after
        return found

    def wait_for(self, kind: str, *, within: float = 30.0, **fields: Any) -> dict[str, Any]:
        """The first event of this kind since the last reset whose `fields` (`job`, `accessor`, `actor`) are these.
        Fails where none came `within` seconds, and says what did."""
        deadline = time.monotonic() + within
        while True:
            came = self.events()
            for event in came:
                if event["kind"] == kind and all(event[name] == value for name, value in fields.items()):
                    return event
            if time.monotonic() > deadline:
                kinds = ", ".join(event["kind"] for event in came[-20:]) or "nothing"
                raise AssertionError(f"no {kind} {fields or ''} within {within} s; what came, at the end: {kinds}")
            time.sleep(LOOK_SECONDS)

    def reset(self) -> None:
        """A clean room: tokens, jobs, clips, faults, profile, clock go. The event list stays; `events` begins here."""
        self.control("POST", "/control/reset", json={"confirm": "reset"})
        self._seen = self.control("GET", "/control/state")["last_event"]


def _accessor(token: Token | str) -> str:
    return token.accessor if isinstance(token, Token) else token


def _selected(
    token: Token | str | None,
    everyone: bool,
    cohort: str | None,
    principal: str | None,
    label: str | None,
    fingerprint: str | None,
) -> dict[str, Any]:
    """A selector as the control API takes it. A string is an accessor, or the secret itself."""
    named = {"cohort": cohort, "principal": principal, "label": label, "fingerprint": fingerprint}
    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if isinstance(token, Token):
        given["accessor"] = token.accessor
    elif token is not None:
        given["accessor" if token.startswith("tok_") else "token"] = token
    if everyone:
        return {"selector": {**given, "all": True}, "confirm": "all"}
    return {"selector": given}
