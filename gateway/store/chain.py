"""The event list as evidence: read from the database alone, beside a running gateway, and changed by nothing here."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import OperatorError
from gateway.events import GENESIS, chain_hash
from gateway.settings import without_password
from gateway.store.opening import ensure_driver
from gateway.store.protocol import Params, Row

_FIELDS = ("at", "replay_at", "kind", "actor", "accessor", "job", "data")


@dataclass(frozen=True)
class Anchor:
    """A line that is known to have been there: kept outside the database, it shows what was cut off at the end."""

    seq: int
    hash: str


@dataclass(frozen=True)
class Break:
    """The first place where the list is not what was written: the line's number, and what is wrong with it."""

    seq: int
    what: str


@dataclass(frozen=True)
class Verdict:
    """How many lines hold, from the first on; the last of them; and what is wrong after it, or None."""

    events: int
    newest: Anchor
    broken: Break | None


@dataclass(frozen=True)
class _List:
    """The list on one snapshot. `ask` runs a query; `numbered` is the table that knows which numbers were given;
    `broken` is raised where what is kept cannot be read."""

    ask: Callable[[str, Params], Iterator[Row]]
    numbered: str
    broken: tuple[type[Exception], ...]

    def first(self, sql: str, params: Params | None = None) -> Row | None:
        """The first row of a query, or None."""
        return next(iter(self.ask(sql, params or {})), None)


def newest(place: Path | str) -> Anchor:
    """The newest line; raises OperatorError where there is none, or no list."""
    with _snapshot(place) as kept:
        row = kept.first("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
    if row is None:
        raise OperatorError(f"{without_password(str(place))} has no event yet; there is nothing to anchor")
    return Anchor(*row)


def verify(place: Path | str, anchor: Anchor | None = None) -> Verdict:
    """Walks the whole list on one snapshot and stops at the first line that is not as it was written.

    `place` is a SQLite file or the URL of a PostgreSQL database. Raises OperatorError where there is no list to read.
    """
    with _snapshot(place) as kept:
        last = Anchor(0, GENESIS)
        try:
            for row in kept.ask(f"SELECT seq, previous, hash, {', '.join(_FIELDS)} FROM events ORDER BY seq", {}):
                what = _wrong(kept, row, last)
                if what is None and anchor is not None and row["seq"] == anchor.seq and row["hash"] != anchor.hash:
                    what = "not the line that was anchored: it, or what came before it, was written anew"
                if what is not None:
                    return Verdict(last.seq, last, Break(min(row["seq"], last.seq + 1), what))
                last = Anchor(row["seq"], row["hash"])
            return Verdict(last.seq, last, _cut(kept, last, anchor))
        except kept.broken as exc:
            return Verdict(last.seq, last, Break(last.seq + 1, f"cannot be read: {exc}"))


def _wrong(kept: _List, row: Row, last: Anchor) -> str | None:
    """What is wrong with the line that stands after `last`."""
    if row["seq"] == last.seq + 1 and row["previous"] == last.hash:
        return None if _own_hash(row) == row["hash"] else "edited: its content does not fit its hash"
    elsewhere = kept.first(
        "SELECT seq FROM events WHERE previous = :hash AND seq > :seq LIMIT 1", {"hash": last.hash, "seq": last.seq}
    )
    if elsewhere is not None and elsewhere["seq"] != row["seq"]:
        return f"reordered: the line that belongs here stands at {elsewhere['seq']}"
    if row["seq"] != last.seq + 1:
        gone = row["seq"] - last.seq - 1
        return f"dropped: {gone} line{'s are' if gone > 1 else ' is'} missing before {row['seq']}"
    if _own_hash(row) != row["hash"]:
        return "edited: neither its content nor its link to the line before fits its hash"
    return f"does not follow from {last.seq}: that line was written anew, or lines between the two were taken out"


def _own_hash(row: Row) -> str | None:
    try:
        return chain_hash(row["previous"], **{name: row[name] for name in _FIELDS})
    except (TypeError, UnicodeEncodeError):  # bytes where text was written, or bytes that are no text
        return None


def _cut(kept: _List, last: Anchor, anchor: Anchor | None) -> Break | None:
    """What is missing after the last line, as far as that can be known."""
    if anchor is not None and anchor.seq > last.seq:
        return Break(last.seq + 1, f"cut off: the list ends at {last.seq}, and was anchored at {anchor.seq}")
    counter = kept.first(f"SELECT seq FROM {kept.numbered} WHERE name = 'events'")
    if counter is not None and counter["seq"] > last.seq:
        numbered = counter["seq"]
        return Break(last.seq + 1, f"cut off: the list ends at {last.seq}, and lines up to {numbered} were numbered")
    return None


@contextmanager
def _snapshot(place: Path | str) -> Iterator[_List]:
    with _in_file(place) if isinstance(place, Path) else _on_server(place) as kept:
        yield kept


@contextmanager
def _in_file(path: Path) -> Iterator[_List]:
    if not path.is_file():
        raise OperatorError(f"there is no database {path}; name the gateway's data directory with --data")
    try:
        raw = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as exc:
        raise OperatorError(f"cannot open {path}: {exc}") from exc
    try:
        raw.row_factory = sqlite3.Row
        # Bytes that are no text must be seen as an edited line, not as a failure to read it.
        raw.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
        try:
            raw.execute("BEGIN")
            raw.execute("SELECT seq, previous, hash FROM events LIMIT 1").fetchone()
        except sqlite3.Error as exc:
            raise OperatorError(f"{path} has no event list that can be read: {exc}") from exc
        yield _List(raw.execute, "sqlite_sequence", (sqlite3.DatabaseError,))
    finally:
        raw.close()


@contextmanager
def _on_server(url: str) -> Iterator[_List]:
    ensure_driver()
    from gateway.store.postgres_connection import reading

    with reading(url) as ask:
        yield _List(ask, "numbered", ())
