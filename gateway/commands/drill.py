"""`leakdrill drill …`."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

import click
import httpx
from rich.console import Console

from drills.compare import TITLES, render_comparison, variants
from drills.look import one_line
from drills.rendering import render
from drills.response import Ask
from drills.runbook_file import RunbookFile
from drills.runner import DrillResult, run_drill
from drills.scenario import Scenario, list_scenarios, load_scenario
from drills.topology import overridden
from gateway import settings as settings_module
from gateway.commands.control_client import read_admin_token
from gateway.commands.drill_papers import notes, schema
from gateway.commands.drill_rate import rate
from gateway.commands.drill_watch import watch
from gateway.commands.leaving import or_leave
from gateway.commands.reporter import publish_key
from gateway.commands.screen import DrillScreen
from gateway.commands.serve import default_workers
from gateway.errors import OperatorError
from gateway.settings import Settings
from gateway.supervisor import Supervisor, free_ports

Intake = Literal["observe", "quarantine", "revoke"]

speed_option = click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Replay seconds per second.")


@click.group()
def drill() -> None:
    """Run, check, list and report drills."""


drill.add_command(watch)
drill.add_command(rate)
drill.add_command(schema)
drill.add_command(notes)


@drill.command("run")
@click.argument("scenario")
@click.option("--target", help="A running gateway; without it the drill starts its own and throws it away.")
@click.option("--admin-token", help="The target's admin bearer [LEAKDRILL_ADMIN_TOKEN, else the data directory's].")
@speed_option
@click.option("--seed", type=click.IntRange(min=0), help="For visitors and their choices.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory for journal and reports.")
@click.option("--workers", type=click.IntRange(1, 64), help="Workers of the drill's own gateway.")
@click.option("--replicas", type=click.IntRange(1, 9), help="Gateways beside each other [the scenario's].")
@click.option("--consistency", help="How late replicas learn of a revocation, as in cache-ttl:60 [the scenario's].")
@click.option("--defect", "defects", multiple=True, help="A mistake that replicas make [the scenario's].")
@click.option("--defect-on", help="The replica that makes it [all].")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
def run(
    scenario: str,
    target: str | None,
    admin_token: str | None,
    speed: float | None,
    seed: int | None,
    out: Path | None,
    workers: int | None,
    replicas: int | None,
    consistency: str | None,
    defects: tuple[str, ...],
    defect_on: str | None,
    data: Path | None,
) -> None:
    """Run SCENARIO, a name from `drill list` or a file; write journal and reports."""
    settings = settings_module.load(data=data)
    if target is not None and replicas is not None:
        raise click.UsageError("--replicas is for the drill's own gateways; a target has those that it has")
    if defect_on is not None and not defects:
        raise click.UsageError("--defect-on goes with --defect")
    loaded = or_leave(lambda: load_scenario(scenario))
    if target is not None and (consistency or defects):
        replicas = count_replicas(target)
    loaded = with_topology(loaded, replicas, consistency, defects, defect_on)
    folder = out or report_folder(settings, loaded)
    if target is not None:
        token = admin_token or read_admin_token(settings)
        tells = bool(consistency or defects)
        result = play(
            loaded, target, token, folder, speed=speed, seed=seed, tells=tells, key_file=settings.reporter_keys
        )
    else:
        count = loaded.topology.replicas
        workers = default_workers() if workers is None else workers
        with own_gateway(workers, count, loaded.topology.intake) as supervisor:
            url, token, keys = supervisor.gateway_url, supervisor.admin_token, supervisor.settings.reporter_keys
            tend = supervisor.tend
            result = play(loaded, url, token, folder, speed=speed, seed=seed, tend=tend, tells=True, key_file=keys)
    tell(result)
    sys.exit(result.exit_code)


@drill.command()
@click.argument("journal", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Directory for the reports [the journal's].")
def report(journal: Path, out: Path | None) -> None:
    """Write the reports of JOURNAL again."""
    for path in or_leave(lambda: render(journal, out or journal.parent)).values():
        click.echo(path)


@drill.command()
@click.argument("file")
def lint(file: str) -> None:
    """Check a scenario FILE without running it."""
    loaded = or_leave(lambda: load_scenario(file))
    click.echo(f"{file}: fine: {loaded.scenario.title}, {len(loaded.msel)} MSEL lines")


@drill.command("compare")
@click.argument("scenario")
@speed_option
@click.option("--seed", type=click.IntRange(min=0), help="For visitors and their choices.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory for the comparison, and each cut's journal.")
@click.option("--workers", type=click.IntRange(1, 64), help="Workers of each cut's own gateway.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
def compare_cuts(
    scenario: str, speed: float | None, seed: int | None, out: Path | None, workers: int | None, data: Path | None
) -> None:
    """Play SCENARIO three times: revoking the leaked tokens, their cohort, and everybody."""
    loaded = or_leave(lambda: load_scenario(scenario))
    folder = out or report_folder(settings_module.load(data=data), loaded).with_suffix(".compared")
    cuts = or_leave(lambda: variants(loaded))
    if loaded.containment.by == "notice":
        click.echo("the scenario's own cut is a notice; revocations are sent in its place")
    codes: list[int] = []
    workers = default_workers() if workers is None else workers
    for name, one in cuts.items():
        with own_gateway(workers, one.topology.replicas, one.topology.intake) as supervisor:
            url, token, keys = supervisor.gateway_url, supervisor.admin_token, supervisor.settings.reporter_keys
            tend, place = supervisor.tend, folder / name
            done = play(one, url, token, place, speed=speed, seed=seed, tend=tend, tells=True, key_file=keys)
        click.echo(f"{name}: {done.verdict.replace('_', ' ')}")
        if done.status == "interrupted" or "journal.json" not in done.paths:
            click.echo(f"leakdrill: {name} did not end as planned: {done.error or 'interrupted'}", err=True)
            sys.exit(4)
        codes.append(done.exit_code)
    paths = or_leave(lambda: render_comparison({name: folder / name for name in TITLES}, folder))
    for path in paths.values():
        click.echo(path)
    sys.exit(max(codes, key=(0, 3, 1, 2, 4).index))


@drill.command("list")
def list_names() -> None:
    """List the scenarios that leakdrill brings."""
    for one in or_leave(list_scenarios):
        click.echo(f"{one.name:<28}{one.title}")


def play(
    scenario: Scenario,
    url: str,
    admin_token: str,
    out: Path,
    *,
    speed: float | None = None,
    seed: int | None = None,
    addresses: dict[str, str] | None = None,
    on_leak: Callable[[list[str]], None] | None = None,
    tend: Callable[[], None] | None = None,
    tells: bool = False,
    runbook: tuple[RunbookFile, Ask] | None = None,
    key_file: Path | None = None,
) -> DrillResult:
    """Runs a drill under a live screen; Ctrl-C ends it early with a complete journal.

    A runbook may ask a person, so its progress is told in plain lines. `key_file` is where the gateway reads reporters'
    keys; a scenario that sends notices has one of its own.
    """

    async def session(screen: DrillScreen) -> DrillResult:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, stop.set)
        tending = asyncio.create_task(_tend(tend)) if tend else None
        try:
            return await run_drill(
                scenario,
                target=url,
                admin_token=admin_token,
                out=out,
                speed=speed,
                seed=seed,
                on_event=screen.on_event,
                on_leak=on_leak,
                stop=stop,
                tells=tells,
                runbook=runbook,
                register=None if key_file is None else partial(publish_key, key_file),
            )
        finally:
            if tending:
                tending.cancel()
                with suppress(asyncio.CancelledError, OperatorError):
                    await tending

    plain = Console(force_terminal=False) if runbook else None
    with DrillScreen(scenario.scenario.title, addresses or {"gateway": url}, plain) as screen:
        return or_leave(lambda: asyncio.run(session(screen)))


@contextmanager
def own_gateway(workers: int, replicas: int = 1, intake: Intake | None = None) -> Iterator[Supervisor]:
    """A gateway in a temporary directory, on a free port, without a page; or several beside each other.

    It calls the drill's own receivers on this machine, and tries again soon. `intake` is what becomes of tokens that
    are reported; the default is the setting's.
    """
    with tempfile.TemporaryDirectory(prefix="leakdrill-") as folder:
        settings = settings_module.load(data=Path(folder), port=free_ports(replicas), admin_token="", database_url="")
        own: dict[str, object] = {"allow_private_targets": "loopback", "webhook_first_retry_seconds": 1.0}
        own |= {} if intake is None else {"disclosure_policy": intake}
        with Supervisor(settings.model_copy(update=own)) as supervisor:
            supervisor.start(workers=workers, page=False, replicas=replicas)
            yield supervisor


def count_replicas(url: str) -> int:
    """How many gateways there are; 1 where none answers as it should, which the drill itself then says."""
    try:
        return len(httpx.get(f"{url.rstrip('/')}/status", timeout=5.0, trust_env=False).json()["replicas"]) or 1
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return 1


def with_topology(
    scenario: Scenario, replicas: int | None, consistency: str | None, defects: tuple[str, ...], only: str | None
) -> Scenario:
    """The scenario with what the command line says of the gateways."""
    topology = or_leave(lambda: overridden(scenario.topology, replicas, consistency, defects, only))
    return scenario.model_copy(update={"topology": topology})


def report_folder(settings: Settings, scenario: Scenario) -> Path:
    """A fresh directory under `reports/`, named by scenario and time."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return settings.data / "reports" / f"{scenario.scenario.id}-{stamp}"


def tell(result: DrillResult) -> None:
    """The verdict and where everything lies. A reason may hold words of a server: none of them moves the cursor."""
    click.echo(f"verdict: {result.verdict.replace('_', ' ')}")
    for reason in result.reasons:
        click.echo(f"  {one_line(reason)}")
    if result.error:
        click.echo(f"  {one_line(result.error)}", err=True)
    if result.left:
        click.echo("  the target is left dirty; put right by hand, before anybody uses it:", err=True)
    for words in result.left:
        click.echo(f"    {one_line(words)}", err=True)
    for path in result.paths.values():
        click.echo(path)


async def _tend(tend: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(0.5)
        tend()
