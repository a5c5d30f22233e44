"""What a poll asks the database, in one statement: a bearer's token and the job that it asks for."""

from __future__ import annotations

from dataclasses import fields

from gateway.store import jobs, tokens
from gateway.store.job import Job
from gateway.store.protocol import Connection
from gateway.store.tokens import Token

_OF_TOKEN = [field.name for field in fields(Token)]
_COLUMNS = ", ".join([*(f"tokens.{name}" for name in _OF_TOKEN), jobs.COLUMNS_OF_JOBS])
_AT = len(_OF_TOKEN)
_GLANCE = (
    f"SELECT {_COLUMNS} FROM tokens LEFT JOIN jobs ON jobs.id = :id AND jobs.deleted_at IS NULL "
    "WHERE tokens.secret_hash = :hash AND tokens.parent IS NULL"
)


def glance(tx: Connection, secret_hash: bytes, id: str) -> tuple[Token, Job | None] | None:
    """The token with its own row as all there is to judge, and the job `id` unless it is not there or another's.

    None where the bearer has no such token: it is unknown, or was minted by another and so takes more reading. Nor has
    a gateway that sees tokens otherwise than they are.
    """
    if tx.sight is not None and tx.sight.blurred(tx):
        return None
    row = tx.fetch_one(_GLANCE, {"hash": secret_hash, "id": id})
    if row is None:
        return None
    values = tuple(row)
    token = tokens.token_of(values[:_AT])
    if values[_AT] is None:
        return token, None
    job = jobs.job_of(values[_AT:])
    return token, job if job.accessor == token.accessor else None
