"""Restoration rows: tokens that come back in batches, which of them have, and what looking at each batch said.

A batch is taken by a conditional update on the number of batches before it, in the transaction that brings its tokens
back. So two gateways never run the same one, and one whose gateway was ended has happened wholly or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from gateway.store.protocol import Connection, Row
from gateway.store.tokens import TokenState


class RestorationState(StrEnum):
    """How a restoration stands. Only a running one brings anything back."""

    RUNNING = "running"
    DONE = "done"  # every batch came back and was found accepted
    HALTED = "halted"  # by itself, and says why
    STOPPED = "stopped"  # by an operator


@dataclass(frozen=True)
class Restoration:
    """One restoration. `size` is a batch's most tokens, `interval` the least seconds between two batches, `brought` the
    number of batches so far. `next_at` is when the next one is due and `thaw` whether the end lifts a mint freeze.
    Times are Unix seconds."""

    id: str
    selector: dict[str, object]
    reason: str
    actor: str
    target: TokenState
    thaw: bool
    over_seconds: float
    size: int
    interval: float
    requested_at: float
    state: RestorationState
    because: str | None
    brought: int
    next_at: float
    ended_at: float | None


@dataclass(frozen=True)
class RestoredItem:
    """One token: `waiting` for its batch, `restored`, `already` as mild as was asked for, `final` (revoked or expired),
    or `failed` where its row did not change although it should have. `verified` says whether it was found accepted
    afterwards, None where that is still to be seen; `why` says why not."""

    accessor: str
    principal: str
    cohort: str
    outcome: str
    batch: int | None = None
    verified: bool | None = None
    why: str | None = None


@dataclass(frozen=True)
class Batch:
    """Tokens that came back together at `at`; `verified` is None until they were looked at, at `checked_at`."""

    number: int
    at: float
    tokens: int
    verified: bool | None
    checked_at: float | None


def insert(tx: Connection, restoration: Restoration, items: Iterable[RestoredItem]) -> None:
    """Adds the row and its items, in the order in which they come back."""
    tx.execute(
        "INSERT INTO restorations (id, selector, reason, actor, target, thaw, over_seconds, size, interval, "
        "requested_at, state, because, brought, next_at, ended_at) VALUES (:id, :selector, :reason, :actor, :target, "
        ":thaw, :over_seconds, :size, :interval, :requested_at, :state, :because, :brought, :next_at, :ended_at)",
        {
            **vars(restoration),
            "selector": json.dumps(restoration.selector),
            "target": str(restoration.target),
            "state": str(restoration.state),
        },
    )
    for number, item in enumerate(items):
        tx.execute(
            "INSERT INTO restoration_items (restoration, number, accessor, principal, cohort, outcome) "
            "VALUES (:restoration, :number, :accessor, :principal, :cohort, :outcome)",
            {
                "restoration": restoration.id,
                "number": number,
                "accessor": item.accessor,
                "principal": item.principal,
                "cohort": item.cohort,
                "outcome": item.outcome,
            },
        )


def get(tx: Connection, id: str) -> Restoration | None:
    """The row that `id` names."""
    row = tx.fetch_one("SELECT * FROM restorations WHERE id = :id", {"id": id})
    return _restoration(row) if row else None


def running(tx: Connection) -> Restoration | None:
    """The one that runs: there is one at the most."""
    row = tx.fetch_one("SELECT * FROM restorations WHERE state = 'running' LIMIT 1")
    return _restoration(row) if row else None


def items(tx: Connection, id: str) -> list[RestoredItem]:
    """Every token that was meant, in the order in which they come back."""
    rows = tx.fetch_all(
        "SELECT accessor, principal, cohort, outcome, batch, verified, why FROM restoration_items "
        "WHERE restoration = :id ORDER BY number",
        {"id": id},
    )
    return [RestoredItem(**{**dict(row), "verified": _said(row["verified"])}) for row in rows]


def waiting(tx: Connection, id: str, limit: int) -> list[str]:
    """The accessors that come back next; at most `limit`."""
    rows = tx.fetch_all(
        "SELECT accessor FROM restoration_items WHERE restoration = :id AND outcome = 'waiting' "
        "ORDER BY number LIMIT :limit",
        {"id": id, "limit": limit},
    )
    return [row["accessor"] for row in rows]


def batches(tx: Connection, id: str) -> list[Batch]:
    """Those that came back, in order."""
    rows = tx.fetch_all(
        "SELECT number, at, tokens, verified, checked_at FROM restoration_batches WHERE restoration = :id "
        "ORDER BY number",
        {"id": id},
    )
    return [Batch(row["number"], row["at"], row["tokens"], _said(row["verified"]), row["checked_at"]) for row in rows]


def unverified(tx: Connection, id: str) -> int | None:
    """The number of the batch that nobody has looked at yet: there is one at the most."""
    row = tx.fetch_one(
        "SELECT number FROM restoration_batches WHERE restoration = :id AND verified IS NULL LIMIT 1", {"id": id}
    )
    return row["number"] if row else None


def take_batch(tx: Connection, restoration: Restoration, *, now: float) -> bool:
    """Takes the next batch, if it is due, nobody else has it and the one before was looked at."""
    return bool(
        tx.execute(
            "UPDATE restorations SET brought = brought + 1, next_at = :now + interval "
            "WHERE id = :id AND state = 'running' AND brought = :brought AND next_at <= :now AND NOT EXISTS ("
            "SELECT 1 FROM restoration_batches WHERE restoration = :id AND verified IS NULL)",
            {"id": restoration.id, "brought": restoration.brought, "now": now},
        )
    )


def add_batch(tx: Connection, id: str, number: int, outcomes: Iterable[tuple[str, str]], *, at: float) -> None:
    """Notes a batch and the outcome of each of its (accessor, outcome) pairs."""
    pairs = list(outcomes)
    tx.execute(
        "INSERT INTO restoration_batches (restoration, number, at, tokens) VALUES (:id, :number, :at, :tokens)",
        {"id": id, "number": number, "at": at, "tokens": sum(outcome == "restored" for _, outcome in pairs)},
    )
    for accessor, outcome in pairs:
        tx.execute(
            "UPDATE restoration_items SET outcome = :outcome, batch = :number "
            "WHERE restoration = :id AND accessor = :accessor",
            {"id": id, "number": number, "accessor": accessor, "outcome": outcome},
        )


def in_batch(tx: Connection, id: str, number: int) -> list[tuple[str, str]]:
    """The (accessor, outcome) pairs of a batch, those left out that needed nothing."""
    rows = tx.fetch_all(
        "SELECT accessor, outcome FROM restoration_items WHERE restoration = :id AND batch = :number "
        "AND outcome IN ('restored', 'failed') ORDER BY number",
        {"id": id, "number": number},
    )
    return [(row["accessor"], row["outcome"]) for row in rows]


def set_verified(tx: Connection, id: str, number: int, reasons: dict[str, str | None], *, at: float) -> bool:
    """Notes what looking at a batch said: for each accessor why it is not accepted, or None. False where somebody has
    looked before."""
    changed = tx.execute(
        "UPDATE restoration_batches SET verified = :verified, checked_at = :at "
        "WHERE restoration = :id AND number = :number AND verified IS NULL",
        {"id": id, "number": number, "verified": not any(reasons.values()), "at": at},
    )
    for accessor, why in reasons.items() if changed else ():
        tx.execute(
            "UPDATE restoration_items SET verified = :verified, why = :why "
            "WHERE restoration = :id AND accessor = :accessor",
            {"id": id, "accessor": accessor, "verified": why is None, "why": why},
        )
    return bool(changed)


def end(tx: Connection, id: str, state: RestorationState, *, because: str | None, at: float) -> bool:
    """Ends the restoration; False where it does not run any more."""
    return bool(
        tx.execute(
            "UPDATE restorations SET state = :state, because = :because, ended_at = :at "
            "WHERE id = :id AND state = 'running'",
            {"id": id, "state": str(state), "because": because, "at": at},
        )
    )


def came_back(tx: Connection, id: str, accessor: str) -> float | None:
    """When this restoration brought the token back, Unix seconds; None where it did not."""
    row = tx.fetch_one(
        "SELECT batches.at FROM restoration_items AS items JOIN restoration_batches AS batches "
        "ON batches.restoration = items.restoration AND batches.number = items.batch "
        "WHERE items.restoration = :id AND items.accessor = :accessor AND items.outcome = 'restored'",
        {"id": id, "accessor": accessor},
    )
    return row["at"] if row else None


def delete_all(tx: Connection) -> int:
    """Forgets every restoration; only a reset does this."""
    tx.execute("DELETE FROM restoration_items")
    tx.execute("DELETE FROM restoration_batches")
    return tx.execute("DELETE FROM restorations")


def _said(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _restoration(row: Row) -> Restoration:
    fields = dict(row)
    fields["selector"] = json.loads(row["selector"])
    fields["target"] = TokenState(row["target"])
    fields["state"] = RestorationState(row["state"])
    fields["thaw"] = bool(row["thaw"])
    return Restoration(**fields)
