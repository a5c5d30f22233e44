"""How the database counts the waiting line, in words of each store's own: whatever statement moves a job, its block in
`line_blocks` follows in the same transaction.

A block begins at a place and ends before the next one's; the first begins before all. One that has grown beyond
MOST_IN_BLOCK is divided late, because most jobs come to a line's end: so blocks there are left nearly full. An empty
one goes, and what comes then belongs to the one before. `changes` grows with every job that comes or goes.

SQLite counts row by row, except what a revocation stops: that can be the whole line, so `places.recount` counts anew
after it. There `+` takes a value's affinity away, without which a comparison of several columns finds no index, and
`seq` is no part of such a comparison on `jobs`, whose row number it is. PostgreSQL counts by statement: an update a row
would leave as many dead versions of one block as a revocation stops jobs.
"""

from __future__ import annotations

MOST_IN_BLOCK = 512
_LEFT_IN_BLOCK = MOST_IN_BLOCK * 7 // 8
FIRST_PRIORITY = -9223372036854775808  # of the first block: no tier has it


def _trigger(name: str, event: str, row: str, by: str, *, unless: str = "") -> str:
    return (
        f"CREATE TRIGGER {name} AFTER {event} ON jobs WHEN {row}.status = 'queued' {unless} BEGIN "
        f"UPDATE line_blocks SET n = n {by}, changes = changes + 1 WHERE (priority, turn, seq) = ("
        "SELECT priority, turn, seq FROM line_blocks "
        f"WHERE (priority, turn, seq) <= (+{row}.priority, +{row}.turn, +{row}.seq) "
        "ORDER BY priority DESC, turn DESC, seq DESC LIMIT 1); END;\n"
    )


_THIS = "WHERE priority = new.priority AND turn = new.turn AND seq = new.seq"
_DIVIDED = (
    f"SELECT priority, turn, seq, new.n - {_LEFT_IN_BLOCK}, 0 FROM jobs WHERE status = 'queued' "
    "AND priority = new.priority AND turn = new.turn AND seq >= new.seq "
    f"UNION ALL SELECT priority, turn, seq, new.n - {_LEFT_IN_BLOCK}, 0 FROM jobs WHERE status = 'queued' "
    f"AND (priority, turn) >= (+new.priority, new.turn + 1) "
    f"ORDER BY priority, turn, seq LIMIT 1 OFFSET {_LEFT_IN_BLOCK}"
)

_NOT_REVOKED = "AND new.error_code IS NOT 'access_revoked'"

SQLITE_COUNTING = (
    _trigger("line_joined", "INSERT", "new", "+ 1")
    + _trigger("line_rejoined", "UPDATE OF status, priority, turn", "new", "+ 1")
    + _trigger("line_left", "UPDATE OF status, priority, turn", "old", "- 1", unless=_NOT_REVOKED)
    + _trigger("line_forgotten", "DELETE", "old", "- 1")
    + f"CREATE TRIGGER line_blocks_full AFTER UPDATE OF n ON line_blocks WHEN new.n > {MOST_IN_BLOCK} BEGIN "
    f"INSERT INTO line_blocks (priority, turn, seq, n, changes) {_DIVIDED}; "
    f"UPDATE line_blocks SET n = {_LEFT_IN_BLOCK} {_THIS}; END;\n"
    "CREATE TRIGGER line_blocks_empty AFTER UPDATE OF n ON line_blocks "
    f"WHEN new.n = 0 AND new.priority > {FIRST_PRIORITY} BEGIN DELETE FROM line_blocks {_THIS}; END;\n"
)

_COUNT = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE block record;
BEGIN
    FOR block IN
        WITH moved AS ({moved}), counted AS (
            SELECT own.priority, own.turn, own.seq, sum(moved.by) AS by FROM moved CROSS JOIN LATERAL (
                SELECT priority, turn, seq FROM line_blocks
                WHERE (priority, turn, seq) <= (moved.priority, moved.turn, moved.seq)
                ORDER BY priority DESC, turn DESC, seq DESC LIMIT 1) AS own
            GROUP BY own.priority, own.turn, own.seq)
        UPDATE line_blocks SET n = line_blocks.n + counted.by, changes = changes + 1 FROM counted
        WHERE line_blocks.priority = counted.priority AND line_blocks.turn = counted.turn
        AND line_blocks.seq = counted.seq RETURNING line_blocks.*
    LOOP
        IF block.n > {most} THEN
            INSERT INTO line_blocks (priority, turn, seq, n, changes)
            SELECT priority, turn, seq, least({left}, block.n - number), 0 FROM (
                SELECT priority, turn, seq, row_number() OVER (ORDER BY priority, turn, seq) - 1 AS number FROM (
                    SELECT priority, turn, seq FROM jobs WHERE status = 'queued'
                    AND (priority, turn, seq) >= (block.priority, block.turn, block.seq)
                    ORDER BY priority, turn, seq LIMIT block.n) AS listed) AS numbered
            WHERE number > 0 AND number % {left} = 0;
            UPDATE line_blocks SET n = {left}
            WHERE priority = block.priority AND turn = block.turn AND seq = block.seq;
        ELSIF block.n = 0 AND block.priority > {first} THEN
            DELETE FROM line_blocks WHERE priority = block.priority AND turn = block.turn AND seq = block.seq;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER {name} AFTER {event} ON jobs {tables} FOR EACH STATEMENT EXECUTE FUNCTION {name}();
"""


def _count(name: str, event: str, **moved: str) -> str:
    return _COUNT.format(
        name=name,
        event=event,
        tables="REFERENCING " + " ".join(f"{age.upper()} TABLE AS {age}_jobs" for age in moved),
        moved=" UNION ALL ".join(
            f"SELECT priority, turn, seq, {by} AS by FROM {age}_jobs WHERE status = 'queued'"
            for age, by in moved.items()
        ),
        most=MOST_IN_BLOCK,
        left=_LEFT_IN_BLOCK,
        first=FIRST_PRIORITY,
    )


POSTGRES_COUNTING = (
    _count("line_joined", "INSERT", new="1")
    + _count("line_moved", "UPDATE", old="-1", new="1")
    + _count("line_forgotten", "DELETE", old="-1")
)
