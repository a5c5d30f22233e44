"""A PostgreSQL server for the tests: the one that a URL names, or one that is started from the system's programs."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gateway.store import open_store
from gateway.store.engine import version as engine_version
from gateway.store.schema import SQLITE, VERSION
from gateway.supervisor import free_port

ADVICE = "apt-get install postgresql"
STORES = ("sqlite", "postgresql")
# What is written here is thrown away, so nothing of it need reach the disk.
_FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
#: The same, but what it has confirmed is there again after any end of the server.
LASTING = "-c fsync=off -c full_page_writes=off"


@dataclass(frozen=True)
class Server:
    """A server of the tests' own. `url` leads to its database `postgres`. `options` are the program's."""

    programs: Path
    folder: Path
    port: int
    options: str = _FAST

    @property
    def url(self) -> str:
        return f"postgresql://leakdrill@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Returns when it answers."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories='' "
        options += f"-c max_connections=200 {self.options}"
        self._run("pg_ctl", "start", "-w", "-t", "60", "-l", str(self.folder / "log"), "-o", options)

    def stop(self, how: str = "fast") -> None:
        """Ends every connection, and returns when it is gone; `immediate` is as a crash would."""
        self._run("pg_ctl", "stop", "-w", "-m", how)

    def kill(self) -> None:
        """Ends the server's first process without notice; the others notice that by themselves."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, signal.SIGKILL)

    def start_again(self) -> None:
        """Starts it after `stop` or `kill`; returns when it answers."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.start()
            except AssertionError:
                # Until the last of the killed one's processes is gone, its memory is held.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def create(self) -> None:
        """Makes its files."""
        self._run("initdb", "-U", "leakdrill", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        # The programs refuse to run as root.
        owner = pwd.getpwnam(_owner()) if os.geteuid() == 0 else None
        with (self.folder / "output").open("ab") as output:
            done = subprocess.run(
                [self.programs / program, "-D", self.folder / "data", *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=120,
                user=owner and owner.pw_uid,
                group=owner and owner.pw_gid,
            )
        if done.returncode:
            raise AssertionError(f"{program} {arguments}: {(self.folder / 'output').read_text()}")


def _owner() -> str:
    names = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def programs() -> Path | None:
    """Where `pg_ctl` and `initdb` lie: in PATH, or where Debian puts the newest version's."""
    found = shutil.which("pg_ctl")
    if found and shutil.which("initdb"):
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


@contextmanager
def own_server(where: Path, options: str = _FAST) -> Iterator[Server]:
    """A running server on a free port; it and its files are gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="leakdrill-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, _owner())
    server = Server(where, folder, free_port(), options)
    try:
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)


def can_be_measured() -> bool:
    """Whether `server_to_measure` has one; says so where it has not."""
    if programs() is None and not os.environ.get("LEAKDRILL_TEST_DATABASE_URL"):
        print(f"PostgreSQL: not measured, its programs are not on this machine; {ADVICE}")  # noqa: T201  benchmarks print
        return False
    return True


def stores_to_measure(only: str | None) -> list[str]:
    """The names of both stores, or of `only` one, as far as they can be measured here."""
    return [name for name in STORES if only in (None, name) and (name == "sqlite" or can_be_measured())]


@contextmanager
def server_to_measure() -> Iterator[str]:
    """The URL of the server that LEAKDRILL_TEST_DATABASE_URL names, else of one of our own with the settings that it
    comes with, so that every commit reaches the disk."""
    named, where = os.environ.get("LEAKDRILL_TEST_DATABASE_URL"), programs()
    if named:
        yield named
        return
    if where is None:
        raise LookupError("PostgreSQL's programs are not on this machine")
    with own_server(where, "") as server:
        yield server.url


@contextmanager
def empty_database(url: str) -> Iterator[str]:
    """The URL of an empty database of that server, which is gone at the end."""
    name = f"leakdrill_bench_{secrets.token_hex(4)}"
    with connected(url) as maintenance:
        maintenance.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        yield beside(url, name)
        maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Databases:
    """Databases with leakdrill's tables and no rows. One that a test has left as it was is emptied and used again: that
    takes a tenth of the time of making one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free: list[tuple[str, str]] = []  # URL, and what its tables looked like
        self._made: list[str] = []

    def take(self) -> tuple[str, str]:
        """The URL of a database that nobody else has, and what its tables look like."""
        if self._free:
            return self._free.pop()
        name = f"leakdrill_test_{os.getpid()}_{len(self._made)}"
        with connected(self._url) as server:
            server.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        self._made.append(name)
        url = beside(self._url, name)
        asyncio.run(open_store(url).close())
        with connected(url) as database:
            return url, database.execute(_SHAPE).fetchone()[0]

    def give_back(self, url: str, shape: str) -> None:
        """Empties it for another test, unless a test has changed more than rows."""
        with connected(url) as database:
            if database.execute(_SHAPE).fetchone()[0] == shape and database.execute(_VERSIONS).fetchone()[0]:
                database.execute(_EMPTY)
                self._free.append((url, shape))

    def drop(self) -> None:
        """Takes them all away."""
        with connected(self._url) as server:
            for name in self._made:
                server.execute(f"DROP DATABASE {name} WITH (FORCE)")


_TABLES = re.findall(r"CREATE TABLE (\w+)", SQLITE)
_FIRST_ROWS = re.findall(r"^INSERT INTO .*;$", SQLITE, re.MULTILINE)
_COUNT_ANEW = (
    "UPDATE numbered SET seq = 0; SELECT setval(oid::regclass, 1, false) FROM pg_class "
    "WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
)
# Those that refer to others come after them, so that they are emptied first.
_ENGINE = ("procrastinate_jobs", "procrastinate_workers")
_EMPTY = "; ".join([*(f"DELETE FROM {table}" for table in (*_ENGINE, *reversed(_TABLES))), *_FIRST_ROWS, _COUNT_ANEW])
_SHAPE = """
    SELECT md5(concat(
        (SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
        (SELECT string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal)))
"""
_VERSIONS = (
    f"SELECT (SELECT min(version) FROM schema_version) = {VERSION} AND "
    f"(SELECT min(version) FROM engine_version) = '{engine_version()}'"
)


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """A psycopg connection, each command of which is a transaction."""
    import psycopg

    with psycopg.connect(url, autocommit=True, options="-c lock_timeout=10s") as connection:
        yield connection


def beside(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))
