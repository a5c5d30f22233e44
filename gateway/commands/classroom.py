"""`leakdrill class …`: open a class, see who joined, give one student a fresh start, print its sheets."""

from __future__ import annotations

import json
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway import settings as settings_module
from gateway.commands.tokens import open_target, reach
from gateway.errors import OperatorError
from gateway.settings import Settings

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  compared with, not bound


@click.group()
def class_() -> None:
    """Open a class, see who joined, print its sheets."""


@class_.command("open")
@click.option("--students", type=click.IntRange(1, 200), help="Seats [as many as names, else 30].")
@click.option("--names", type=click.Path(path_type=Path), help="A file with one name a line, for the first seats.")
@reach
def open_class(
    students: int | None,
    names: Path | None,
    target: str | None,
    data: Path | None,
    admin_token: str | None,
    as_json: bool,
) -> None:
    """Open a class; its code is what students type on the page."""
    body: dict[str, Any] = {} if students is None else {"students": students}
    if names is not None:
        body["names"] = _read_names(names)
    with open_target(target, data, admin_token) as control:
        opened = control.post("/control/class", body)
    if as_json:
        click.echo(json.dumps(opened))
        return
    click.echo(f"code     {opened['code']}")
    click.echo(f"seats    {len(opened['seats'])}, cohort {opened['cohort']}")
    click.echo(f"join at  {_join_address(settings_module.load(data=data))}")


@class_.command()
@reach
def roster(target: str | None, data: Path | None, admin_token: str | None, as_json: bool) -> None:
    """List the seats, and who has joined when."""
    with open_target(target, data, admin_token) as control:
        found = control.get("/control/class")
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found["open"]:
        click.echo("No class is open.")
        return
    click.echo(f"code {found['code']}, {found['taken']} of {len(found['seats'])} seats taken")
    for seat in found["seats"]:
        click.echo(f"{seat['seat']:>3}  {_taken(seat):<22}  {seat['state']:<11}  {seat['accessor']}  {seat['name']}")


@class_.command()
@click.argument("seat", type=click.IntRange(1, 200))
@reach
def reset(seat: int, target: str | None, data: Path | None, admin_token: str | None, as_json: bool) -> None:
    """Free SEAT, a number of the roster: its token is revoked, and the student joins again."""
    with open_target(target, data, admin_token) as control:
        freed = control.post(f"/control/class/seats/{seat}/reset", {})
    click.echo(json.dumps(freed) if as_json else f"seat {seat} ({freed['name']}) is free; its former token is revoked")


@class_.command()
@reach
def end(target: str | None, data: Path | None, admin_token: str | None, as_json: bool) -> None:
    """End the class: its code is stale and its tokens are revoked."""
    with open_target(target, data, admin_token) as control:
        ended = control.delete("/control/class")
    click.echo(json.dumps(ended) if as_json else "The class has ended; its tokens are revoked.")


@class_.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("class-sheet.html"), show_default=True)
@click.option("--address", help="What students open [the page's address, as the settings have it].")
@click.option("--tokens", is_flag=True, help="Print the tokens of all free seats, for a class that does not join.")
@reach
def sheet(
    out: Path,
    address: str | None,
    tokens: bool,
    target: str | None,
    data: Path | None,
    admin_token: str | None,
    as_json: bool,
) -> None:
    """Write the sheet to print: address, code and names; no tokens unless asked for."""
    from drills.classsheet import ClassSheet, class_sheet

    with open_target(target, data, admin_token) as control:
        found = control.get("/control/class")
        if not found["open"]:
            raise OperatorError("no class is open; open one with `leakdrill class open`")
        with _Unwritten(out) as file:  # before a token is shown, which is shown once
            printed = control.post("/control/class/tokens", {})["data"] if tokens else []
            secrets = {one["seat"]: one["token"] for one in printed}
            where = address or _join_address(settings_module.load(data=data))
            names = tuple((seat["seat"], seat["name"]) for seat in found["seats"])
            file.write(class_sheet(ClassSheet(where, found["code"], names, secrets)))
    if as_json:
        click.echo(json.dumps({"file": str(out), "seats": len(names), "tokens": len(secrets)}))
        return
    click.echo(f"{out}: {len(names)} names" + (f", {len(secrets)} tokens; keep it safe" if tokens else ""))


@class_.command("print")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder; what is there is written over.")
def print_material(out: Path) -> None:
    """Write the class material as HTML to print: OUT/students and OUT/instructor."""
    from drills.errors import ScenarioError
    from drills.handouts import write_handouts

    try:
        written = write_handouts(out)
    except ScenarioError as exc:
        raise OperatorError(str(exc)) from exc
    except OSError as exc:
        raise OperatorError(f"{out} cannot be written: {exc.strerror or exc}; name another folder") from exc
    for path in written:
        click.echo(path)


class _Unwritten:
    """A file that takes its name once all of it is written; only its owner may read it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fresh = path.with_name(f".{path.name}.fresh")

    def __enter__(self) -> Any:
        try:
            self._fresh.unlink(missing_ok=True)
            self._fresh.touch(mode=0o600)
            self._file = self._fresh.open("w", encoding="utf-8")
        except OSError as exc:
            raise OperatorError(f"{self._path} cannot be written: {exc.strerror}; name another with --out") from exc
        return self._file

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self._file.close()
        if kind is None:
            self._fresh.replace(self._path)
        else:
            self._fresh.unlink()


def _read_names(path: Path) -> list[str]:
    """One name a line; blank lines and those that begin with # are passed over."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise OperatorError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise OperatorError(f"{path} is not UTF-8 (byte {exc.start}); save it as UTF-8") from exc
    names = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    if not names:
        raise OperatorError(f"{path} has no names; write one a line")
    return names


def _join_address(settings: Settings) -> str:
    """Where other machines reach the page, as far as this one knows."""
    host = socket.gethostname() if settings.page_host in EVERYWHERE else settings.page_host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.page_port}"


def _taken(seat: dict[str, Any]) -> str:
    if seat["taken_at"] is None:
        return "free"
    at = datetime.fromtimestamp(seat["taken_at"], UTC).isoformat(timespec="seconds")
    return at if seat["taken_by"] == "join" else f"paper {at[11:19]}"
