"""`leakdrill disclose`: reports tokens as leaked, signed as a scanner's partner programme signs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
import httpx

from gateway import settings as settings_module
from gateway.commands.reporter import KeyPair, Reporter, load_reporter, new_pair, publish
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
    target: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Report each TOKEN as leaked. Exit code 0: all accepted, 1: refused, 2: bad usage."""
    if forge and retired_key:
        raise click.UsageError("--forge and --retired-key exclude each other")
    body = _body(tokens, url, source, batch)
    if body is None and not rotate:
        raise click.UsageError("name a TOKEN, or a file with --batch")
    settings = settings_module.load(data=data)
    reporter = load_reporter(settings)
    reporter = reporter.rotated() if rotate else reporter
    reporter = reporter.with_retired() if retired_key else reporter
    publish(settings, reporter)
    if rotate and not as_json:
        click.echo(f"signing with {reporter.current.identifier} from now on; {len(reporter.retired)} retired")
    if body is None:
        return
    headers = _signed(body, _pair(reporter, forge=forge, retired=retired_key))
    address = target or f"http://127.0.0.1:{settings.port}"
    with httpx.Client(base_url=address, timeout=60.0, trust_env=False) as http:
        answers = [_send(http, address, body, headers) for _ in range(repeat)]
    if as_json:
        click.echo(json.dumps([{"status": one.status_code, "answer": _content(one)} for one in answers]))
    else:
        for one in answers:
            click.echo(_words(one))
    sys.exit(0 if all(one.is_success for one in answers) else 1)


def _body(tokens: tuple[str, ...], url: str, source: str, batch: Any) -> bytes | None:
    if batch is None and not tokens:
        return None
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
