"""`up`, `gateway`, `worker`, `page`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import click

from gateway import extras
from gateway import settings as settings_module
from gateway.commands.control_client import ControlClient
from gateway.serve import configure_logging, die_with_parent, run_gateway, run_worker
from gateway.settings import Settings
from gateway.supervisor import Supervisor

data_option = click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
port_option = click.option("--port", type=click.IntRange(1, 65535), help="Port of the gateway [8000].")
page_port_option = click.option("--page-port", type=click.IntRange(1, 65535), help="Port of the page [7860].")
workers_option = click.option(
    "--workers", type=click.IntRange(0, 64), default=None, help="Worker processes [one a core, at most 4]."
)


def on_this_machine(settings: Settings) -> Settings:
    """The same, but webhooks and pictures may lie on this machine: where nobody else can call, a receiver beside the
    gateway is the usual case. A word in LEAKDRILL_ALLOW_PRIVATE_TARGETS counts more, and so does a wider address."""
    if "allow_private_targets" in settings.model_fields_set or settings.host not in ("127.0.0.1", "::1", "localhost"):
        return settings
    return settings.model_copy(update={"allow_private_targets": "loopback"})


def default_workers() -> int:
    """One render per core is the best a machine can do; four are enough for a laptop."""
    return min(4, os.cpu_count() or 1)


@click.command()
@workers_option
@click.option(
    "--replicas", type=click.IntRange(1, 16), default=1, show_default=True, help="Gateways, on ports one after another."
)
@port_option
@page_port_option
@click.option("--page/--no-page", default=None, help="Whether to run the page as well [where it is installed].")
@data_option
def up(
    workers: int | None, replicas: int, port: int | None, page_port: int | None, page: bool | None, data: Path | None
) -> None:
    """Run gateway, workers and page until Ctrl-C."""
    without = page is None and extras.lacking("page") is not None
    if page:
        extras.ensure("page", "the page")
    page = not without and page is not False
    # On one machine whoever calls may ask for failures; a gateway that serves others takes them from its admin alone.
    fault_header = None if "LEAKDRILL_FAULT_HEADER" in os.environ else True
    settings = settings_module.load(data=data, port=port, page_port=page_port, fault_header=fault_header)
    configure_logging(settings, "supervisor")
    stop = stop_event()
    die_with_parent()
    with Supervisor(on_this_machine(settings)) as supervisor:
        count = default_workers() if workers is None else workers
        supervisor.start(workers=count, page=page, replicas=replicas)
        if page:
            _give_page_a_token(supervisor)
        for number, url in enumerate(supervisor.replica_urls, 1):
            click.echo(f"gateway      {url}{f'  (r{number})' if replicas > 1 else ''}")
        if page:
            supervisor.wait_for_page()
            click.echo(f"page         {supervisor.page_url}")
            click.echo(f"control room {supervisor.page_url}/control")
        elif without:
            click.echo(f"page         not installed; add it with: {extras.install('page')}")
        click.echo(f"admin token  in {supervisor.admin_file()}")
        click.echo("Ctrl-C stops everything.")
        while not stop.wait(0.5):
            supervisor.tend()


@click.command()
@click.option("--host", help="Address to bind [127.0.0.1].")
@port_option
@data_option
def gateway(host: str | None, port: int | None, data: Path | None) -> None:
    """Run the gateway alone."""
    run_gateway(settings_module.load(host=host, port=port, data=data))


@click.command()
@click.option("--slots", type=click.IntRange(1, 64), default=1, show_default=True, help="Renders at a time.")
@data_option
def worker(slots: int, data: Path | None) -> None:
    """Run a worker alone; it shares the database and the media directory with the gateway."""
    run_worker(settings_module.load(data=data), slots)


@click.command()
def page() -> None:
    """Run the page alone; it needs LEAKDRILL_GATEWAY_URL and LEAKDRILL_PAGE_TOKENS."""
    extras.ensure("page", "the page")
    from frontend.app import main as run_page

    configure_logging(settings_module.load(), "page")
    die_with_parent()
    sys.exit(run_page())


def stop_event() -> threading.Event:
    """Set by Ctrl-C and SIGTERM."""
    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    return stop


def _give_page_a_token(supervisor: Supervisor) -> None:
    """A first start gives the page a token of its own. What became of it later is left alone: a page whose access
    was revoked stays without access after a restart."""
    if supervisor.page_has_tokens():
        return
    with ControlClient(supervisor.gateway_url, supervisor.admin_token) as control:
        issued = control.post("/control/tokens", {"principal": "page", "cohort": "page"})
    supervisor.give_page([issued["token"]])
