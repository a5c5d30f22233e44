"""Accounts of credits: what was granted, is held for videos under way, was spent and given back.

An account belongs to the token that it was issued with, and what that token mints draws on it too. The rows change in
the transaction that makes or ends a job; the table itself refuses a figure below zero, or more than was granted.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.job import JobStatus
from gateway.store.protocol import Connection
from gateway.store.tokens import TokenFilter


@dataclass(frozen=True)
class Account:
    """`id` is its token's accessor. `reserved` is held for videos that have not ended, `released` the sum of what was
    held and given back."""

    id: str
    granted: int
    reserved: int
    spent: int
    released: int
    created_at: float

    @property
    def available(self) -> int:
        """What may still be reserved."""
        return self.granted - self.reserved - self.spent


@dataclass(frozen=True)
class Entry:
    """An account, and the same figures as the job rows have them. `strays` are jobs of its tokens that are booked on no
    account, or on another."""

    account: Account
    principal: str
    cohort: str
    reserved: int
    spent: int
    released: int
    strays: int

    @property
    def balanced(self) -> bool:
        """Whether both say the same, and nobody has more than was granted."""
        ledger = (self.account.reserved, self.account.spent, self.account.released)
        sound = min(*ledger, self.account.available) >= 0 and not self.strays
        return sound and ledger == (self.reserved, self.spent, self.released)


def open_account(tx: Connection, id: str, granted: int, *, at: float) -> None:
    """Adds an account; before its token, which refers to it."""
    tx.execute(
        "INSERT INTO credit_accounts (id, granted, created_at) VALUES (:id, :granted, :at)",
        {"id": id, "granted": granted, "at": at},
    )


def get(tx: Connection, id: str) -> Account | None:
    """One account."""
    row = tx.fetch_one("SELECT * FROM credit_accounts WHERE id = :id", {"id": id})
    return Account(**dict(row)) if row else None


def reserve(tx: Connection, id: str, job: str, credits: int) -> bool:
    """Holds credits for a new job; False, and nothing, where fewer are left."""
    held = tx.execute(
        "UPDATE credit_accounts SET reserved = reserved + :credits "
        "WHERE id = :id AND granted - reserved - spent >= :credits",
        {"id": id, "credits": credits},
    )
    if held:
        tx.execute(
            "UPDATE jobs SET account = :id, credits = :credits WHERE id = :job",
            {"id": id, "credits": credits, "job": job},
        )
    return bool(held)


def capture(tx: Connection, id: str, credits: int) -> None:
    """What was held for a job that is completed is spent."""
    tx.execute(
        "UPDATE credit_accounts SET reserved = reserved - :credits, spent = spent + :credits WHERE id = :id",
        {"id": id, "credits": credits},
    )


def release(tx: Connection, id: str, credits: int) -> None:
    """What was held for a job that ended without a clip is given back."""
    tx.execute(
        "UPDATE credit_accounts SET reserved = reserved - :credits, released = released + :credits WHERE id = :id",
        {"id": id, "credits": credits},
    )


# `account IN` lets SQLite take the index of metered jobs, so that a hundred thousand others are not looked at.
_HELD = (
    "SELECT account, sum(credits) AS credits FROM jobs WHERE account IN (SELECT id FROM credit_accounts) "
    "AND status = :job_status AND accessor IN (SELECT accessor FROM tokens WHERE {tree}) GROUP BY account"
)


def held(tx: Connection, which: TokenFilter, status: JobStatus) -> int:
    """Credits that are held for the jobs in `status` of the tokens that match and of whatever those minted."""
    row = tx.fetch_one(
        f"SELECT sum(credits) AS credits FROM ({_HELD.format(tree=which.tree())}) AS held",
        {**which.params(), "job_status": str(status)},
    )
    return (row["credits"] or 0) if row else 0


def release_held(tx: Connection, which: TokenFilter, status: JobStatus) -> int:
    """Gives back what `held` counts, in one statement however many jobs there are; to be called before they end."""
    credits = held(tx, which, status)
    if credits:
        tx.execute(
            "UPDATE credit_accounts SET reserved = reserved - freed.credits, released = released + freed.credits "
            f"FROM ({_HELD.format(tree=which.tree())}) AS freed WHERE credit_accounts.id = freed.account",
            {**which.params(), "job_status": str(status)},
        )
    return credits


def ledger(tx: Connection) -> list[Entry]:
    """Every account, oldest first, beside what the job rows say on their own."""
    rows = tx.fetch_all(
        "SELECT accounts.*, tokens.principal, tokens.cohort, "
        "coalesce(sum(jobs.credits) FILTER (WHERE jobs.status IN ('queued', 'in_progress')), 0) AS job_reserved, "
        "coalesce(sum(jobs.credits) FILTER (WHERE jobs.status = 'completed'), 0) AS job_spent, "
        "coalesce(sum(jobs.credits) FILTER (WHERE jobs.status = 'failed'), 0) AS job_released, "
        "(SELECT count(*) FROM tokens AS drawing JOIN jobs AS stray USING (accessor) "
        "WHERE drawing.account = accounts.id AND (stray.account IS NULL OR stray.account <> drawing.account "
        "OR stray.credits IS NULL)) AS strays "
        "FROM credit_accounts AS accounts JOIN tokens ON tokens.accessor = accounts.id "
        "LEFT JOIN jobs ON jobs.account = accounts.id GROUP BY accounts.id, tokens.accessor "
        "ORDER BY accounts.created_at, accounts.id"
    )
    return [
        Entry(
            Account(*(row[name] for name in ("id", "granted", "reserved", "spent", "released", "created_at"))),
            row["principal"],
            row["cohort"],
            row["job_reserved"],
            row["job_spent"],
            row["job_released"],
            row["strays"],
        )
        for row in rows
    ]


def delete_all(tx: Connection) -> int:
    """Forgets every account; only a reset does this, after the tokens that refer to them."""
    return tx.execute("DELETE FROM credit_accounts")
