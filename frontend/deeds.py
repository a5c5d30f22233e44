"""What an instructor can do: each deed is one call of the control API, and its answer in plain words."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, urlencode

from frontend.client import Gateway, GatewayError
from frontend.guard import Refused, text
from frontend.incident import Incident
from frontend.sessions import Session
from frontend.telling import many, selected, short
from frontend.tokens import PageTokens
from frontend.wording import headline

SPEEDS = (1, 14, 21, 30, 42)
# The ways to say whose access is meant, and the selector each becomes.
KINDS = ("accessor", "principal", "cohort", "all")
PHASES = ("normal", "exposed")
# States that a token can come back from.
RETURNING = ("suspended", "quarantined")
MOST_ITEMS = 50
RESET_PATIENCE = 30.0
# As `leakdrill up` issues it at its first start.
PAGE_TOKEN = {"principal": "page", "cohort": "page"}
CHOICES_LIMIT = 10_000

Fields = dict[str, Any]
Told = dict[str, Any]


class Deeds:
    """Does what was asked, as the session's instructor. Every method raises GatewayError and Refused."""

    def __init__(
        self,
        gateway: Gateway,
        incident: Incident,
        page_tokens: PageTokens,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._monotonic = monotonic
        self._incident = incident
        self._page_tokens = page_tokens

    def all(self) -> dict[str, Callable[[Session, Fields], Awaitable[Told]]]:
        """By name, which is the last part of the address."""
        return {
            "preview": self.preview,
            "revoke": self.revoke,
            "restore-preview": self.restore_preview,
            "restore": self.restore,
            "clock": self.clock,
            "phase": self.phase,
            "access": self.access,
            "broadcast": self.broadcast,
            "reset": self.reset,
        }

    async def preview(self, session: Session, fields: Fields) -> Told:
        """What a revocation would take; takes nothing."""
        selector = _selector(fields)
        found = await self._call(session, "POST", "/control/revocations/preview", {"selector": selector})
        things = (
            (found["links"], "share link", None),
            (found["webhook_endpoints"], "webhook", None),
            (found["pending_deliveries"], "webhook delivery", "webhook deliveries"),
            (found["streams"], "open stream", None),
        )
        more = [many(number, one, others) for number, one, others in things if number]
        ends = f" It ends {', '.join(more)}." if more else ""
        items = found["items"]
        return {
            "words": f"Revoking {selected(selector)} ends {many(found['tokens'], 'token')} "
            f"({found['children']} minted by others of them) and stops {found['jobs']['queued']} waiting and "
            f"{found['jobs']['running']} running jobs.{ends} Bystanders: {many(found['bystanders'], 'token')} "
            "outside this selection stay good.",
            "tokens": found["tokens"],
            "bystanders": found["bystanders"],
            "items": [f"{short(one['accessor'])} · {one['principal']} · {one['cohort']}" for one in items[:MOST_ITEMS]],
            "left_out": max(0, len(items) - MOST_ITEMS),
        }

    async def revoke(self, session: Session, fields: Fields) -> Told:
        """Revokes. Everybody needs the word "all" besides, which the gateway asks for."""
        body: Fields = {"selector": _selector(fields), "reason": text(fields, "reason", most=500)}
        if fields.get("confirm") == "all":
            body["confirm"] = "all"
        done = await self._call(session, "POST", "/control/revocations", body)
        outcomes = Counter(item["outcome"] for item in done["items"])
        words = (
            f"Revoked {many(outcomes['revoked'], 'token')} of {selected(done['selector'])}; stopped "
            f"{done['jobs']['queued']} waiting and {done['jobs']['running']} running jobs. Acknowledged after "
            f"{(done['acknowledged_at'] - done['requested_at']) * 1000:.0f} ms."
        )
        words += f" {outcomes['already']} already were revoked." if outcomes["already"] else ""
        words += f" {outcomes['failed']} did not change and may still work." if outcomes["failed"] else ""
        return {"words": words, "revocation": done["id"]}

    async def restore_preview(self, session: Session, fields: Fields) -> Told:
        """Which tokens would come back; brings none back."""
        selector = _selector(fields)
        tokens = await self._tokens(session, selector)
        if not tokens:
            raise Refused(404, "The selection matches no token.")
        states = Counter(str(token["state"]) for token in tokens)
        back = sum(states[state] for state in RETURNING)
        final = f"{states['revoked']} revoked stay revoked, which is final: they need new tokens."
        return {
            "words": f"{many(back, 'token')} of {selected(selector)} would come back "
            f"({states['suspended']} suspended, {states['quarantined']} quarantined). {final}",
            "tokens": back,
        }

    async def restore(self, session: Session, fields: Fields) -> Told:
        """Brings suspended and quarantined tokens back, several in batches."""
        body: Fields = {"selector": _selector(fields), "reason": text(fields, "reason", most=500)}
        if fields.get("confirm") == "all":
            body["confirm"] = "all"
        done = await self._call(session, "POST", "/control/restorations", body)
        counts = done["counts"]
        words = f"Restored {many(counts['restored'], 'token')}; {counts['final']} are revoked or expired and stay so."
        if done["state"] == "running":
            words += f" {counts['waiting']} more follow within {done['over_seconds']:.0f} s; the log says when."
        if done["because"]:
            words += f" It was halted: {done['because']}"
        return {"words": words}

    async def clock(self, session: Session, fields: Fields) -> Told:
        """Starts the morning, pauses it, lets it go on, changes its speed."""
        do, speed = text(fields, "do", most=20), fields.get("speed")
        if do in ("start", "speed") and speed not in SPEEDS:
            raise Refused(400, f"speed must be one of {', '.join(map(str, SPEEDS))}.")
        bodies: dict[str, Fields] = {
            "start": {"time": self._incident.start, "speed": float(speed or 1), "running": True},
            "pause": {"running": False},
            "resume": {"running": True},
            "speed": {"speed": float(speed or 1)},
        }
        if do not in bodies:
            raise Refused(400, f"do must be one of {', '.join(bodies)}.")
        reading = (await self._call(session, "PUT", "/control/clock", bodies[do]))["replay_clock"]
        pace = f"runs ×{reading['speed']:g}" if reading["running"] else "is paused"
        return {"words": f"The replay clock shows {reading['time'][11:16]} and {pace}."}

    async def phase(self, session: Session, fields: Fields) -> Told:
        """Opens the phase, or takes it back to invitation. `revoked` comes from a revocation."""
        phase = fields.get("phase")
        if phase not in PHASES:
            raise Refused(400, f"phase must be one of {', '.join(PHASES)}; a revocation makes it revoked.")
        status = await self._call(session, "PATCH", "/control/state", {"phase": phase})
        return {"words": f"The phase is: {headline(status['phase'])}."}

    async def access(self, session: Session, _: Fields) -> Told:
        """Puts a new token behind the Generate page, in the place of those it had. The token stays in this process."""
        issued = await self._call(session, "POST", "/control/tokens", PAGE_TOKEN)
        self._page_tokens.give(issued["token"])
        return {"words": f"The Generate page has access: token {short(issued['accessor'])} of cohort page."}

    async def broadcast(self, session: Session, fields: Fields) -> Told:
        """Puts a line on every page; an empty one takes it away."""
        line = text(fields, "text", most=300, least=0)
        await self._call(session, "PUT", "/control/broadcast", {"text": line or None})
        return {"words": "The line is on every page." if line else "The line is gone from every page."}

    async def reset(self, session: Session, fields: Fields) -> Told:
        """A clean room; must be confirmed with the word "reset"."""
        if fields.get("confirm") != "reset":
            raise Refused(400, 'A reset must be asked for with "confirm": "reset".')
        begun = self._monotonic()
        await self._call(session, "POST", "/control/reset", {"confirm": "reset"}, patience=RESET_PATIENCE)
        return {"words": f"The room is clean. It took {self._monotonic() - begun:.1f} s."}

    async def choices(self, session: Session) -> Told:
        """Who can be selected: tokens by short accessor, people, cohorts; `ends` and `returns` say whether there is
        anything left to revoke, and anything that can come back."""
        tokens = await self._tokens(session, {"all": True})
        return {
            "words": "",
            "accessor": [_offered(token) for token in tokens],
            "principal": _grouped(tokens, "principal"),
            "cohort": _grouped(tokens, "cohort"),
        }

    async def _tokens(self, session: Session, selector: Fields) -> list[dict[str, Any]]:
        (kind, value), *_ = selector.items()
        if kind == "accessor":
            return [await self._call(session, "GET", f"/control/tokens/{quote(value, safe='')}")]
        asked = {"limit": CHOICES_LIMIT, **({} if kind == "all" else {kind: value})}
        found: list[dict[str, Any]] = (await self._call(session, "GET", f"/control/tokens?{urlencode(asked)}"))["data"]
        return found

    async def _call(
        self, session: Session, method: str, path: str, body: Fields | None = None, patience: float = 10
    ) -> dict[str, Any]:
        return await self._gateway.operate(method, path, session.token, session.name, json=body, patience=patience)


def _selector(fields: Fields) -> Fields:
    kind = fields.get("kind")
    if kind not in KINDS:
        raise Refused(400, f"kind must be one of {', '.join(KINDS)}.")
    return {"all": True} if kind == "all" else {str(kind): text(fields, "which", most=200)}


def _offered(token: dict[str, Any]) -> dict[str, Any]:
    words = " · ".join([short(token["accessor"]), token["principal"], token["cohort"], token["state"]])
    return {"value": token["accessor"], "words": words, **_left([token["state"]])}


def _grouped(tokens: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    states: dict[str, list[str]] = {}
    for token in tokens:
        states.setdefault(str(token[by]), []).append(token["state"])
    return [{"value": name, "words": _counted(name, own), **_left(own)} for name, own in sorted(states.items())]


def _counted(name: str, states: list[str]) -> str:
    gone = states.count("revoked")
    return f"{name} · {many(len(states), 'token')}" + (f", {gone} revoked" if gone else "")


def _left(states: list[str]) -> dict[str, bool]:
    return {
        "ends": any(state != "revoked" for state in states),
        "returns": any(state in RETURNING for state in states),
    }


def refused_words(error: GatewayError, *, changes: bool) -> str:
    """Why the gateway did not do it."""
    if error.passing and error.status is None and changes:
        return (
            "The gateway did not answer. Whether it was done is not known: look at the log when it is back, before "
            "trying again."
        )
    if error.passing:
        return f"The gateway is away or in trouble, so nothing was done. It says: {error.message}"
    return f"The gateway refused: {error.message}"
