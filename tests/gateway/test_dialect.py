import pytest

from gateway.store.dialect import nul_free, statement, tables, with_nul
from gateway.store.schema import SQLITE


@pytest.mark.parametrize(
    ("sql", "text", "names"),
    [
        ("SELECT 1", "SELECT 1", ()),
        ("a = :a AND b = :b AND c = :a", "a = $1 AND b = $2 AND c = $1", ("a", "b")),
        ("a = :a::text", "a = $1::text", ("a",)),
        ("x::jsonb ->> 'k' = :k", "x::jsonb ->> 'k' = $1", ("k",)),
        ("x ? :k AND y @> :j::jsonb", "x ? $1 AND y @> $2::jsonb", ("k", "j")),
        ("a = ':no' AND b = 'it''s :no' AND c = :c", "a = ':no' AND b = 'it''s :no' AND c = $1", ("c",)),
        (r"a = E'\':no' AND b = :b", r"a = E'\':no' AND b = $1", ("b",)),
        ('":no" = :yes', '":no" = $1', ("yes",)),
        ("SELECT 1 -- :no\n, :yes", "SELECT 1 -- :no\n, $1", ("yes",)),
        ("SELECT /* :no */ :yes", "SELECT /* :no */ $1", ("yes",)),
        ("SELECT $$ :no $$, $q$ :no $q$, :yes", "SELECT $$ :no $$, $q$ :no $q$, $1", ("yes",)),
        ("a LIKE '50%' AND b[1:2] = :b", "a LIKE '50%' AND b[1:2] = $1", ("b",)),
        ("(:after IS NULL)", "($1 IS NULL)", ("after",)),
    ],
)
def test_parameters_are_numbered_and_nothing_else_is_touched(sql: str, text: str, names: tuple[str, ...]) -> None:
    assert statement(sql) == (text, names)


def test_a_statement_is_read_once() -> None:
    assert statement("SELECT :a") is statement("SELECT :a")


def test_tables_are_said_in_postgresqls_words() -> None:
    said = tables(
        "CREATE TABLE things (\n    seq INTEGER PRIMARY KEY AUTOINCREMENT,\n"
        "    name TEXT NOT NULL CHECK (name <> 'BLOB TEXT'),\n"
        "    at REAL, -- REAL time\n    raw BLOB,\n    n INTEGER\n);\n"
        "CREATE TABLE pairs (\n    a TEXT,\n    b TEXT,\n    PRIMARY KEY (a, b)\n) WITHOUT ROWID;\n"
        "CREATE INDEX some ON things (at) WHERE n IS NOT NULL;"
    )
    assert said.endswith(
        "CREATE TABLE things (\n    seq BIGINT PRIMARY KEY DEFAULT next_number('things'),\n"
        "    name TEXT COLLATE \"C\" NOT NULL CHECK (name <> 'BLOB TEXT'),\n"
        "    at DOUBLE PRECISION, -- REAL time\n    raw BYTEA,\n    n BIGINT\n);\n"
        'CREATE TABLE pairs (\n    a TEXT COLLATE "C",\n    b TEXT COLLATE "C",\n    PRIMARY KEY (a, b)\n);\n'
        "CREATE INDEX some ON things (at) WHERE n IS NOT NULL;"
    )


def test_no_word_that_only_sqlite_knows_is_left() -> None:
    said = tables(SQLITE)
    assert said.count("CREATE TABLE") == SQLITE.count("CREATE TABLE") + 2
    assert [word for word in ("AUTOINCREMENT", "ROWID", " BLOB", " REAL", " INTEGER") if word in said] == []


def test_nul_has_a_place_holder() -> None:
    assert "\0" not in nul_free("a\0b")
    assert with_nul(nul_free("a\0b")) == "a\0b"
