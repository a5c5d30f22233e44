"""Notices of leaked tokens that were taken, each once."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from gateway.store.protocol import Connection


@dataclass(frozen=True)
class Disclosure:
    """One notice. `notice` stands for its content; `accessor` is None where the token is none of ours; `outcome` is the
    token's state afterwards, or `false_positive`; `at` is Unix seconds."""

    notice: bytes
    accessor: str | None
    reporter: str
    type: str
    source: str
    url: str
    outcome: str
    at: float


def known(tx: Connection, notice: bytes) -> bool:
    """Whether exactly this was reported before."""
    return tx.fetch_one("SELECT 1 FROM disclosures WHERE notice = :notice", {"notice": notice}) is not None


def insert(tx: Connection, disclosure: Disclosure) -> None:
    """Adds the row."""
    tx.execute(
        "INSERT INTO disclosures (notice, accessor, reporter, type, source, url, outcome, at) "
        "VALUES (:notice, :accessor, :reporter, :type, :source, :url, :outcome, :at)",
        asdict(disclosure),
    )


def first_of_token(tx: Connection, accessor: str) -> Disclosure | None:
    """Who disclosed it first, and where."""
    row = tx.fetch_one(
        "SELECT notice, accessor, reporter, type, source, url, outcome, at FROM disclosures "
        "WHERE accessor = :accessor ORDER BY seq LIMIT 1",
        {"accessor": accessor},
    )
    return Disclosure(*row) if row else None


def count_of_token(tx: Connection, accessor: str) -> int:
    """In how many notices it was named."""
    row = tx.fetch_one("SELECT count(*) AS n FROM disclosures WHERE accessor = :accessor", {"accessor": accessor})
    return row["n"] if row else 0


def delete_all(tx: Connection) -> int:
    """Forgets every notice; only a reset does this."""
    return tx.execute("DELETE FROM disclosures")
