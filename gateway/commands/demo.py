"""`leakdrill demo`: the whole morning in one command."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from drills.scenario import load_scenario
from gateway import extras
from gateway import settings as settings_module
from gateway.commands.control_client import ControlClient
from gateway.commands.drill import play, report_folder, speed_option, tell
from gateway.commands.serve import (
    data_option,
    default_workers,
    on_this_machine,
    page_port_option,
    port_option,
    stop_event,
    workers_option,
)
from gateway.supervisor import Supervisor

SCENARIO = "november-2024"


@click.command()
@speed_option
@click.option("--exit", "leave", is_flag=True, help="End with the drill's exit code instead of staying up.")
@workers_option
@port_option
@page_port_option
@data_option
def demo(
    speed: float | None,
    leave: bool,
    workers: int | None,
    port: int | None,
    page_port: int | None,
    data: Path | None,
) -> None:
    """Start gateway, workers and page, replay November 2024, write the report, and stay open."""
    extras.ensure("page", "the demo shows the page, which")
    settings = settings_module.load(data=data, port=port, page_port=page_port)
    scenario = load_scenario(SCENARIO)
    out = report_folder(settings, scenario).resolve()
    # A directory of its own: the demo starts from a clean room, and must not sweep away anybody's real one.
    own = on_this_machine(settings).model_copy(update={"data": settings.data / "demo", "database_url": ""})
    with Supervisor(own) as supervisor:
        supervisor.give_page([])
        supervisor.start(workers=default_workers() if workers is None else workers, page=True)
        with ControlClient(supervisor.gateway_url, supervisor.admin_token) as control:
            control.post("/control/reset", {"confirm": "reset"})
        supervisor.wait_for_page()
        result = play(
            scenario,
            supervisor.gateway_url,
            supervisor.admin_token,
            out,
            speed=speed,
            addresses={"page": supervisor.page_url, "gateway": supervisor.gateway_url},
            on_leak=supervisor.give_page,
            tend=supervisor.tend,
        )
        tell(result)
        if leave:
            sys.exit(result.exit_code)
        click.echo(f"The page stays open at {supervisor.page_url}; its access is cut off. Ctrl-C stops everything.")
        click.echo(f"The control room is at {supervisor.page_url}/control; admin token in {supervisor.admin_file()}")
        stop = stop_event()
        while not stop.wait(0.5):
            supervisor.tend()
