"""The page's server, and the file a Space names as its `app_file`."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import FrameType, ModuleType
from typing import Annotated

if not __package__:
    # Run as a file, as a Space does, from a folder of any name: the folder is the package, and its modules are found
    # through it alone, so that none of them stands in for another of the same name.
    _here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != _here]
    _package = ModuleType("frontend")
    _package.__path__ = [str(_here)]
    sys.modules["frontend"] = _package

import gradio as gr
import uvicorn
from fastapi import Body, FastAPI, Header
from fastapi.responses import FileResponse, JSONResponse, Response

from frontend import look
from frontend.client import Gateway
from frontend.connected import Connected
from frontend.control_room import add_control_room
from frontend.generate import GeneratePage, build, example_prompts
from frontend.links import Links
from frontend.live import Live
from frontend.render import PATIENCE
from frontend.settings import Settings, SettingsError
from frontend.tokens import PageTokens
from frontend.wording import banner

_UNKEPT = {"Cache-Control": "no-store"}


def create_page(settings: Settings, patience: float = PATIENCE) -> FastAPI:
    """Wires the page. Makes no request and opens nothing: the gateway may come later. `patience` is for how many
    seconds of the gateway's silence an order that it has taken is still asked after."""
    gateway = Gateway(settings.gateway_url)
    live = Live(gateway)
    links = Links(gateway, settings.public_url)
    rng = random.SystemRandom()
    tokens = PageTokens(settings.tokens, settings.tokens_file, rng)
    connected = Connected()
    control = None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if control is not None:
            await control.aclose()
        await gateway.aclose()

    app = FastAPI(title="leakdrill page", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    _add_routes(app, live, links, tokens, connected)
    if settings.control_room:
        control = add_control_room(app, gateway, tokens, settings.host, connected)
    page = GeneratePage(gateway, live, links, tokens, rng, settings.public_url or settings.gateway_url, patience)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        build(page, example_prompts()),
        path="/",
        server_name=settings.host,
        server_port=settings.port,
        footer_links=[],
        # Run history would write every field of the form, a token included, into the browser's storage.
        run_history=False,
        show_error=False,
        # Gradio would describe its routes at /openapi.json.
        app_kwargs={"openapi_url": None},
        # The page takes no files; Gradio's upload route exists all the same.
        max_file_size="1kb",
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=look.theme(),
        css=look.css(),
        head=look.head(),
    )
    return mounted


def _add_routes(app: FastAPI, live: Live, links: Links, tokens: PageTokens, connected: Connected) -> None:
    @app.get("/state")
    async def state(leakdrill_page: Annotated[str, Header()] = "") -> Response:
        connected.asked(leakdrill_page)
        said = banner(await live.status(), access=bool(tokens.current()))
        return JSONResponse(vars(said), headers=_UNKEPT)

    @app.post("/clip")
    async def clip(video: Annotated[str, Body()], link: Annotated[str, Body()]) -> Response:
        return JSONResponse((await links.check(video, link)).as_json(), headers=_UNKEPT)

    @app.get("/favicon.ico")
    async def favicon() -> Response:
        return FileResponse(look.MARK, media_type="image/svg+xml")

    @app.get("/manifest.json")
    async def manifest() -> Response:
        icon = {"src": "favicon.ico", "sizes": "any", "type": "image/svg+xml"}
        return JSONResponse(
            {"name": "leakdrill", "start_url": "./", "display": "browser", "icons": [icon]},
            media_type="application/manifest+json",
        )


def _listen(host: str, port: int) -> socket.socket:
    # Bound before the page is built, so that a taken port is told in one line and at once.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        sys.stderr.write(
            f"The page cannot listen on {settings.host}:{settings.port} ({error.strerror or error}). "
            "Set LEAKDRILL_PAGE_HOST or LEAKDRILL_PAGE_PORT, or stop what runs there.\n"
        )
        return 2
    # Without a configuration of its own, what the server says is written as everything else is.
    config = uvicorn.Config(
        create_page(settings), log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=2
    )
    # Ctrl-C is how a page run by hand is ended.
    with listener, suppress(KeyboardInterrupt):
        _Server(config).run(sockets=[listener])
    return 0


class _Server(uvicorn.Server):
    """Ends in order at the first signal and breaks off at the second. uvicorn's own would send the signal to itself
    again at the end, and so end as if it had been killed."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self.handle_exit)
        yield


if __name__ == "__main__":
    sys.exit(main())
