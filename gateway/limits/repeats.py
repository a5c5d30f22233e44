"""The same request sent again, because its answer got lost, makes no second job.

Two ways to say that a request is a repetition: an `Idempotency-Key`, or the `x-stainless-retry-count` of OpenAI's
clients, which send no key (observed with openai 3.54 for Python) but count their attempts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.errors import IdempotencyKeyReused, InvalidRequest, StoreUnavailable
from gateway.store import Connection, Store, idempotency

log = logging.getLogger("leakdrill.gateway")

KEY_SECONDS = 24 * 3600.0
RETRY_SECONDS = 600.0
MAX_KEY = 255
NAMED, UNNAMED = "key ", "same "  # how the keys of rows begin


@dataclass(frozen=True)
class Attempt:
    """What tells a repetition from a new request: the row's `key`, a fingerprint of what is asked for, whether the
    caller named the key, and whether this may be a repetition at all."""

    key: str
    fingerprint: str
    named: bool
    repeated: bool


def attempt_of(
    headers: Iterable[tuple[bytes, bytes]], route: str, values: Mapping[str, Any], files: Mapping[str, Path]
) -> Attempt | None:
    """The attempt that a request's headers make of it; None for a client that neither names keys nor counts attempts,
    and which therefore pays nothing here.

    `headers` are as ASGI has them, `route` is the verb and path, `values` what was sent, before anything is drawn by
    chance. Reads the files. Raises InvalidRequest for a key that cannot be one.
    """
    key = count = None
    for name, value in headers:
        if name == b"idempotency-key":
            key = value.decode("latin-1")
        elif name == b"x-stainless-retry-count":
            count = value
    if key is not None:
        if not key or len(key) > MAX_KEY or not key.isprintable():
            raise InvalidRequest(
                f"An Idempotency-Key has 1 to {MAX_KEY} characters, none of them a control character.",
                param="Idempotency-Key",
                code="invalid_idempotency_key",
            )
        return Attempt(NAMED + key, fingerprint(route, values, files), named=True, repeated=True)
    if count is None:
        return None
    same = fingerprint(route, values, files)
    return Attempt(UNNAMED + same, same, named=False, repeated=count.isdigit() and count.strip(b"0") != b"")


def fingerprint(route: str, values: Mapping[str, Any], files: Mapping[str, Path]) -> str:
    """SHA-256, hexadecimal, over route, fields and the files' content. Forms and JSON differ in the types of values,
    but one client sends one of them."""
    content = {}
    for name, path in sorted(files.items()):
        with path.open("rb") as file:
            content[name] = hashlib.file_digest(file, "sha256").hexdigest()
    asked = json.dumps([route, values, content], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()


def earlier_job(tx: Connection, accessor: str, attempt: Attempt, *, now: float) -> str | None:
    """The id of the job that the same request made before; raises IdempotencyKeyReused where the key stands for
    another one. A request that cannot be a repetition costs no query."""
    if not attempt.repeated:
        return None
    made = idempotency.get(tx, accessor, attempt.key, now=now)
    if made is None:
        return None
    if attempt.named and made.fingerprint != attempt.fingerprint:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used for another request within the last 24 hours. Send a new key with a new "
            "request, and the same key only with the very same one.",
            param="Idempotency-Key",
            headers={"x-should-retry": "false"},
        )
    return made.job


def remember(tx: Connection, accessor: str, attempt: Attempt, job: str, *, now: float) -> None:
    """Notes which job this request made, in the transaction that makes it."""
    # Where the caller names no key, the key is the fingerprint; a shorter row is a cheaper one.
    kept_print, keep = (attempt.fingerprint, KEY_SECONDS) if attempt.named else ("", RETRY_SECONDS)
    idempotency.put(tx, idempotency.Made(accessor, attempt.key, kept_print, job, now, now + keep))


def begins_anew(scope: Mapping[str, Any]) -> bool:
    """Whether a request is a first attempt, by a client that counts them and names no key. Where it is refused, the
    attempts that follow are of it, and not of the same request that may have been accepted a while before."""
    if scope["method"] != "POST":
        return False
    counted = False
    for name, value in scope["headers"]:
        if name == b"idempotency-key":
            return False
        counted = counted or (name == b"x-stainless-retry-count" and value == b"0")
    return counted


async def forget_unnamed(store: Store, accessor: str) -> None:
    """Forgets what a token's first attempts made, keys aside: which of them was refused just now is not known, since
    most refusals come before the body is read. Costs a read where there is nothing to forget."""
    try:
        if await store.read(lambda tx: idempotency.any_under(tx, accessor, UNNAMED)):
            await store.write(lambda tx: idempotency.delete_under(tx, accessor, UNNAMED), brief=True)
    except StoreUnavailable as exc:
        log.warning("action=old_requests_not_dropped reason=%s", exc)


async def drop_old(store: Store, *, now: float) -> int:
    """Forgets the requests that nobody may repeat any more; the number of them."""
    return await store.write(lambda tx: idempotency.delete_old(tx, now))


async def run(store: Store, clock: Clock, every: float = RETRY_SECONDS) -> None:
    """Drops what is old for ever; cancel it. What is old is not honoured anyway, so a missed round costs space only."""
    while True:
        await asyncio.sleep(every)
        try:
            await drop_old(store, now=clock.now())
        except StoreUnavailable as exc:
            log.warning("action=old_requests_not_dropped reason=%s", exc)
