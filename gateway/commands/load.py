"""`leakdrill load`: writes the order, starts the load test as a process of its own, and passes its exit code on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TypeVar

import click
from pydantic import SecretStr, ValidationError

from gateway import extras
from gateway import settings as settings_module
from gateway.commands.control_client import read_admin_token
from gateway.errors import OperatorError
from gateway.settings import Settings
from gateway.supervisor import Supervisor, free_port, program
from loadtest.errors import LoadError
from loadtest.order import Order, words_of
from loadtest.shape import Shape, Thresholds, list_shapes, load_shape

T = TypeVar("T")

BEARER = re.compile(r"[!-~]+")
LONGEST_SECONDS = 86_400
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
# What belongs to the one who plans, and says nothing to a worker.
WORKERS_OWN = {"role", "master_host", "master_port", "data"}


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Seconds of a number with s, m, h or nothing behind it. Only the drain may be none."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(s|m|h|)", value)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not found or seconds > LONGEST_SECONDS or (seconds == 0 and param.name == "duration"):
        raise click.BadParameter(f"{value!r} is not a duration up to a day, such as 60s, 5m or 1h")
    return seconds


def _show_shapes(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        for name in list_shapes():
            click.echo(f"{name:<20}{load_shape(name).title}")
        ctx.exit()


@click.command()
@click.option("--shape", default="steady", show_default=True, help="A name from --list, or a YAML file.")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_show_shapes, help="List the shapes.")
@click.option(
    "--users", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Most sessions at a time."
)
@click.option("--rate", type=click.FloatRange(0, 100_000, min_open=True), help="Sessions/s at the peak [from --users].")
@click.option("--duration", callback=_seconds, default="60s", show_default=True, help="How long sessions come.")
@click.option(
    "--drain", callback=_seconds, default="15s", show_default=True, help="How long they may go on after that."
)
@click.option("--target", help="A running gateway; without it the load test starts its own and throws it away.")
@click.option(
    "--admin-token-file", type=click.Path(path_type=Path), help="The target's admin token [the data directory's]."
)
@click.option("--token", "tokens", multiple=True, help="For a target without /control: a token. May be given again.")
@click.option("--token-file", type=click.Path(path_type=Path), help="The same, one a line.")
@click.option("--seed", type=click.IntRange(min=0), default=20241126, show_default=True, help="For arrivals and users.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Directory for the reports [reports/ of the data directory]."
)
@click.option("--workers", type=click.IntRange(1, 64), help="Workers of the load test's own gateway [2].")
@click.option("--warm-up/--no-warm-up", default=True, help="Whether one video of each kind is made before.")
@click.option(
    "--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that make the load."
)
@click.option("--role", type=click.Choice(["local", "master", "worker"]), default="local", help="On several machines.")
@click.option("--master-host", default="127.0.0.1", show_default=True, help="Where the master listens, or is found.")
@click.option("--master-port", type=click.IntRange(1, 65_535), help="Its port [5557].")
@click.option("--max-error-rate", type=click.FloatRange(0, 1), help="Share of calls that may fail [the shape's].")
@click.option("--max-poll-p99-ms", type=click.FloatRange(0, min_open=True), help="[the shape's]")
@click.option("--max-submit-p99-ms", type=click.FloatRange(0, min_open=True), help="[the shape's]")
@click.option("--max-late-accepts", type=click.IntRange(0), help="Requests after the revocation [the shape's].")
@click.option(
    "--max-held-back", type=click.FloatRange(0, 1), help="Share of arrivals that found no free user [the shape's]."
)
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
@click.pass_context
def load(ctx: click.Context, /, **given: object) -> None:
    """Load-test the queue with users that behave as the openai client does; the verdict is the exit code."""
    extras.ensure("load", "the load test")
    chosen = _Chosen(ctx)
    if chosen.role == "worker":
        _refuse_others(ctx)
        host, port = chosen.master_host, chosen.master_port or 5557
        sys.exit(_child(["--worker", "--host", host, "--port", str(port)]))
    sys.exit(_lead(chosen))


class _Chosen:
    """The options, by name and type."""

    def __init__(self, ctx: click.Context) -> None:
        values = ctx.params
        self.shape: str = values["shape"]
        self.users: int = values["users"]
        self.rate: float | None = values["rate"]
        self.duration: float = values["duration"]
        self.drain: float = values["drain"]
        self.target: str | None = values["target"]
        self.admin_token_file: Path | None = values["admin_token_file"]
        self.tokens: tuple[str, ...] = values["tokens"]
        self.token_file: Path | None = values["token_file"]
        self.seed: int = values["seed"]
        self.out: Path | None = values["out"]
        self.workers: int | None = values["workers"]
        self.warm_up: bool = values["warm_up"]
        self.processes: int = values["processes"]
        self.role: str = values["role"]
        self.master_host: str = values["master_host"]
        self.master_port: int | None = values["master_port"]
        self.settings: Settings = settings_module.load(data=values["data"])
        self.thresholds = {name: values[name] for name in Thresholds.model_fields if values.get(name) is not None}

    def loaded_shape(self) -> Shape:
        """The shape, with the thresholds that the command line has."""
        shape = _usable(lambda: load_shape(self.shape))
        try:
            thresholds = Thresholds.model_validate({**shape.thresholds.model_dump(), **self.thresholds})
        except ValidationError as error:
            raise OperatorError(words_of(error)) from error
        return shape.model_copy(update={"thresholds": thresholds})

    def given_tokens(self) -> list[str]:
        """For a target without /control."""
        lines = _text(self.token_file).split() if self.token_file else []
        found = [*self.tokens, *lines]
        if self.token_file and not lines:
            raise OperatorError(f"{self.token_file} holds no token")
        if not all(BEARER.fullmatch(token) for token in found):
            raise OperatorError("a token is one word of plain characters; --token or --token-file has something else")
        return found


def _lead(chosen: _Chosen) -> int:
    """The exit code of a load test that is planned here."""
    shape = chosen.loaded_shape()
    tokens = chosen.given_tokens()
    if chosen.target is None:
        for name, value in (("--token", tokens), ("--admin-token-file", chosen.admin_token_file)):
            if value:
                raise click.UsageError(f"{name} goes with --target; the load test's own gateway has its own")
        if chosen.role == "master":
            raise click.UsageError("--role master goes with --target: the own gateway is for this machine alone")
        # What does not fit is told before a gateway is started; that then fills in what it alone knows.
        order = _order(chosen, shape, "http://127.0.0.1", "its own", [])
        with own_gateway(chosen.workers or 2) as supervisor:
            own = {"target": supervisor.gateway_url, "admin_token": SecretStr(supervisor.admin_token)}
            return _play(order.model_copy(update=own), supervisor.tend)
    if chosen.workers is not None:
        raise click.UsageError("--workers is for the load test's own gateway; a target has those that it has")
    if tokens and chosen.admin_token_file:
        raise click.UsageError("--token is for a target without /control, --admin-token-file for one that has it")
    admin = None
    if not tokens:
        file = chosen.admin_token_file
        admin = _text(file).strip() if file else read_admin_token(chosen.settings)
        if not BEARER.fullmatch(admin):
            raise OperatorError(f"{file or 'LEAKDRILL_ADMIN_TOKEN'} does not hold an admin token, which is one word")
    return _play(_order(chosen, shape, chosen.target, admin, tokens), None)


def _order(chosen: _Chosen, shape: Shape, target: str, admin: str | None, tokens: list[str]) -> Order:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    out = chosen.out or chosen.settings.data / "reports" / f"load-{shape.name}-{stamp}"
    _ensure_writable(out)
    try:
        return Order.model_validate(
            {
                "role": chosen.role,
                "target": target,
                "admin_token": admin,
                "tokens": tokens,
                "shape": shape,
                "users": chosen.users,
                "rate": chosen.rate,
                "seconds": chosen.duration,
                "drain_seconds": chosen.drain,
                "seed": chosen.seed,
                "warm_up": chosen.warm_up,
                "own_gateway": chosen.target is None,
                "processes": chosen.processes,
                "listen_host": chosen.master_host,
                "listen_port": chosen.master_port or (5557 if chosen.role == "master" else free_port()),
                "out": out.resolve(),
            }
        )
    except ValidationError as error:
        raise OperatorError(words_of(error)) from error


def _play(order: Order, tend: Callable[[], None] | None) -> int:
    """Hands the order over in a file that only this user can read, and that the load test removes."""
    with tempfile.TemporaryDirectory(prefix="leakdrill-load-") as folder:
        path = Path(folder) / "order.json"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(order.model_dump_json())
        return _child([str(path)], tend)


def _child(arguments: list[str], tend: Callable[[], None] | None = None) -> int:
    """Runs the load test; Ctrl-C and SIGTERM ask it to end early, with a summary of what it has."""
    process = subprocess.Popen(program("loadtest", *arguments), stdin=subprocess.DEVNULL, start_new_session=True)

    def forward(number: int, _frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _wait(process, tend)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], tend: Callable[[], None] | None) -> int:
    """The exit code; 4 where a signal ended it."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(0.5)
            return code if code >= 0 else 4
        if tend is not None:
            try:
                tend()
            except OperatorError as error:  # the load test will find that nobody answers, and tell what it has
                click.echo(f"leakdrill: {error}", err=True)
                tend = None


@contextmanager
def own_gateway(workers: int) -> Iterator[Supervisor]:
    """A gateway in a temporary directory, on a free port, that repeats its renders."""
    with tempfile.TemporaryDirectory(prefix="leakdrill-") as folder:
        settings = settings_module.load(data=Path(folder), port=free_port(), admin_token="", database_url="")
        with Supervisor(settings.model_copy(update={"render": "cached"})) as supervisor:
            supervisor.start(workers=workers, page=False)
            yield supervisor


def _refuse_others(ctx: click.Context) -> None:
    """A worker gets everything from its master."""
    for name in ctx.params:
        source = ctx.get_parameter_source(name)
        if name not in WORKERS_OWN and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is the master's to say; a worker takes --master-host")


def _ensure_writable(out: Path) -> None:
    """Before minutes are spent on measuring."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"cannot write to {out}: {error.strerror}; choose another with --out") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise OperatorError(f"cannot write to {out}; choose another with --out")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OperatorError(f"{path} cannot be read: {reason}") from error


def _usable(action: Callable[[], T]) -> T:
    """The action's result; what is wrong with a shape is told as the program tells everything."""
    try:
        return action()
    except LoadError as error:
        raise OperatorError(str(error)) from error
