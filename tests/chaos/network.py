"""A network between leakdrill and its database that stalls, is absent, or loses a connection at the worst moment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Moment:
    """When a connection is lost: at the `later`-th piece that is sent to the database after one that holds `word`; 0 is
    that piece. The database never gets it, or, where `answered`, has done what it says and the answer gets lost."""

    word: bytes
    later: int = 0
    answered: bool = False


#: A writer's transaction begins with this; its statements follow one by one.
AMID_A_CHANGE = Moment(b"pg_advisory_xact_lock", later=2)
#: It ends with this, which says how many events there are and commits.
BEFORE_ITS_COMMIT = Moment(b"UPDATE numbered")
UNCONFIRMED = Moment(b"UPDATE numbered", answered=True)


@dataclass(eq=False)
class _Line:
    """A connection: to the client, and to the database."""

    client: socket.socket
    server: socket.socket
    left: int | None = None  # pieces until the armed moment
    withheld: bool = False

    def cut(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):  # the other end may have been faster
                end.shutdown(socket.SHUT_RDWR)


@dataclass
class Network:
    """Leads connections to `port` on to the database at `beyond`, both on this machine. Use it as a context."""

    beyond: int
    lost: int = 0  # connections that were lost at an armed moment

    _lines: set[_Line] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: threading.Event = field(default_factory=threading.Event)
    _moment: Moment | None = None
    _absent: bool = False

    def __enter__(self) -> Self:
        self._open.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # nobody may be waiting in `accept`
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._open.set()
        self.cut()

    def cut(self) -> None:
        """Every connection is lost."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.cut()

    def lose(self, moment: Moment) -> None:
        """The next connection that comes to such a moment is lost; what was armed before is not."""
        with self._lock:
            self._moment = moment

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing gets through meanwhile, and everything afterwards."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    @contextmanager
    def absent(self) -> Iterator[None]:
        """Every connection is lost, and none can be made."""
        self._absent = True
        self.cut()
        try:
            yield
        finally:
            self._absent = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:  # the end
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._open.wait()
        if self._absent:
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.beyond))
        except OSError:  # the database is gone
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = _Line(client, server)
        with self._lock:
            self._lines.add(line)
        back = threading.Thread(target=self._carry, args=(line, server, client), daemon=True)
        back.start()
        self._carry(line, client, server)
        back.join()
        with self._lock:
            self._lines.discard(line)
        client.close()
        server.close()

    def _carry(self, line: _Line, source: socket.socket, target: socket.socket) -> None:
        """Hands on what comes, piece by piece, until either end is gone."""
        try:
            while piece := source.recv(1 << 20):
                self._open.wait()
                if not self._passes(line, piece, sent=source is line.client):
                    break
                target.sendall(piece)
        except OSError:
            pass  # lost at either end, or cut: what follows is the same
        finally:
            line.cut()

    def _passes(self, line: _Line, piece: bytes, *, sent: bool) -> bool:
        with self._lock:
            if not sent:
                self.lost += line.withheld
                return not line.withheld
            moment = self._moment
            if line.left is None and moment is not None and moment.word in piece:
                line.left = moment.later
            elif line.left:
                line.left -= 1
            if line.left != 0:
                return True
            line.left = None
            if moment is None:  # another connection was faster
                return True
            self._moment = None
            line.withheld = moment.answered
            self.lost += not moment.answered
            return moment.answered
