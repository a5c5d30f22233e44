"""The event list, tampered with in a copy of the database: each way is told by the first line that is not as it was."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from desk import Desk
from gateway.errors import OperatorError
from gateway.events import GENESIS, chain_hash
from gateway.store import chain
from gateway.store.chain import Anchor
from live import leakdrill

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]

FIELDS = ("at", "replay_at", "kind", "actor", "accessor", "job", "data")
LINES = 12


def file_of(desk: Desk) -> Path:
    assert isinstance(desk.settings.database, Path)
    return desk.settings.database


@pytest.fixture
async def copy(desk: Desk, tmp_path: Path) -> Path:
    """The database of a gateway that runs on, copied; it holds twelve events."""
    for number in range(LINES):
        await desk.issue(f"tester-{number:03}")
    folder = tmp_path / "copy"
    folder.mkdir()
    with (
        closing(sqlite3.connect(file_of(desk))) as source,
        closing(sqlite3.connect(folder / "leakdrill.db")) as target,
    ):
        source.backup(target)
    return folder / "leakdrill.db"


@contextmanager
def tampering(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as raw:
        yield raw
        raw.commit()


def rehash(raw: sqlite3.Connection, first: int, last: int = 10**9) -> None:
    """Chains the lines anew, as somebody would who knows how it is done."""
    raw.row_factory = sqlite3.Row
    row = raw.execute("SELECT hash FROM events WHERE seq < ? ORDER BY seq DESC LIMIT 1", (first,)).fetchone()
    previous = row["hash"] if row else GENESIS
    for line in raw.execute("SELECT * FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)).fetchall():
        made = chain_hash(previous, **{name: line[name] for name in FIELDS})
        raw.execute("UPDATE events SET previous = ?, hash = ? WHERE seq = ?", (previous, made, line["seq"]))
        previous = made


def sql(*statements: str) -> Callable[[sqlite3.Connection], None]:
    def run(raw: sqlite3.Connection) -> None:
        for statement in statements:
            raw.execute(statement)

    return run


def edit_and_rehash(raw: sqlite3.Connection) -> None:
    raw.execute("UPDATE events SET actor = 'nobody' WHERE seq = 5")
    rehash(raw, 5, 5)


def drop_and_renumber(raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM events WHERE seq = 5")
    for seq in range(6, LINES + 1):
        raw.execute("UPDATE events SET seq = ? WHERE seq = ?", (seq - 1, seq))
    raw.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'", (LINES - 1,))


SWAP = ("UPDATE events SET seq = 99 WHERE seq = 5", "UPDATE events SET seq = 5 WHERE seq = 6")
CUT = f"DELETE FROM events WHERE seq > {LINES - 2}"
SET_BACK = f"UPDATE sqlite_sequence SET seq = {LINES - 2} WHERE name = 'events'"


async def test_a_list_that_nobody_touched_holds(desk: Desk, copy: Path) -> None:
    assert await desk.events()
    for path in (copy, file_of(desk)):  # the second is in use
        found = chain.verify(path, chain.newest(path))
        assert (found.events, found.newest, found.broken) == (LINES, chain.newest(path), None)


@pytest.mark.parametrize(
    ("tamper", "seq", "word"),
    [
        (sql("""UPDATE events SET data = replace(data, 'tester-004', 'tester-044') WHERE seq = 5"""), 5, "edited"),
        (sql("UPDATE events SET data = data || ' ' WHERE seq = 5"), 5, "edited"),
        (sql("UPDATE events SET at = at + 1e-6 WHERE seq = 5"), 5, "edited"),
        (sql("UPDATE events SET accessor = NULL WHERE seq = 5"), 5, "edited"),
        (sql("UPDATE events SET hash = '0' WHERE seq = 5"), 5, "edited"),
        (sql("UPDATE events SET previous = '0' WHERE seq = 5"), 5, "edited"),
        (sql("UPDATE events SET data = x'ff00' WHERE seq = 5"), 5, "edited"),
        (sql("UPDATE events SET data = CAST(x'22ff22' AS TEXT) WHERE seq = 5"), 5, "edited"),
        (edit_and_rehash, 6, "does not follow from 5"),
        (sql("DELETE FROM events WHERE seq = 5"), 5, "dropped: 1 line is missing before 6"),
        (sql("DELETE FROM events WHERE seq BETWEEN 5 AND 7"), 5, "dropped: 3 lines are missing before 8"),
        (sql("DELETE FROM events WHERE seq = 1"), 1, "dropped"),
        (drop_and_renumber, 5, "does not follow from 4"),
        (
            sql(*SWAP, "UPDATE events SET seq = 6 WHERE seq = 99"),
            5,
            "the line that belongs here stands at 6",
        ),
        (sql("UPDATE events SET seq = 99 WHERE seq = 5"), 5, "reordered: the line that belongs here stands at 99"),
        (sql("DELETE FROM events"), 1, "cut off"),
        (sql(CUT), LINES - 1, "cut off"),
    ],
)
async def test_tampering_is_told_by_its_first_line(
    copy: Path, tamper: Callable[[sqlite3.Connection], None], seq: int, word: str
) -> None:
    with tampering(copy) as raw:
        tamper(raw)
    found = chain.verify(copy)
    assert found.broken is not None
    assert (found.broken.seq, word in found.broken.what) == (seq, True), found.broken
    assert found.events == found.newest.seq == (5 if tamper is edit_and_rehash else seq - 1)


async def test_a_cut_with_the_counter_set_back_shows_only_beside_an_anchor(copy: Path) -> None:
    anchor = chain.newest(copy)
    with tampering(copy) as raw:
        sql(CUT, SET_BACK)(raw)
    assert chain.verify(copy).broken is None
    assert chain.verify(copy, chain.newest(copy)).broken is None
    found = chain.verify(copy, anchor)
    assert found.broken is not None
    assert found.broken.seq == LINES - 1
    assert f"anchored at {LINES}" in found.broken.what


async def test_a_list_written_anew_shows_beside_an_anchor(copy: Path) -> None:
    anchor = chain.newest(copy)
    with tampering(copy) as raw:
        raw.execute("UPDATE events SET actor = 'nobody' WHERE seq = 5")
        rehash(raw, 5)
    assert chain.verify(copy).broken is None
    found = chain.verify(copy, anchor)
    assert found.broken is not None
    assert found.broken.seq == LINES
    assert "written anew" in found.broken.what


async def test_a_page_of_the_file_that_was_overwritten_is_told(copy: Path) -> None:
    content = bytearray(copy.read_bytes())
    at = content.index(b"tester-004", content.index(b'"principal":"tester-004"'))
    content[at + 9] ^= 1
    copy.write_bytes(content)
    found = chain.verify(copy)
    assert found.broken is not None
    assert (found.broken.seq, found.broken.what.split(":")[0]) == (5, "edited")


async def test_verifying_changes_nothing(copy: Path) -> None:
    before = copy.read_bytes()
    chain.verify(copy)
    assert copy.read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"no database" * 100])
async def test_where_there_is_no_list_it_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "leakdrill.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OperatorError, match=str(path)):
        chain.verify(path)


async def test_the_shell_tells_by_exit_code(copy: Path, tmp_path: Path) -> None:
    data = ("--data", str(copy.parent))
    anchored = leakdrill("audit", "anchor", *data, cwd=tmp_path)
    assert anchored.returncode == 0, anchored.stderr
    assert Anchor(**json.loads(anchored.stdout)) == chain.newest(copy)
    anchor = tmp_path / "anchor.json"
    anchor.write_text(anchored.stdout)

    whole = leakdrill("audit", "verify", *data, cwd=tmp_path)
    assert (whole.returncode, f"{LINES} lines hold" in whole.stdout, "no anchor" in whole.stdout) == (0, True, True)
    beside = leakdrill("audit", "verify", *data, "--anchor", str(anchor), cwd=tmp_path)
    assert (beside.returncode, "no anchor" in beside.stdout) == (0, False)

    with tampering(copy) as raw:
        sql(CUT, SET_BACK)(raw)
    assert leakdrill("audit", "verify", *data, cwd=tmp_path).returncode == 0
    cut = leakdrill("audit", "verify", *data, "--anchor", str(anchor), cwd=tmp_path)
    assert (cut.returncode, f"broken at seq {LINES - 1}: cut off" in cut.stdout) == (1, True)
    with tampering(copy) as raw:
        raw.execute("UPDATE events SET actor = 'nobody' WHERE seq = 3")
    edited = leakdrill("audit", "verify", *data, "--json", cwd=tmp_path)
    assert (edited.returncode, json.loads(edited.stdout)["broken"]["seq"]) == (1, 3)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"seq": "1", "hash": "x"}', '{"seq": 0, "hash": "x"}', "["])
async def test_a_file_that_is_no_anchor(copy: Path, tmp_path: Path, content: str) -> None:
    anchor = tmp_path / "anchor.json"
    anchor.write_text(content)
    done = leakdrill("audit", "verify", "--data", str(copy.parent), "--anchor", str(anchor), cwd=tmp_path)
    assert (done.returncode, "no anchor" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


async def test_an_evidence_copy_beside_its_log_is_read(desk: Desk, tmp_path: Path) -> None:
    """The newest lines of a gateway that was killed lie in the log beside its database."""
    await desk.issue()
    source = file_of(desk)
    for suffix in ("", "-wal"):
        shutil.copy(f"{source}{suffix}", f"{tmp_path / 'leakdrill.db'}{suffix}")
    assert chain.verify(tmp_path / "leakdrill.db").events == 1
