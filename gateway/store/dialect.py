"""What PostgreSQL is told where SQLite's words are written.

The tables and the statements are written once, in words that both know or that SQLite knows. This is all that differs:
types, the two functions that read JSON text, the numbers that AUTOINCREMENT gives, triggers that refuse, and how
parameters are marked.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Texts are compared byte by byte on SQLite, and so must be here, whatever the database's own order is.
_TYPES = {"INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION", "BLOB": "BYTEA", "TEXT": 'TEXT COLLATE "C"'}

# A sequence would leave gaps where a transaction is taken back, and in the event list a gap is a dropped line. Writers
# follow one another anyhow, so a row that counts holds nobody up, and tells what AUTOINCREMENT's own table tells.
# JSON text may hold an escaped NUL, which no text of PostgreSQL can hold; it stands there as NUL does in `nul_free`.
_PRELUDE = r"""
CREATE TABLE schema_version (version BIGINT NOT NULL);
CREATE TABLE numbered (name TEXT COLLATE "C" PRIMARY KEY, seq BIGINT NOT NULL);
CREATE FUNCTION next_number(counted TEXT) RETURNS BIGINT LANGUAGE SQL VOLATILE AS $$
    INSERT INTO numbered AS own (name, seq) VALUES (counted, 1)
    ON CONFLICT (name) DO UPDATE SET seq = own.seq + 1 RETURNING seq
$$;
CREATE FUNCTION json_extract(document TEXT, path TEXT) RETURNS TEXT LANGUAGE SQL IMMUTABLE AS $$
    SELECT replace(document, '\u0000', '\ufdd0')::jsonb
        #>> string_to_array(btrim(regexp_replace(path, '[].[]+', '.', 'g'), '$.'), '.')
$$;
CREATE FUNCTION json_each(document TEXT) RETURNS TABLE (key BIGINT, value TEXT) LANGUAGE SQL IMMUTABLE AS $$
    SELECT place - 1, item FROM jsonb_array_elements_text(replace(document, '\u0000', '\ufdd0')::jsonb)
    WITH ORDINALITY AS items (item, place)
$$;
"""
_TRIGGER = """CREATE FUNCTION {trigger}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE integrity_constraint_violation USING MESSAGE = {why}; END
$$;
CREATE TRIGGER {trigger} {event} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {trigger}()"""
NUL_STANDS_AS = "\ufdd0"  # a noncharacter, which Unicode keeps for a program's own use

_WORDS = re.compile(
    r"""(?P<skip>'(?:[^']|'')*' | --[^\n]*)
      | CREATE\ TABLE\ (?P<table>\w+)
      | CREATE\ TRIGGER\ (?P<trigger>\w+)\ (?P<event>[^;]*?)\s+WHEN\ (?P<when>[^;]*?)\s+
        BEGIN\ SELECT\ RAISE\(ABORT,\ (?P<why>'[^']*')\);\ END
      | INTEGER\ PRIMARY\ KEY\ (?P<numbered>AUTOINCREMENT)
      | \ WITHOUT\ (?P<rowid>ROWID)
      | \b(?P<type>INTEGER|REAL|BLOB|TEXT)\b""",
    re.VERBOSE,
)
_MARKS = re.compile(
    r"""\b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/
      | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | :: | :(?P<name>[A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)


def tables(text: str) -> str:
    """Statements that create, on PostgreSQL, the tables that `text` creates on SQLite."""
    table = ""

    def said(found: re.Match[str]) -> str:
        nonlocal table
        if found["skip"]:
            return found[0]
        if found["table"]:
            table = found["table"]
            return found[0]
        if found["trigger"]:
            return _TRIGGER.format(**found.groupdict())
        if found["numbered"]:
            return f"BIGINT PRIMARY KEY DEFAULT next_number('{table}')"
        return "" if found["rowid"] else _TYPES[found["type"]]

    return _PRELUDE + _WORDS.sub(said, text)


@lru_cache(maxsize=1024)
def statement(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$1`, `$2`, … for its `:name` parameters, and their names in that order.

    What looks like a parameter inside of a text, a quoted name or a comment is none; `::` is a cast.
    """
    names: list[str] = []

    def marked(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return found[0]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _MARKS.sub(marked, sql), tuple(names)


def nul_free(text: str) -> str:
    """The text as PostgreSQL can hold it: NUL has a place-holder."""
    return text.replace("\0", NUL_STANDS_AS)


def with_nul(text: str) -> str:
    """The text as it was given."""
    return text.replace(NUL_STANDS_AS, "\0")
