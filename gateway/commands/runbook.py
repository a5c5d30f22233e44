"""`leakdrill runbook …`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from drills.runbook_file import RunbookFile, load_runbook, shipped
from drills.runbook_lint import lint as lint_file
from drills.runbook_plan import plan
from drills.runbook_values import MEANINGS, stand_ins
from drills.scenario import Scenario, load_scenario
from drills.schemas import for_elsewhere, schema_text
from gateway import settings as settings_module
from gateway.commands.answers import Answers
from gateway.commands.control_client import read_admin_token
from gateway.commands.drill import count_replicas, own_gateway, play, report_folder, tell, with_topology
from gateway.commands.leaving import or_leave
from gateway.commands.serve import default_workers
from gateway.errors import OperatorError

DEFAULT_SCENARIO = "runbook-rehearsal"


@click.group()
def runbook() -> None:
    """Try a runbook of your own on a leak: list, copy, lint and run."""


@runbook.command("list")
def list_names() -> None:
    """List the runbooks that leakdrill brings, and what comes of each."""
    for name in shipped():
        loaded = or_leave(lambda name=name: load_runbook(name))  # type: ignore[misc]
        expect = loaded.runbook.rehearsal.expect
        verdict = expect.verdict.replace("_", " ") if expect else ""
        click.echo(f"{name:<24}{verdict:<16}{loaded.runbook.description}")


@runbook.command()
@click.argument("name")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def copy(name: str, folder: Path) -> None:
    """Copy the runbook NAME, and the script that it runs, into FOLDER, to make your own of it."""
    loaded = or_leave(lambda: load_runbook(name))
    source = shipped().get(name, Path(name))
    own = {word for step in loaded.runbook.steps.values() for word in _words_of(step)}
    files = [source, *(path for path in (loaded.folder / word for word in sorted(own)) if path.is_file())]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            if (folder / path.name).exists():
                raise OperatorError(f"{folder / path.name} is there already; name another folder")
        for path in files:
            click.echo(shutil.copy(path, folder / path.name))
        own_copy = folder / source.name
        own_copy.write_text(for_elsewhere(own_copy.read_text(encoding="utf-8"), "runbook"), encoding="utf-8")
    except OSError as exc:
        raise OperatorError(f"{folder}: cannot be written: {exc.strerror}; name another folder") from exc


@runbook.command()
@click.argument("file")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
def lint(file: str, strict: bool) -> None:
    """Check a runbook FILE. Exit code 0 fine, 1 something to do, 2 no runbook."""
    loaded = or_leave(lambda: load_runbook(file))
    findings = lint_file(loaded)
    for finding in findings:
        click.echo(str(finding))
    errors = sum(strict or finding.level == "error" for finding in findings)
    if errors:
        sys.exit(1)
    rest = f", {len(findings)} warnings" if findings else ""
    click.echo(f"{file}: fine: {loaded.runbook.name}, {len(loaded.runbook.steps)} steps{rest}")


@runbook.command()
def schema() -> None:
    """Print the JSON Schema of a runbook."""
    click.echo(schema_text("runbook"))


@runbook.command()
@click.argument("file")
@click.option("--scenario", help="What is played [the runbook's, else runbook-rehearsal].")
@click.option("--target", help="A running gateway; without it the drill starts its own and throws it away.")
@click.option("--admin-token-file", type=click.Path(path_type=Path), help="Holds the target's admin bearer.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory for journal and reports.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Replay seconds per second.")
@click.option("--replicas", type=click.IntRange(1, 9), help="Gateways beside each other [the runbook's].")
@click.option("--consistency", help="How late replicas learn of a revocation, as in cache-ttl:60 [the runbook's].")
@click.option("--defect", "defects", multiple=True, help="A mistake that replicas make [the runbook's].")
@click.option("--defect-on", help="The replica that makes it [all].")
@click.option("--answer", "answers", multiple=True, metavar="STEP=yes", help="Answer a decision or a manual step.")
@click.option("--yes", "every", is_flag=True, help="Answer every other one with yes.")
@click.option("--as", "by", help="Who answers [the step's owner].")
@click.option("--dry-run", is_flag=True, help="Show each step as it would be done, and do nothing.")
@click.option("--workers", type=click.IntRange(1, 64), help="Workers of the drill's own gateway.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
def run(
    file: str,
    scenario: str | None,
    target: str | None,
    admin_token_file: Path | None,
    out: Path | None,
    speed: float | None,
    replicas: int | None,
    consistency: str | None,
    defects: tuple[str, ...],
    defect_on: str | None,
    answers: tuple[str, ...],
    every: bool,
    by: str | None,
    dry_run: bool,
    workers: int | None,
    data: Path | None,
) -> None:
    """Run the runbook FILE in the place of a scenario's own revocation; write journal and reports."""
    settings = settings_module.load(data=data)
    loaded = or_leave(lambda: load_runbook(file))
    ask = Answers(answers, every=every, by=by)
    plays = or_leave(lambda: load_scenario(scenario or loaded.runbook.rehearsal.scenario or DEFAULT_SCENARIO))
    or_leave(lambda: plays.ensure_cut("runbook"))
    for finding in lint_file(loaded):
        click.echo(str(finding), err=True)
    if dry_run:
        _show(loaded, plays, target)
        return
    ask.check(loaded.runbook)
    if target is not None and replicas is not None:
        raise click.UsageError("--replicas is for the drill's own gateways; a target has those that it has")
    if defect_on is not None and not defects:
        raise click.UsageError("--defect-on goes with --defect")
    if target is not None:
        tells = bool(consistency or defects)
        plays = with_topology(plays, count_replicas(target) if tells else None, consistency, defects, defect_on)
        token = _read(admin_token_file) if admin_token_file else read_admin_token(settings)
        folder = out or report_folder(settings, plays)
        keys = settings.reporter_keys
        result = play(plays, target, token, folder, speed=speed, tells=tells, runbook=(loaded, ask), key_file=keys)
    else:
        own = loaded.runbook.rehearsal
        wrong = defects or tuple(own.defects)
        plays = with_topology(plays, replicas or own.replicas, consistency or own.consistency, wrong, defect_on)
        folder = out or report_folder(settings, plays)
        count = plays.topology.replicas
        workers = default_workers() if workers is None else workers
        with own_gateway(workers, count, plays.topology.intake) as supervisor:
            url, token, tend = supervisor.gateway_url, supervisor.admin_token, supervisor.tend
            keys = supervisor.settings.reporter_keys
            result = play(
                plays, url, token, folder, speed=speed, tend=tend, tells=True, runbook=(loaded, ask), key_file=keys
            )
    tell(result)
    sys.exit(result.exit_code)


def _show(loaded: RunbookFile, plays: Scenario, target: str | None) -> None:
    """A dry run: what is known beforehand is filled in."""
    leaked = next(cohort for cohort in plays.population.cohorts if cohort.leaked)
    values = stand_ins(MEANINGS)
    values.plain["cohort"] = leaked.cohort or leaked.id
    values.plain["principal"] = f"{leaked.principal}-{leaked.issue:03d}"
    if target is not None:
        values.plain["gateway"] = target.rstrip("/")
    for line in plan(loaded, values):
        click.echo(line)


def _words_of(step: object) -> list[str]:
    process = getattr(step, "process", None)
    return list(process.argv) if process is not None else []


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise OperatorError(f"--admin-token-file {path}: cannot be read: {exc}") from exc
