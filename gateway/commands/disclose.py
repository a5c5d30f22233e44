"""`leakdrill disclose`: reports tokens as leaked, signed as a scanner's partner programme signs."""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import click
import httpx

from gateway import settings as settings_module
from gateway.clock import SystemClock
from gateway.commands.courier import Outage, Refused, Surroundings, deliver
from gateway.commands.reporter import KeyPair, Reporter, load_reporter, new_pair, publish
from gateway.commands.spool import Spool
from gateway.errors import OperatorError

PATH = "/disclosures/github"
TOKEN_TYPE = "leakdrill_access_token"  # noqa: S105  the programme's name of a kind of token


@click.command()
@click.argument("tokens", nargs=-1, metavar="TOKEN…")
@click.option("--url", default="", help="Where the tokens were found [nowhere in particular].")
@click.option("--source", default="content", show_default=True, help="What they were found in: content, commit, …")
@click.option("--batch", type=click.File("rb"), help="JSON array of notices, or a token a line (- for standard input).")
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, show_default=True, help="Send it so many times.")
@click.option("--forge", is_flag=True, help="Sign with another key than the one that is named.")
@click.option("--retired-key", is_flag=True, help="Sign with a key that is no longer current.")
@click.option("--rotate", is_flag=True, help="Make a new key first; the present one is retired.")
@click.option("--max-batch", type=click.IntRange(1), default=1000, show_default=True, help="Notices in one batch.")
@click.option("--for", "for_seconds", type=click.FloatRange(0), help="Try so many seconds where it is not taken.")
@click.option("--outage", type=click.FloatRange(0), help="Be down for so many seconds, then send what waits, late.")
@click.option("--outage-after", type=click.IntRange(1), default=1, show_default=True, help="Batches before the outage.")
@click.option("--resume", is_flag=True, help="Send what a reporter that was stopped has left.")
@click.option("--gateway", "--target", "target", help="Gateway address [http://127.0.0.1:8000].")
@click.option("--data", type=click.Path(path_type=Path), help="The gateway's data directory [LEAKDRILL_DATA].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def disclose(
    tokens: tuple[str, ...],
    url: str,
    source: str,
    batch: Any,
    repeat: int,
    forge: bool,
    retired_key: bool,
    rotate: bool,
    max_batch: int,
    for_seconds: float | None,
    outage: float | None,
    outage_after: int,
    resume: bool,
    target: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Report each TOKEN as leaked. With --for, --outage or --resume, what was found is kept until it is taken.

    Exit code 0: all accepted, 1: refused or stopped, 2: bad usage, or not taken in time.
    """
    kept = resume or for_seconds is not None or outage is not None
    if forge and retired_key:
        raise click.UsageError("--forge and --retired-key exclude each other")
    if kept and (forge or retired_key or repeat > 1):
        raise click.UsageError("--for, --outage and --resume exclude --forge, --retired-key and --repeat")
    notices = _notices(tokens, url, source, batch)
    if not notices and not rotate and not resume:
        raise click.UsageError("name a TOKEN, or a file with --batch")
    settings = settings_module.load(data=data)
    reporter = load_reporter(settings)
    reporter = reporter.rotated() if rotate else reporter
    reporter = reporter.with_retired() if retired_key else reporter
    publish(settings, reporter)
    if rotate and not as_json:
        click.echo(f"signing with {reporter.current.identifier} from now on; {len(reporter.retired)} retired")
    if not notices and not resume:
        return
    bodies = [_body(notices[start : start + max_batch]) for start in range(0, len(notices), max_batch)]
    pair = _pair(reporter, forge=forge, retired=retired_key)
    address = target or f"http://127.0.0.1:{settings.port}"
    with httpx.Client(base_url=address, timeout=60.0, trust_env=False) as http:
        if kept:
            down = None if outage is None else Outage(outage, outage_after)
            answers = _deliver(http, pair, Spool(settings.data), bodies, for_seconds or 0.0, down)
        else:
            headers = [_signed(body, pair) for body in bodies]
            answers = [_send(http, address, *one) for one in zip(bodies, headers, strict=True) for _ in range(repeat)]
    if as_json:
        click.echo(json.dumps([{"status": one.status_code, "answer": _content(one)} for one in answers]))
    else:
        for one in answers:
            click.echo(_words(one))
    sys.exit(0 if all(one.is_success for one in answers) else 1)


def _deliver(
    http: httpx.Client, pair: KeyPair, spool: Spool, bodies: list[bytes], for_seconds: float, outage: Outage | None
) -> list[httpx.Response]:
    """Keeps the batches, then sends whatever is kept. Whoever breaks that off can resume it."""
    for body in bodies:
        spool.add(body)
    around = Surroundings(SystemClock(), time.sleep, random.Random())
    told = partial(click.echo, err=True)
    try:
        return deliver(
            spool,
            lambda body: http.post(PATH, content=body, headers=_signed(body, pair)),
            around,
            for_seconds=for_seconds,
            outage=outage,
            told=told,
        )
    except Refused as exc:
        told(f"{len(spool)} batches stay in {spool.path}; mend what is wrong and --resume, or delete the first of them")
        return [exc.answer]
    except KeyboardInterrupt:
        told(f"stopped; {len(spool)} batches stay in {spool.path}, and `leakdrill disclose --resume` sends them")
        sys.exit(1)
    except httpx.InvalidURL as exc:
        raise OperatorError(f"{http.base_url} is no address of a gateway: {exc}") from exc
    except OperatorError as exc:
        kept = f"{len(spool)} batches stay in {spool.path}; `leakdrill disclose --resume --for SECONDS` sends them"
        raise OperatorError(f"{exc}; {kept}") from exc


def _notices(tokens: tuple[str, ...], url: str, source: str, batch: Any) -> list[Any]:
    if batch is None and not tokens:
        return []
    named = list(tokens)
    notices: list[Any] = []
    if batch is not None:
        text = batch.read()
        if text.lstrip().startswith(b"["):
            try:
                notices = json.loads(text)
            except (ValueError, RecursionError) as exc:
                raise OperatorError(f"{batch.name} is no JSON array of notices: {exc}") from exc
        else:
            try:
                named += text.decode().split()
            except UnicodeDecodeError as exc:
                raise OperatorError(f"{batch.name} is not text: {exc}") from exc
    notices = [*notices, *({"token": one, "type": TOKEN_TYPE, "url": url, "source": source} for one in named)]
    if not notices:
        raise OperatorError(f"{batch.name} names no token")
    return notices


def _body(notices: list[Any]) -> bytes:
    return json.dumps(notices, separators=(",", ":")).encode()


def _pair(reporter: Reporter, *, forge: bool, retired: bool) -> KeyPair:
    if forge:
        return KeyPair(reporter.current.identifier, new_pair().secret)
    return reporter.retired[0] if retired else reporter.current


def _signed(body: bytes, pair: KeyPair) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "Github-Public-Key-Identifier": pair.identifier,
        "Github-Public-Key-Signature": pair.sign(body),
    }


def _send(http: httpx.Client, address: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    try:
        return http.post(PATH, content=body, headers=headers)
    except (httpx.TransportError, httpx.InvalidURL) as exc:
        raise OperatorError(
            f"no gateway answers at {address} ({exc}); start one with `leakdrill up`, or name it with --gateway"
        ) from exc


def _content(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content else None
    except ValueError:
        return answer.text[:500]


def _words(answer: httpx.Response) -> str:
    content = _content(answer)
    if not answer.is_success:
        error = content.get("error") if isinstance(content, dict) else None
        reason = f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else str(content)[:200]
        return f"refused (HTTP {answer.status_code}) {reason}"
    if not isinstance(content, list):
        return f"accepted (HTTP {answer.status_code}); the receiver does not tell the outcome"
    labels = Counter(one["label"] for one in content)
    lines = [f"  {one['token_hash'][:16]}…  {one['label']}" for one in content[:20]]
    lines += [f"  and {len(content) - 20} more"] if len(content) > 20 else []
    counts = f"{labels['true_positive']} true, {labels['false_positive']} false positives"
    return "\n".join([f"accepted (HTTP {answer.status_code}): {counts}", *lines])
