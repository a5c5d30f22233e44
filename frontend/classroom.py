"""A class in the control room: its roster as the pages show it, and what an instructor can do with it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import SplitResult

from frontend.client import Gateway
from frontend.guard import Refused, text
from frontend.sessions import Session
from frontend.telling import many

MOST_STUDENTS = 200
DEFAULT_STUDENTS = 30
MOST_NAMES_TEXT = 14_000
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  compared with, not bound
ONLY_HERE = "Only this machine reaches this address. For a class, start the page with LEAKDRILL_PAGE_HOST=0.0.0.0."

Fields = dict[str, Any]
Told = dict[str, Any]


class ClassDeeds:
    """Does what was asked, as the session's instructor. Every method raises GatewayError and Refused."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def all(self) -> dict[str, Callable[[Session, Fields], Awaitable[Told]]]:
        """By name, which is the last part of the address."""
        return {
            "class-preview": self.preview,
            "class-open": self.open,
            "class-seat-preview": self.seat_preview,
            "class-seat-reset": self.seat_reset,
            "class-end-preview": self.end_preview,
            "class-end": self.end,
        }

    async def preview(self, session: Session, fields: Fields) -> Told:
        """What opening a class would make; makes nothing."""
        body = _wanted(fields)
        if (await self._roster(session))["open"]:
            raise Refused(409, "A class is open already; end it first.")
        names, students = body["names"], body["students"]
        named = f"{len(names)} with the names of the list, the others" if names else "all"
        who = named if len(names) < students else "all with the names of the list"
        numbered = " called by their number" if len(names) < students else ""
        return {
            "words": f"Opening a class makes {many(students, 'seat')} with a token each, cohort class: "
            f"{who}{numbered}. Students join by a code, which is on the projector while a seat is free.",
            "seats": students,
            "items": names,
        }

    async def open(self, session: Session, fields: Fields) -> Told:
        """Opens a class."""
        body = {name: value for name, value in _wanted(fields).items() if value}
        opened = await self._call(session, "POST", "/control/class", body)
        return {"words": f"The class is open with {many(len(opened['seats']), 'seat')}; its code is {opened['code']}."}

    async def seat_preview(self, session: Session, fields: Fields) -> Told:
        """What freeing a seat would take; takes nothing."""
        number, roster = _seat(fields), await self._open_roster(session)
        seat = next((one for one in roster["seats"] if one["seat"] == number), None)
        if seat is None:
            raise Refused(404, f"The class has no seat {number}.")
        found = await self._preview(session, {"accessor": seat["accessor"]})
        return {
            "words": f"Freeing seat {number}, {seat['name']}, {_ends(found)} The student is told to join again, and "
            "does so by the same code. Nobody else is touched.",
            "class": roster["id"],
        }

    async def seat_reset(self, session: Session, fields: Fields) -> Told:
        """Revokes the token of one seat and frees the seat."""
        number = _seat(fields)
        await self._ensure_same(session, fields)
        freed = await self._call(session, "POST", f"/control/class/seats/{number}/reset", {})
        return {"words": f"Seat {number}, {freed['name']}, is free; its former token is revoked."}

    async def end_preview(self, session: Session, _: Fields) -> Told:
        """What the end of the class would take; takes nothing."""
        roster = await self._open_roster(session)
        found = await self._preview(session, {"label": roster["id"]})
        return {
            "words": f"Ending the class {_ends(found)} {roster['taken']} of {many(len(roster['seats']), 'seat')} are "
            "taken. The code is stale then and the names are forgotten; this cannot be undone.",
            "tokens": found["tokens"],
            "class": roster["id"],
        }

    async def end(self, session: Session, fields: Fields) -> Told:
        """Ends the class; must be confirmed with the word "end"."""
        if fields.get("confirm") != "end":
            raise Refused(400, 'The end of a class must be asked for with "confirm": "end".')
        await self._ensure_same(session, fields)
        await self._call(session, "DELETE", "/control/class")
        return {"words": "The class has ended; its tokens are revoked and its code is stale."}

    async def _roster(self, session: Session) -> dict[str, Any]:
        return await self._call(session, "GET", "/control/class")

    async def _open_roster(self, session: Session) -> dict[str, Any]:
        roster = await self._roster(session)
        if not roster["open"]:
            raise Refused(404, "No class is open; open one first.")
        return roster

    async def _ensure_same(self, session: Session, fields: Fields) -> None:
        """Two instructors: what one has previewed may be gone, and another class open in its place."""
        previewed = text(fields, "class", most=100)
        if (await self._open_roster(session))["id"] != previewed:
            raise Refused(409, "Another class has been opened meanwhile, so nothing was done. Look at the roster.")

    async def _preview(self, session: Session, selector: Fields) -> dict[str, Any]:
        return await self._call(session, "POST", "/control/revocations/preview", {"selector": selector})

    async def _call(self, session: Session, method: str, path: str, body: Fields | None = None) -> dict[str, Any]:
        return await self._gateway.operate(method, path, session.token, session.name, json=body)


def room_class(roster: Mapping[str, Any]) -> dict[str, Any] | None:
    """The class as an instructor sees it, with names; None where none is open."""
    if not roster.get("open"):
        return None
    seats = roster["seats"]
    return {
        "id": roster["id"],
        "code": roster["code"],
        "words": f"{roster['taken']} of {many(len(seats), 'seat')} taken",
        "seats": [_shown(seat) for seat in seats],
    }


def public_class(roster: Mapping[str, Any]) -> dict[str, Any] | None:
    """The class as a wall shows it, without names; None where there is no seat to take."""
    if not roster.get("open") or not any(seat["taken_at"] is None and _good(seat) for seat in roster["seats"]):
        return None
    return {"code": roster["code"], "words": f"{roster['taken']} of {len(roster['seats'])} joined"}


def join_address(asked: SplitResult, listens: str) -> tuple[str, str]:
    """What students open, as far as this page knows, and a warning, which may be empty. `asked` is the address by which
    the instructor came, `listens` where the page's server listens."""
    host, port = asked.hostname or listens, asked.port
    local = _loopback(host)
    if local and listens in EVERYWHERE:
        host = socket.gethostname()
    at = f"[{host}]" if ":" in host else host
    warning = ONLY_HERE if local and listens not in EVERYWHERE else ""
    return f"{asked.scheme}://{at}{f':{port}' if port else ''}", warning


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _shown(seat: Mapping[str, Any]) -> dict[str, Any]:
    state, words = "free", "free"
    if not _good(seat):
        state, words = "cut", str(seat["state"])
    elif seat["taken_at"] is not None:
        at = datetime.fromtimestamp(seat["taken_at"]).strftime("%H:%M")
        state, words = ("joined", f"joined {at}") if seat["taken_by"] == "join" else ("paper", f"on paper {at}")
    return {"seat": seat["seat"], "name": seat["name"], "state": state, "words": words}


def _good(seat: Mapping[str, Any]) -> bool:
    return bool(seat["state"] == "active")


def _ends(found: Mapping[str, Any]) -> str:
    jobs = found["jobs"]
    return (
        f"ends {many(found['tokens'], 'token')} and stops {jobs['queued']} waiting and {jobs['running']} running jobs."
    )


def _wanted(fields: Fields) -> Fields:
    """The seats that were asked for, and the names of the first of them, one a line."""
    lines = text(fields, "names", most=MOST_NAMES_TEXT, least=0).splitlines()
    names = [line.strip() for line in lines if line.strip()]
    students = fields.get("students")
    if students is None:
        students = len(names) or DEFAULT_STUDENTS
    if not isinstance(students, int) or isinstance(students, bool) or not 1 <= students <= MOST_STUDENTS:
        raise Refused(400, f"students must be a whole number from 1 to {MOST_STUDENTS}.")
    if len(names) > students:
        raise Refused(400, f"The list has {many(len(names), 'name')}, and there are {many(students, 'seat')}: too few.")
    return {"students": students, "names": names}


def _seat(fields: Fields) -> int:
    seat = fields.get("seat")
    if not isinstance(seat, int) or isinstance(seat, bool) or not 1 <= seat <= MOST_STUDENTS:
        raise Refused(400, f"seat must be a whole number from 1 to {MOST_STUDENTS}.")
    return seat
