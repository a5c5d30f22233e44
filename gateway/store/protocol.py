"""What a database driver must offer.

A unit of work is a plain function of a `Connection`: everything it does is one transaction, committed when it
returns and rolled back when it raises. Parameters are named (`:name`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gateway.clock import ReplayClock

if TYPE_CHECKING:
    from gateway.store.tokens import Token, TokenFilter

T = TypeVar("T")


class Row(Protocol):
    """One row: values by name, and in the order of the columns."""

    def __getitem__(self, name: str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


Params = Mapping[str, object]


def named(rows: Iterable[Params]) -> dict[str, object]:
    """Parameters of several rows for one statement: `id0` is the first one's `id`."""
    return {f"{name}{number}": value for number, row in enumerate(rows) for name, value in row.items()}


class Sight(Protocol):
    """How one gateway sees tokens where that is not as they are, and which mistakes it makes on purpose."""

    def blurred(self, tx: Connection) -> bool:
        """Whether it sees tokens otherwise than they are, at present."""
        ...

    def by_hash(self, tx: Connection, secret_hash: bytes) -> Token | None:
        """The token behind a bearer, as this gateway sees it."""
        ...

    def by_accessor(self, tx: Connection, accessor: str) -> Token | None:
        """The token that `accessor` names, as this gateway sees it."""
        ...

    def errs(self, tx: Connection, defect: str) -> bool:
        """Whether it makes the mistake of that name."""
        ...

    async def before_revocation(self, store: Store, which: TokenFilter) -> None:
        """What it does wrong before a revocation is written."""
        ...

    async def after_revocation(self, store: Store, accessors: tuple[str, ...]) -> None:
        """What it does, right or wrong, once these tokens were revoked."""
        ...


@dataclass(frozen=True)
class ChainEnd:
    """Where the event list ends: the last line's hash, and the replay clock that its next line is stamped with."""

    hash: str
    clock: ReplayClock | None


class Connection(Protocol):
    """One open transaction. `sight` is None where the database's word goes.

    `chain_end` is what it has read of the event list's end, so that writes which share a commit read it once. None
    where it must be read: at the beginning, after part of the transaction was taken back, and once the clock is set.
    """

    chain_end: ChainEnd | None

    @property
    def sight(self) -> Sight | None: ...

    @property
    def delivered(self) -> bool:
        """Whether an engine delivers the jobs of this database, so that each needs a message: see `messages`."""
        ...

    def execute(self, sql: str, params: Params | None = None) -> int:
        """Runs a statement; the number of rows it touched."""
        ...

    def insert(self, sql: str, params: Params | None = None) -> int:
        """Adds one row to a table that numbers its rows (`seq`); the number that it was given."""
        ...

    def fetch_one(self, sql: str, params: Params | None = None) -> Row | None:
        """The first row, or None."""
        ...

    def fetch_all(self, sql: str, params: Params | None = None) -> list[Row]:
        """All rows."""
        ...


class Store(Protocol):
    """Runs units of work. `StoreUnavailable` is raised, and nothing is changed, where the database does not answer."""

    @property
    def sight(self) -> Sight | None:
        """How those who use it see tokens; None where the database's word goes."""
        ...

    @property
    def delivered(self) -> bool:
        """Whether an engine delivers the jobs of this database."""
        ...

    def look_through(self, sight: Sight) -> None:
        """Lets every later transaction see tokens by `sight`."""
        ...

    async def read(self, work: Callable[[Connection], T], *, snapshot: bool = True) -> T:
        """Runs `work` on one consistent snapshot that holds every change committed before the call.

        Without `snapshot` each statement sees what is committed when it runs; for a single one that is the same, and
        costs less.
        """
        ...

    async def write(self, work: Callable[[Connection], T], *, brief: bool = False) -> T:
        """Runs `work` as one transaction; when this returns, the change is committed.

        `brief` says that it touches a handful of rows and so may run on the event loop.
        """
        ...

    def listen(self, channels: Sequence[str]) -> AsyncGenerator[str, None] | None:
        """The channel of each notification, for as long as it is asked, through outages; after each time that the
        connection was made anew, the empty text: something may have been missed. None where a database tells nothing.
        """
        ...

    async def close(self) -> None:
        """Finishes what is under way and lets go of the database."""
        ...
