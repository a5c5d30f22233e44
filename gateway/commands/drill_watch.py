"""`leakdrill drill watch`: judge a revocation that somebody performs by hand, on any gateway with a Videos API."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from drills.callers import Bearer
from drills.look import one_line
from drills.watch.client import bearer_of
from drills.watch.clocks import read_time
from drills.watch.probes import SURFACES
from drills.watch.run import WatchResult, run_watch
from drills.watch.session import Telling, WatchPlan
from gateway import settings as settings_module
from gateway.commands.leaving import or_leave
from gateway.errors import OperatorError

TOKEN_VARIABLE = "LEAKDRILL_WATCH_TOKEN"  # noqa: S105 - the name of a variable
BYSTANDER_VARIABLE = "LEAKDRILL_WATCH_BYSTANDER"
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "ms": 0.001}


class Seconds(click.ParamType[float]):
    """A length of time: 90s, 10m, 1h, 250ms, or seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,7}(?:\.\d{1,3})?)(ms|s|m|h|)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no length of time; write 90s, 10m or 1h", param, ctx)
        return float(found[1]) * UNITS[found[2]]


@click.command()
@click.option("--target", required=True, help="The gateway's address, before /v1.")
@click.option("--token", "tokens", multiple=True, help=f"A token to watch; better in {TOKEN_VARIABLE} or a file.")
@click.option("--token-file", "token_files", multiple=True, type=click.Path(path_type=Path), help="One token a line.")
@click.option("--bystander", "bystanders", multiple=True, help=f"A token that must go on [{BYSTANDER_VARIABLE}].")
@click.option("--bystander-file", "bystander_files", multiple=True, type=click.Path(path_type=Path), help="One a line.")
@click.option("--for", "seconds", type=Seconds(), default="10m", show_default=True, help="How long to wait for it.")
@click.option("--after", type=Seconds(), default="30s", show_default=True, help="How long to look on after it.")
@click.option("--bound", type=Seconds(), default="0s", show_default=True, help="For how long after it uses may pass.")
@click.option("--rate", type=click.FloatRange(0.5, 50), default=8.0, show_default=True, help="Probes a second.")
@click.option("--surfaces", help=f"Some of {','.join(SURFACES)} [what there is, without submit].")
@click.option("--allow-submit", is_flag=True, help="Probe with orders too. They cost whatever an order costs.")
@click.option("--video", help="The video to probe with [the newest finished one].")
@click.option("--refusal", "refusals", multiple=True, type=click.IntRange(400, 499), help="Status of a refusal [401].")
@click.option("--link-host", "hosts", multiple=True, help="Another host whose signed links are asked.")
@click.option("--revoked-at", "given", help="When it was or will be done: 14:05:09, or ISO 8601.")
@click.option("--server-clock", is_flag=True, help="--revoked-at is by the server's clock.")
@click.option("--revoke-command", "command", help="Your own command, started once all is warm. No shell.")
@click.option("--revoke-timeout", type=Seconds(), default="60s", show_default=True, help="How long that may take.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory for journal and reports.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
def watch(
    target: str, tokens: tuple[str, ...], token_files: tuple[Path, ...], bystanders: tuple[str, ...],
    bystander_files: tuple[Path, ...], seconds: float, after: float, bound: float, rate: float, surfaces: str | None,
    allow_submit: bool, video: str | None, refusals: tuple[int, ...], hosts: tuple[str, ...], given: str | None,
    server_clock: bool, command: str | None, revoke_timeout: float, out: Path | None, data: Path | None,
) -> None:  # fmt: skip
    """Watch a token being revoked by hand, and judge it.

    Tell when it is done with Enter, SIGUSR1, --revoked-at or --revoke-command; else the first refusal bounds it.
    """
    if given and command:
        raise click.UsageError("give either --revoked-at or --revoke-command")
    if server_clock and not given:
        raise click.UsageError("--server-clock goes with --revoked-at")
    if re.match(r"https?://[^/]+", target) is None:
        raise click.UsageError(f"--target {target!r} is no address; write https://gateway.example")
    if tokens or bystanders:
        click.echo(
            "leakdrill: tokens on a command line show in the list of processes; use a file or a variable", err=True
        )
    held = _bearers(tokens, token_files, TOKEN_VARIABLE, "watched")
    beside = _bearers(bystanders, bystander_files, BYSTANDER_VARIABLE, "bystander")
    if not held:
        raise click.UsageError(f"no token to watch: set {TOKEN_VARIABLE}, or give --token-file")
    if {each.accessor for each in held} & {each.accessor for each in beside}:
        raise click.UsageError("a token is both watched and a bystander's")
    plan = WatchPlan(
        target=target.rstrip("/").removesuffix("/v1"), tokens=held, bystanders=beside, seconds=seconds,
        after_seconds=after, bound_seconds=bound, rate=rate, surfaces=_surfaces(surfaces, allow_submit),
        submits=allow_submit, video=video, refusals=frozenset(refusals or (401,)), hosts=frozenset(hosts),
        command=_words(command), command_seconds=revoke_timeout,
        given=or_leave(lambda: read_time(given, datetime.now().astimezone())) if given else None,
        server_time=server_clock,
    )  # fmt: skip
    folder = out or settings_module.load(data=data).data / "reports" / f"watch-{time.strftime('%Y%m%d-%H%M%S')}"
    result = or_leave(lambda: asyncio.run(_session(plan, folder)))
    _tell(result)
    sys.exit(result.exit_code)


async def _session(plan: WatchPlan, out: Path) -> WatchResult:
    """The watch, with Ctrl-C to end it early and Enter or SIGUSR1 to say that it is done."""
    loop, stop, telling = asyncio.get_running_loop(), asyncio.Event(), Telling()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, telling.tell, "signal")
    asks = plan.command is None and plan.given is None
    how = f"; revoke now, then press Enter or send: kill -USR1 {os.getpid()}" if asks else ""
    show = _Line(f"watching {plan.target}{how}")
    with _enter(loop, lambda: telling.tell("key"), sys.stdin.isatty() and plan.command is None):
        result = await run_watch(plan, out=out, telling=telling, on_line=show, stop=stop)
    show.end()
    return result


@contextmanager
def _enter(loop: asyncio.AbstractEventLoop, pressed: Callable[[], None], wanted: bool) -> Any:
    """Call `pressed` for each line on standard input, where that is a terminal."""
    if not wanted:
        yield
        return

    def read() -> None:
        sys.stdin.readline()
        pressed()

    loop.add_reader(sys.stdin, read)
    try:
        yield
    finally:
        loop.remove_reader(sys.stdin)


class _Line:
    """The live line: in place on a terminal, else now and then a line, on standard error."""

    def __init__(self, first: str) -> None:
        self._first = first
        self._in_place = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, text: str) -> None:
        if self._first:
            click.echo(self._first, err=True)
            self._first = ""
        if self._in_place:
            click.echo(f"\r\x1b[2K{text}", nl=False, err=True)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + 5.0
            click.echo(text, err=True)

    def end(self) -> None:
        """Leave the line."""
        if self._in_place:
            click.echo("", err=True)


def _bearers(given: Sequence[str], files: Sequence[Path], variable: str, name: str) -> list[Bearer]:
    """Tokens from wherever they are, each once, under numbered names."""
    found = [*os.environ.get(variable, "").replace(",", " ").split(), *given]
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as exc:
            raise OperatorError(f"{path}: tokens cannot be read from it: {exc}") from exc
        found += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    secrets = list(dict.fromkeys(found))
    for number, secret in enumerate(secrets, start=1):
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise OperatorError(f"{name} token {number} holds characters that no bearer token has")
    return [bearer_of(secret, f"{name}-{number}") for number, secret in enumerate(secrets, start=1)]


def _surfaces(text: str | None, submits: bool) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in SURFACES]
    if unknown or not names:
        raise click.UsageError(f"--surfaces: {', '.join(unknown) or 'none'}; there are {', '.join(SURFACES)}")
    if "submit" in names and not submits:
        raise click.UsageError("--surfaces submit needs --allow-submit: an order may cost money")
    return list(dict.fromkeys(names))


def _words(command: str | None) -> list[str] | None:
    """The command's words, as a shell would split them; no shell runs it."""
    if command is None:
        return None
    try:
        words = shlex.split(command)
    except ValueError as exc:
        raise click.UsageError(f"--revoke-command: {exc}") from exc
    if not words:
        raise click.UsageError("--revoke-command is empty")
    return words


def _tell(result: WatchResult) -> None:
    click.echo(f"verdict: {result.verdict.replace('_', ' ')}")
    for reason in result.reasons:
        click.echo(f"  {one_line(reason)}")
    if result.error:
        click.echo(f"  {one_line(result.error)}", err=True)
    for path in result.paths.values():
        click.echo(path)
