"""`leakdrill demo`: the whole morning in one command, with a simulated class if wanted."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from drills.scenario import load_scenario
from gateway import extras
from gateway import settings as settings_module
from gateway.classroom.service import MOST_STUDENTS
from gateway.commands.control_client import ControlClient
from gateway.commands.drill import play, report_folder, speed_option, tell
from gateway.commands.rehearsal import Rehearsal, tell_class
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
@click.option("--seed", type=click.IntRange(min=0), help="For visitors, students and their choices.")
@click.option(
    "--class",
    "students",
    metavar="N",
    type=click.IntRange(1, MOST_STUDENTS),
    help=f"Open a class, and play N students of it, at most {MOST_STUDENTS}, to rehearse a lesson.",
)
@click.option("--exit", "leave", is_flag=True, help="End with the drill's exit code instead of staying up.")
@workers_option
@port_option
@page_port_option
@data_option
def demo(
    speed: float | None,
    seed: int | None,
    students: int | None,
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
    with ExitStack() as stack:
        supervisor = stack.enter_context(Supervisor(own))
        supervisor.give_page([])
        supervisor.start(workers=default_workers() if workers is None else workers, page=True)
        url, admin = supervisor.gateway_url, supervisor.admin_token
        control = stack.enter_context(ControlClient(url, admin))
        control.post("/control/reset", {"confirm": "reset"})
        supervisor.wait_for_page()
        addresses = {"page": supervisor.page_url, "gateway": url}
        rehearsal = None
        if students is not None:
            rehearsal = Rehearsal(control, url, students, scenario, speed=speed, seed=seed)
            stack.enter_context(rehearsal.students)
            rehearsal.students.start()
            addresses |= {"control room": f"{supervisor.page_url}/control", "admin token": str(supervisor.admin_file())}
        result = play(
            scenario,
            url,
            admin,
            out,
            speed=speed,
            seed=seed,
            addresses=addresses,
            on_leak=supervisor.give_page,
            tend=supervisor.tend,
        )
        tell(result)
        exit_code = result.exit_code
        if rehearsal is not None:
            report = rehearsal.judge()
            tell_class(report, out)
            exit_code = report.exit_code(exit_code)
        if leave:
            sys.exit(exit_code)
        click.echo(f"The page stays open at {supervisor.page_url}; its access is cut off. Ctrl-C stops everything.")
        click.echo(f"The control room is at {supervisor.page_url}/control; admin token in {supervisor.admin_file()}")
        stop = stop_event()
        while not stop.wait(0.5):
            supervisor.tend()
