"""The engine's messages: where Procrastinate delivers jobs, each message carries one job's id.

The row is the truth; messages are a list of what may be delivered next, and may be lost or doubled. A message belongs
to a job whose row names it (`jobs.message`) and which waits or is rendered; any other is worth nothing. They are
written in the transaction that changes the row.

The list is kept short: of each token at most `WINDOW` waiting jobs have a message, and with those that are rendered at
most as many as it may have in flight. The others are parked; the transaction that ends or takes one of a token's jobs
sends what may then follow. So a token at its limit costs the engine nothing, and a revocation of a hundred thousand
jobs takes back a few messages a token.

On SQLite nothing here does anything: `Connection.delivered` is False there.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.job import JobStatus
from gateway.store.leases import SILENT
from gateway.store.protocol import Connection
from gateway.store.tokens import GOOD, TokenFilter

QUEUE = "renders"
TASK = "render"
WINDOW = 16  # waiting messages of one token at most
LOW = WINDOW // 2  # more are sent once so few are left
#: Where the engine tells of a new message, and where we tell that a job was taken from whoever renders it.
SENT = f"procrastinate_queue_v1#{QUEUE}"
TAKEN = "leakdrill_taken"

# The engine serves the highest priority first, a 32-bit integer, and among equals what was sent first. Here it holds
# the tier's priority from -64 to 63; then, while turns are not in use, the first 16 million arrivals; then as many
# turns. What lies beyond counts as the last of these.
_PLACE = """
    (-greatest(-64, least(63, jobs.priority)) * 33554432
    - CASE WHEN jobs.turn = 0 THEN least(jobs.seq, 16777215) ELSE 16777215 + least(jobs.turn, 16777216) END)::integer
"""
_AT_ONCE = "2147483647"  # what was begun goes before whatever waits


def _send(priority: str) -> str:
    """Sends a message about a row of `jobs`, and is its number."""
    return (
        f"(procrastinate_defer_jobs_v1(ARRAY[ROW('{QUEUE}', '{TASK}', {priority}, NULL, NULL, "
        "jsonb_build_object('job', jobs.id), NULL)::procrastinate_job_to_defer_v1]))[1]"
    )


# What waits of one token, first served first; its sent ones are the first of these.
LINE = "FROM jobs WHERE status = 'queued' AND accessor = tokens.accessor"
ORDER = "ORDER BY priority, turn, seq"
_PARKED = f"""
    FROM ({{tokens}}) AS waiting JOIN tokens USING (accessor),
    LATERAL (SELECT count(message) AS sent FROM (SELECT message {LINE} {ORDER} LIMIT {WINDOW}) AS first) AS line,
    LATERAL (SELECT CASE WHEN tokens.in_flight IS NULL THEN {WINDOW} ELSE least({WINDOW}, tokens.in_flight - (
        SELECT count(*) FROM jobs WHERE status = 'in_progress' AND accessor = tokens.accessor)) END AS may) AS room,
    LATERAL (SELECT seq {LINE} AND message IS NULL AND ({GOOD} OR spared IS NOT NULL)
             {ORDER} LIMIT greatest(0, room.may - line.sent)) AS parked
"""
# From token to token through an index, as in `turns`.
WAITING = """
    WITH RECURSIVE hop (accessor) AS (
        SELECT min(accessor) FROM jobs WHERE status = 'queued' AND accessor > ''
        UNION ALL
        SELECT (SELECT min(accessor) FROM jobs WHERE status = 'queued' AND accessor > hop.accessor)
        FROM hop WHERE hop.accessor IS NOT NULL)
    SELECT accessor FROM hop WHERE accessor IS NOT NULL
"""
#: The parked jobs that may have a message now, as `parked.seq`: of every token, and of one.
REFILL = _PARKED.format(tokens=WAITING)
#: Among the former, those that should have one: a token whose jobs are at hand is not sent more for each that is taken.
OVERDUE = f"{REFILL} WHERE tokens.in_flight <= {WINDOW} OR line.sent < {LOW - 1}"
_REFILL_ONE = _PARKED.format(tokens="SELECT CAST(:accessor AS TEXT) AS accessor")
_SEND = f"UPDATE jobs SET message = {_send(_PLACE)} FROM (SELECT parked.seq {{}}) AS next WHERE jobs.seq = next.seq"
_SEND_ALL, _SEND_ONE = _SEND.format(REFILL), _SEND.format(_REFILL_ONE)


# Its worker is silent, and no message about it is on its way. A job whose token was revoked goes on only if spared.
_SILENT = f"""
    tokens WHERE tokens.accessor = jobs.accessor AND jobs.status = 'in_progress' AND jobs.{SILENT}
    AND ({GOOD} OR jobs.spared IS NOT NULL) AND NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs AS sent WHERE sent.id = jobs.message AND sent.status = 'todo')
"""


def refill(tx: Connection, accessor: str) -> int:
    """Sends what may follow of one token; the number of messages."""
    return tx.execute(_SEND_ONE, {"accessor": accessor}) if tx.delivered else 0


def refill_all(tx: Connection) -> int:
    """Sends what may follow of every token; the number of messages."""
    return tx.execute(_SEND_ALL) if tx.delivered else 0


def ended(tx: Connection, message: int | None) -> None:
    """Takes away the message of a job that has ended."""
    if tx.delivered and message is not None:
        tx.execute("DELETE FROM procrastinate_jobs WHERE id = :message", {"message": message})


def given_back(tx: Connection, id: str, accessor: str) -> None:
    """A job waits again: another message takes the place of its old one."""
    if tx.delivered:
        row = tx.fetch_one("SELECT message FROM jobs WHERE id = :id", {"id": id})
        ended(tx, row["message"] if row else None)
        tx.execute("UPDATE jobs SET message = NULL WHERE id = :id", {"id": id})
        refill(tx, accessor)


def withdraw(tx: Connection, which: TokenFilter, status: JobStatus) -> None:
    """Takes back the messages of every job in `status` that hangs on these tokens; to be called before they end."""
    if tx.delivered:
        tx.execute(
            "DELETE FROM procrastinate_jobs WHERE id IN (SELECT message FROM jobs "
            "WHERE status = :job_status AND message IS NOT NULL "
            f"AND accessor IN (SELECT accessor FROM tokens WHERE {which.tree()}))",
            {**which.params(), "job_status": str(status)},
        )


def delete_all(tx: Connection) -> None:
    """Takes back every message; only a reset does this."""
    if tx.delivered:
        tx.execute(f"DELETE FROM procrastinate_jobs WHERE queue_name = '{QUEUE}'")


def tell_taken(tx: Connection) -> None:
    """Wakes the guards of all workers once this is committed: something that is rendered was taken away."""
    if tx.delivered:
        tx.execute("SELECT pg_notify(:channel, '')", {"channel": TAKEN})


@dataclass(frozen=True)
class Message:
    """A message that the engine has handed over, about the job `job`."""

    id: int
    job: str


#: The next messages as the engine chooses them, `:most` at most, in that order; `:receiver` is the engine's number of
#: the worker. One call would answer for all rows if no argument told them apart.
NEXT = f"""
    SELECT number, fetched.id, fetched.args ->> 'job' AS job FROM generate_series(1, CAST(:most AS INTEGER)) AS number,
    LATERAL procrastinate_fetch_job_v2(CASE WHEN number > 0 THEN ARRAY['{QUEUE}']::varchar[] END,
        (SELECT id FROM procrastinate_workers WHERE id = CAST(:receiver AS BIGINT))) AS fetched
    WHERE fetched.id IS NOT NULL
"""


def any_waiting(tx: Connection) -> bool:
    """Whether there is a message to fetch: a read, so that idle workers never take the write lock."""
    row = tx.fetch_one(f"SELECT 1 FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = '{QUEUE}' LIMIT 1")
    return row is not None


def drop(tx: Connection, message: Message) -> None:
    """A message that led to nothing: its job ended, is another's, or may not be rendered now. The last is parked."""
    ended(tx, message.id)
    tx.execute("UPDATE jobs SET message = NULL WHERE id = :job AND message = :id AND status = 'queued'", vars(message))


def redeliver_silent(tx: Connection) -> int:
    """Sends anew what a silent worker holds; the number of messages."""
    tx.execute(f"DELETE FROM procrastinate_jobs WHERE id IN (SELECT jobs.message FROM jobs, {_SILENT})")
    return tx.execute(f"UPDATE jobs SET message = {_send(_AT_ONCE)} FROM {_SILENT}")


def register(tx: Connection) -> int:
    """The engine's number of a worker that begins."""
    row = tx.fetch_one("SELECT worker_id FROM procrastinate_register_worker_v1()")
    return int(row["worker_id"]) if row else 0


def unregister(tx: Connection, receiver: int) -> None:
    """A worker leaves."""
    tx.execute("SELECT procrastinate_unregister_worker_v1(:receiver)", {"receiver": receiver})


def beat(tx: Connection, receiver: int) -> None:
    """A worker lives."""
    tx.execute("SELECT procrastinate_update_heartbeat_v1(:receiver)", {"receiver": receiver})


def forget(tx: Connection, seconds: float) -> list[int]:
    """Strikes workers from the engine's list that have been silent for so long; their numbers."""
    sql = "SELECT worker_id FROM procrastinate_prune_stalled_workers_v1(CAST(:seconds AS DOUBLE PRECISION))"
    return [row["worker_id"] for row in tx.fetch_all(sql, {"seconds": seconds})]
