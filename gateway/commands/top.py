"""`leakdrill top`: a gateway's `/metrics` in a terminal, drawn again each second; or once, as text or JSON."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import httpx

from gateway import settings as settings_module
from gateway.commands.control_client import read_admin_token
from gateway.commands.figures import Quantiles, Rates, Samples, Standing, rates, read, standing
from gateway.errors import OperatorError
from gateway.settings import Settings

AWAY = 3
HOME_AND_CLEAR = "\x1b[H\x1b[J"
TIMEOUT_SECONDS = 10.0


class GatewayAway(Exception):
    """Nobody answers, or not now; the message says where and why."""


@dataclass(frozen=True)
class Shown:
    """What a block is made of; `rates` is None after a first scrape."""

    url: str
    standing: Standing
    rates: Rates | None


class Source:
    """A gateway's `/metrics`. Where it wants the admin's token, it gets it."""

    def __init__(self, url: str, settings: Settings, admin_token: str | None) -> None:
        self._url = url.rstrip("/") + "/metrics"
        self._settings = settings
        self._token = admin_token
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)

    def scrape(self) -> Samples:
        """Raises GatewayAway, or OperatorError where asking again does not help."""
        answer = self._get()
        if answer.status_code == 401 and self._token is None:
            self._token = read_admin_token(self._settings)
            answer = self._get()
        if answer.status_code == 401:
            raise OperatorError(f"{self._url} is for the admin alone (LEAKDRILL_METRICS=admin), and refused this token")
        if answer.status_code == 404:
            raise OperatorError(f"{self._url} is not there; LEAKDRILL_METRICS is off, or this is no gateway")
        if answer.status_code != 200:
            raise GatewayAway(f"{self._url} answers {answer.status_code}")
        return read(answer.text, at=time.monotonic(), where=self._url)

    def _get(self) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            return self._http.get(self._url, headers=headers)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
            raise OperatorError(f"--url must be an address such as http://127.0.0.1:8000: {exc}") from exc
        except httpx.RequestError as exc:
            raise GatewayAway(f"no gateway answers at {self._url} ({exc})") from exc

    def close(self) -> None:
        """Lets the connection go."""
        self._http.close()


@click.command()
@click.option("--url", help="Gateway address [http://127.0.0.1:8000, or LEAKDRILL_PORT].")
@click.option(
    "--every", type=click.FloatRange(0.1, 3600), default=1.0, show_default=True, help="Seconds between looks."
)
@click.option("--once", is_flag=True, help="Look twice, print what went on between, and end; so it does when piped.")
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object, and end.")
@click.option("--admin-token", help="Admin bearer, where LEAKDRILL_METRICS=admin [the data directory's file].")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
def top(url: str | None, every: float, once: bool, as_json: bool, admin_token: str | None, data: Path | None) -> None:
    """Show what a gateway does, until Ctrl-C."""
    from gateway.commands.serve import stop_event

    settings, stop = settings_module.load(data=data), stop_event()
    url = url or f"http://127.0.0.1:{settings.port}"
    source = Source(url, settings, admin_token)
    try:
        first = source.scrape()
        if once or as_json or not sys.stdout.isatty():
            stop.wait(every)
            shown = _shown(url, first, source.scrape())
            click.echo(json.dumps(asdict(shown)) if as_json else "\n".join(block(shown)))
        else:
            _watch(source, url, first, every, stop)
    except GatewayAway as exc:
        click.echo(f"leakdrill: {exc}; start one with `leakdrill up`, or name it with --url", err=True)
        sys.exit(AWAY)
    finally:
        source.close()


def _watch(source: Source, url: str, first: Samples, every: float, stop: threading.Event) -> None:
    """Draws until told to stop; an outage is said above the last figures, and ends by itself."""
    shown, last = Shown(url, standing(first), None), first
    _draw(block(shown))
    while not stop.wait(every):
        try:
            now = source.scrape()
        except (GatewayAway, OperatorError) as exc:
            ago = time.monotonic() - last.at
            away = [
                f"GATEWAY AWAY for {duration(ago)}: {exc}",
                f"asking every {duration(every)}; these are the last figures:",
            ]
            _draw([*away, "", *block(shown)])
            continue
        shown, last = _shown(url, last, now), now
        _draw(block(shown))


def _shown(url: str, before: Samples, now: Samples) -> Shown:
    return Shown(url, standing(now), rates(before, now))


def _draw(lines: list[str]) -> None:
    columns, rows = shutil.get_terminal_size()
    sys.stdout.write(HOME_AND_CLEAR + "\n".join(line[:columns] for line in lines[: rows - 1]) + "\n")
    sys.stdout.flush()


def block(shown: Shown) -> list[str]:
    """The figures as lines of text."""
    stands, went = shown.standing, shown.rates
    state = "database up" if stands.database_up else "DATABASE AWAY"
    head = f"leakdrill {stands.version}  {stands.replica}  {shown.url}  {state}  gateways {count(stands.gateways)}"
    lines = [head + ("  ERRS ON PURPOSE" if stands.errs_on_purpose else "")]
    if stands.unread_events:
        lines.append(f"{'events':<10}{stands.unread_events:,} lines of the event list are still to be read")
    waiting = sum(stands.waiting.values()) if stands.waiting else None
    tiers = ", ".join(f"{tier} {count(value)}" for tier, value in sorted(stands.waiting.items()) if value)
    lines.append(
        f"{'line':<10}waiting {count(waiting)}{f' ({tiers})' if tiers else ''}  oldest "
        f"{duration(stands.oldest_waiting_seconds)}  in progress {count(stands.in_progress)} of {count(stands.slots)} "
        f"slots, {count(stands.workers)} workers  stalled {count(stands.stalled)}"
    )
    if went is not None:
        lines += _went(went)
    failed = "  ".join(f"{code} {count(value)}" for code, value in stands.failed.items() if value)
    lines += [
        f"{'ended':<10}completed {count(stands.completed)}  {failed}".rstrip(),
        f"{'tokens':<10}" + "  ".join(f"{state} {count(value)}" for state, value in stands.tokens.items()),
        f"{'revoked':<10}revocations {count(stands.revocations)}  tokens {count(stands.revoked_tokens)}  "
        f"late accepts {count(stands.late_accepts)}",
        f"{'owed':<10}webhooks {count(stands.webhooks_owed)}  security events {count(stands.signals_owed)}  "
        f"open streams {stands.open_streams}  events {count(stands.events)}",
    ]
    # What a gateway says of itself must not move the cursor.
    return ["".join(one if one.isprintable() else "?" for one in line) for line in lines]


def _went(went: Rates) -> list[str]:
    requests = sum(went.requests.values())
    return [
        f"{'jobs/s':<10}" + (_each(went.jobs, every=True) or "-"),
        f"{'wait':<10}{_spread(went.wait)}",
        f"{'run':<10}{_spread(went.run)}",
        f"{'http/s':<10}{requests:.1f}  {_each(went.requests)}  {_spread(went.latency)}",
        f"{'errors/s':<10}" + (_each(went.errors) or "0.0"),
        f"{'bearers/s':<10}" + (_each(went.bearers) or "0.0"),
    ]


def _each(values: dict[str, float], *, every: bool = False) -> str:
    return "  ".join(f"{name} {value:.1f}" for name, value in values.items() if every or value)


def _spread(of: Quantiles) -> str:
    return f"p50 {duration(of.p50)}  p95 {duration(of.p95)}  p99 {duration(of.p99)}"


def count(value: float | None) -> str:
    """A whole number with its thousands apart; a dash where it is not known."""
    return "-" if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Milliseconds below a second, minutes from two on."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
