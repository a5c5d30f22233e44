"""The control room: its pages, its login, and what an instructor can read and do there. Every route but the login's
refuses whoever is not logged in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from fastapi.templating import Jinja2Templates

from frontend import after_action, export, guard, injects
from frontend.by_clock import InjectClock
from frontend.classroom import ClassDeeds, join_address
from frontend.client import Gateway, GatewayError
from frontend.connected import Connected
from frontend.deeds import Deeds, Fields, Told, refused_words
from frontend.guard import HEADERS, Guard, Refused, said
from frontend.incident import Incident, load_incident
from frontend.injects import InjectDeeds, load_injects
from frontend.sessions import LIFE_SECONDS, Session, Sessions
from frontend.settings import TOKEN
from frontend.tokens import PageTokens
from frontend.views import nothing_known, public_view, room_view
from frontend.watch import Reading, Watch

STATIC = Path(__file__).resolve().parent / "static" / "control"
# The pages behind the login, by address. What they hold is the same for everybody: the facts come from their state.
PAGES = {
    "": "room.html",
    "projector": "projector.html",
    "notes": "notes.html",
    "sheet": "sheet.html",
    "after-action": "after-action.html",
}
STATIC_KINDS = {".css": "text/css", ".js": "text/javascript"}
MOST_NAME = 40
NOT_TAKEN = (
    "The gateway does not take this admin token. It is in the file admin.token of the gateway's data directory, or in "
    "LEAKDRILL_ADMIN_TOKEN. Copy all of it."
)
ENDED = "The gateway does not take this admin token any more, so you were logged out."
AWAY = "The gateway does not answer, so nobody can be logged in now. Try again when it is back."

View = Callable[[Reading, Incident], dict[str, Any]]


def add_control_room(
    app: FastAPI,
    gateway: Gateway,
    page_tokens: PageTokens,
    listens: str = "127.0.0.1",
    connected: Connected | None = None,
) -> ControlRoom:
    """Adds the control room to the page's server, whose tokens it can renew, which listens at that host, and whose open
    pages `connected` counts. The caller closes it."""
    app.add_exception_handler(Refused, guard.refusal)
    room = ControlRoom(gateway, page_tokens, listens, connected or Connected())
    room.add_to(app)
    return room


class ControlRoom:
    """The routes, and what they share."""

    def __init__(self, gateway: Gateway, page_tokens: PageTokens, listens: str, connected: Connected) -> None:
        self.gateway = gateway
        self.listens = listens
        self.connected = connected
        self.templates = Jinja2Templates(STATIC)
        self.guard = Guard(Sessions())
        self.incident = load_incident()
        self.deeds = Deeds(gateway, self.incident, page_tokens)
        self.class_deeds = ClassDeeds(gateway)
        self.plan = load_injects()
        self.inject_deeds = InjectDeeds(gateway, self.plan)
        self.inject_clock = InjectClock(
            self.inject_deeds, self.plan, self.incident, self._look, self.guard.sessions.holds
        )
        # By admin token: who logs in with another one must not see what this one was shown.
        self._watches: dict[str, Watch] = {}
        self._worked_out: dict[View, tuple[Reading, dict[str, Any]]] = {}

    async def aclose(self) -> None:
        """Stops what works by itself."""
        await self.inject_clock.aclose()

    def add_to(self, app: FastAPI) -> None:
        """Adds all routes."""
        app.add_api_route("/control/", self.to_page, methods=["GET"])
        for name in PAGES:
            app.add_api_route(f"/control/{name}".rstrip("/"), self.page, methods=["GET"])
        # Beside /control, because the login needs them: style and scripts, which hold no facts.
        app.add_api_route("/control-static/{name}", self.static, methods=["GET"])
        app.add_api_route("/control/login", self.login, methods=["POST"])
        changer = [Depends(self.guard.changer)]
        app.add_api_route("/control/logout", self.logout, methods=["POST"], dependencies=changer)
        app.add_api_route("/control/state", self.state, methods=["GET"])
        app.add_api_route("/control/projector/state", self.projector_state, methods=["GET"])
        app.add_api_route("/control/injects", self.injects, methods=["GET"])
        app.add_api_route("/control/after-action/state", self.after_action, methods=["GET"])
        app.add_api_route("/control/choices", self.choices, methods=["GET"])
        app.add_api_route("/control/log.json", self.log, methods=["GET"])
        app.add_api_route("/control/log.csv", self.log, methods=["GET"])
        for name, deed in {**self.deeds.all(), **self.class_deeds.all(), **self.inject_deeds.all()}.items():
            app.add_api_route(f"/control/{name}", self.doing(deed), methods=["POST"], name=name)

    async def to_page(self) -> Response:
        """The address that people type."""
        return RedirectResponse("../control", status_code=307, headers=HEADERS)

    async def page(self, request: Request) -> Response:
        """The page of that address, or the login in its place."""
        name = request.url.path.removeprefix("/control").strip("/")
        file = PAGES[name] if self.guard.ask(request) else "login.html"
        return self.templates.TemplateResponse(request, file, headers=HEADERS)

    async def static(self, name: str) -> Response:
        """A style sheet or a script."""
        known = {file.name: file for file in STATIC.iterdir() if file.suffix in STATIC_KINDS}
        if name not in known:
            raise Refused(404, "There is no such file.")
        headers = {**HEADERS, "Cache-Control": "no-cache"}
        return FileResponse(known[name], media_type=STATIC_KINDS[known[name].suffix], headers=headers)

    async def login(self, request: Request) -> Response:
        """Asks the gateway whether it takes the token; it compares in constant time, and nothing is kept here of one
        that it refuses."""
        guard.ensure_own_page(request)
        fields = await guard.body(request)
        token = guard.text(fields, "token", most=200)
        name = guard.text(fields, "name", most=MOST_NAME, least=0)
        if not TOKEN.fullmatch(token):
            raise Refused(401, NOT_TAKEN)
        if not name.isprintable():
            raise Refused(400, "name must be printable characters.")
        try:
            await self.gateway.operate("GET", "/control/state", token, name, patience=5)
        except GatewayError as error:
            raise _not_let_in(error) from error
        self.guard.sessions.end(self.guard.cookie(request))
        answer = said("Logged in.")
        answer.set_cookie(
            self.guard.cookie_name(request),
            self.guard.sessions.begin(token, name),
            max_age=int(LIFE_SECONDS),
            path="/control",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    async def logout(self, request: Request) -> Response:
        """Ends this login."""
        self.guard.sessions.end(self.guard.cookie(request))
        answer = said("Logged out.")
        answer.delete_cookie(self.guard.cookie_name(request), path="/control", httponly=True, samesite="strict")
        return answer

    async def state(self, request: Request) -> Response:
        """The room as it is, for the instructor's page, which asks each second."""
        session = await self.guard.reader(request)
        reading = await self._reading(session)
        more = {"me": session.name, "pages": self.connected.words()}
        if reading is not None:
            more["due"] = _due(len(injects.due(self.plan, reading, self.incident)))
        return JSONResponse({**self._shown(reading, room_view), **self._join(request), **more}, headers=HEADERS)

    async def projector_state(self, request: Request) -> Response:
        """The same without what must not be on a wall."""
        reading = await self._reading(await self.guard.reader(request))
        return JSONResponse({**self._shown(reading, public_view), **self._join(request)}, headers=HEADERS)

    async def injects(self, request: Request) -> Response:
        """The planned injects and where each stands, for the private page."""
        reading = await self._reading(await self.guard.reader(request))
        if reading is None:
            raise Refused(503, "The gateway does not answer, so nobody knows where the injects stand.")
        return JSONResponse(injects.shown(self.plan, reading, self.incident), headers=HEADERS)

    async def after_action(self, request: Request) -> Response:
        """The exercise so far, to be printed."""
        reading = await self._reading(await self.guard.reader(request))
        if reading is None:
            raise Refused(503, "The gateway does not answer, so there is nothing to print now.")
        return JSONResponse(after_action.report(reading, self.plan, self.incident), headers=HEADERS)

    async def choices(self, request: Request) -> Response:
        """Who can be selected."""
        session = await self.guard.reader(request)
        return await self._answered(session, self.deeds.choices(session), changes=False)

    def doing(self, deed: Callable[[Session, Fields], Awaitable[Told]]) -> Callable[[Request], Awaitable[Response]]:
        """The route of a deed."""

        async def route(request: Request) -> Response:
            session = await self.guard.changer(request)
            answer = await self._answered(session, deed(session, await guard.body(request)), changes=True)
            self._watch(session).stale()
            return answer

        return route

    async def log(self, request: Request) -> Response:
        """The event list since the exercise began, as a file."""
        session = await self.guard.reader(request)
        reading = await self._reading(session)
        if reading is None:
            raise Refused(503, "The gateway does not answer, so there is no log to export now.")
        kind = request.url.path.rpartition(".")[2]
        found = export.pages(self.gateway, session, reading.story.began)
        try:
            # The first page is asked for before the answer begins, so that a refusal can still be told.
            first = await anext(found)
        except GatewayError as error:
            raise Refused(error.status or 503, refused_words(error, changes=False)) from error
        lines = (export.as_csv if kind == "csv" else export.as_json)(_after(first, found))
        name = f"leakdrill-log-{datetime.now():%Y%m%d-%H%M%S}.{kind}"
        headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
        types = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
        return StreamingResponse(lines, media_type=types[kind], headers=headers)

    def _shown(self, reading: Reading | None, view: View) -> dict[str, Any]:
        """The reading as a page gets it; worked out once, however many pages get it."""
        if reading is None:
            return nothing_known()
        kept, shown = self._worked_out.get(view, (None, {}))
        if kept is not reading:
            shown = view(reading, self.incident)
            self._worked_out[view] = (reading, shown)
        return shown

    def _join(self, request: Request) -> dict[str, str]:
        """Where students join; another instructor may have come by another address."""
        address, warning = join_address(urlsplit(str(request.base_url)), self.listens)
        return {"join_at": address, "join_warning": warning}

    async def _reading(self, session: Session) -> Reading | None:
        try:
            reading = await self._look(session)
        except GatewayError as error:
            raise self._logged_out(session) from error
        self.inject_clock.mind(session, reading)
        return reading

    async def _look(self, session: Session) -> Reading | None:
        return await self._watch(session).reading()

    async def _answered(self, session: Session, telling: Awaitable[Told], *, changes: bool) -> Response:
        try:
            told = await telling
        except GatewayError as error:
            if error.status == 401:
                raise self._logged_out(session) from error
            raise Refused(error.status or 503, refused_words(error, changes=changes)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(502, "Something answered that is not the gateway; look at the log.") from error
        return said(**told)

    def _watch(self, session: Session) -> Watch:
        return self._watches.setdefault(session.token, Watch(self.gateway, session.token))

    def _logged_out(self, session: Session) -> Refused:
        """The gateway took the token once and does not now: nobody who came with it stays."""
        self.guard.sessions.end_all(session.token)
        self._watches.pop(session.token, None)
        return Refused(401, ENDED)


async def _after(first: list[dict[str, Any]], rest: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[Any]:
    yield first
    async for lines in rest:
        yield lines


def _due(number: int) -> str:
    return "" if not number else "1 inject due" if number == 1 else f"{number} injects due"


def _not_let_in(error: GatewayError) -> Refused:
    if error.status == 401:
        return Refused(401, NOT_TAKEN)
    if error.passing:
        return Refused(503, AWAY)
    return Refused(502, f"The gateway would not say whether it takes this token. It says: {error.message}")
