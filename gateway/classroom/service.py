"""Open a class, take a seat by its code, hand tokens out on paper, free a seat, end the class.

Every seat has its token from the beginning, so that a preview counts the whole class. Nobody knows the secret of a free
seat's token: who takes the seat is given one, once. Names of students stand in the seats alone; tokens, and the event
list, which is never emptied, know a student by the number of the seat.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from gateway.classroom.codes import code_of, is_code
from gateway.classroom.names import folded, standard_name, tidied
from gateway.clock import Clock
from gateway.errors import APIError, Conflict, JoinRefused, NotFound
from gateway.events import EventKind
from gateway.limits import GuessLimits
from gateway.revocations import service as revocations
from gateway.store import Connection, Store, classes, events, tokens
from gateway.store.classes import ClassRow, Seat
from gateway.store.tokens import Token, TokenState
from gateway.tokens import freeze
from gateway.tokens import secret as secrets_format
from gateway.tokens import service as token_service
from gateway.tokens.keys import Keyring

COHORT = "class"
MOST_STUDENTS = 200
SEAT_RESET = "The instructor has freed this seat for another start."
CLASS_ENDED = "The class has ended."


@dataclass(frozen=True)
class Place:
    """A seat, and its token's state as people read it."""

    seat: Seat
    state: str


@dataclass(frozen=True)
class Roster:
    """The open class."""

    id: str
    code: str
    opened_at: float
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Taken:
    """A seat with the secret that its holder is shown this once."""

    seat: Seat
    secret: str


async def open_class(
    store: Store, keys: Keyring, names: Sequence[str], *, in_flight: int | None, now: float, actor: str
) -> Roster:
    """Opens a class with a seat for each name. `in_flight` is how many jobs of one token may be rendered at once.

    Raises InvalidRequest where a name stands twice or does not show, Conflict while another class is open or minting is
    frozen.
    """
    names = tidied(names)
    row = ClassRow(id=f"class_{secrets.token_hex(8)}", opened_at=now, ended_at=None)

    def work(tx: Connection) -> Roster:
        if classes.open_one(tx) is not None:
            raise Conflict("A class is open already; end it first.", code="class_open")
        seats = []
        for number, name in enumerate(names, 1):
            token = _issue(tx, keys, row.id, number, in_flight=in_flight, now=now, actor=actor)
            seats.append(Seat(number, name, token.accessor))
        classes.insert(tx, row, seats)
        _note(tx, EventKind.CLASS_OPENED, now, actor, {"class": row.id, "seats": len(seats)})
        return _roster(tx, keys, row, now)

    return await store.write(work)


async def show(store: Store, keys: Keyring, *, now: float) -> Roster | None:
    """The open class, or None."""

    def work(tx: Connection) -> Roster | None:
        row = classes.open_one(tx)
        return None if row is None else _roster(tx, keys, row, now)

    return await store.read(work)


async def join(
    store: Store, keys: Keyring, code: str, name: str | None, *, guesses: GuessLimits, address: str, now: float
) -> Taken:
    """Takes the seat of that name, or the next free one, for whoever knows the code. `guesses` counts the wrong codes
    that come from `address`.

    Raises RateLimitExceeded after too many of them; JoinRefused for a code that no class has, or had until it ended;
    NotFound for a name that is not on the list; Conflict for a seat that somebody has, where none is free, or where the
    token was cut off meanwhile.
    """
    known = await store.read(classes.known)
    # Nothing is awaited from here to the count, so that guesses at the same time do not slip past the limit together.
    guesses.ensure(address, now)
    row = _class_of(known, keys, code)
    if row is None or row.ended_at is not None:
        guesses.count(address, now)
    if row is None:
        await _refuse(
            store, JoinRefused("No class has this code. Check it letter by letter with the board.", param="code"), now
        )
    if row.ended_at is not None:
        await _refuse(store, _stale(), now)

    def work(tx: Connection) -> Taken | APIError:
        present = classes.open_one(tx)
        if present is None or present.id != row.id:
            return _stale()
        seat = _wanted(tx, present, name, now)
        if isinstance(seat, APIError):
            return seat
        taken = _take(tx, keys, present, seat, by="join", now=now)
        data = {"class": present.id, "seat": seat.number, "chosen": name is not None}
        _note(tx, EventKind.CLASS_JOINED, now, "student", data, accessor=seat.accessor)
        return taken

    outcome = await store.write(work)
    if isinstance(outcome, APIError):
        await _refuse(store, outcome, now)
    return outcome


async def hand_out(store: Store, keys: Keyring, *, now: float, actor: str) -> list[Taken]:
    """Takes every free seat whose token is still good, for a class that gets its tokens on paper."""

    def work(tx: Connection) -> list[Taken]:
        row = _ensure_open(tx)
        free = [seat for seat in classes.seats(tx, row.id) if seat.taken_at is None and _good(tx, seat, now)]
        taken = [_take(tx, keys, row, seat, by="paper", now=now) for seat in free]
        numbers = [one.seat.number for one in taken]
        _note(tx, EventKind.CLASS_HANDED_OUT, now, actor, {"class": row.id, "seats": numbers})
        return taken

    return await store.write(work)


async def reset_seat(
    store: Store, keys: Keyring, number: int, *, in_flight: int | None, clock: Clock, actor: str
) -> Place:
    """Revokes the seat's token and frees the seat with a new one, which nobody has until the student joins again.

    Raises NotFound for a seat that there is not, Conflict while minting is frozen; then nothing has changed. Two at
    once free it once each, one after the other.
    """
    row, seat = await store.read(lambda tx: _resettable(tx, number))
    selector = revocations.Selector(accessor=seat.accessor)
    await revocations.apply(
        store, keys.tokens, selector, reason=SEAT_RESET, actor=actor, clock=clock, moves_phase=False
    )

    def work(tx: Connection) -> Place:
        now = clock.now()
        present = classes.open_one(tx)
        if present is None or present.id != row.id:
            raise _none_open()
        token = _issue(tx, keys, row.id, number, in_flight=in_flight, now=now, actor=actor)
        if not classes.free(tx, row.id, number, before=seat.accessor, accessor=token.accessor):
            raise Conflict("Somebody else has just freed this seat.", param="seat", code="seat_changed")
        _note(
            tx,
            EventKind.CLASS_SEAT_RESET,
            now,
            actor,
            {"class": row.id, "seat": number, "before": seat.accessor},
            accessor=token.accessor,
        )
        return next(place for place in _roster(tx, keys, row, now).places if place.seat.number == number)

    return await store.write(work)


async def end_class(store: Store, keys: Keyring, *, clock: Clock, actor: str) -> None:
    """The code is stale, every token of the class is revoked and its names are forgotten. Raises NotFound where no
    class is open."""
    row = await store.read(_ensure_open)
    # First the tokens: whoever joins meanwhile is told that access was cut off. The other way round, an end that broke
    # off in between would leave tokens of no class.
    await revocations.apply(
        store,
        keys.tokens,
        revocations.Selector(label=row.id),
        reason=CLASS_ENDED,
        actor=actor,
        clock=clock,
        moves_phase=False,
    )

    def work(tx: Connection) -> None:
        now = clock.now()
        if _ensure_open(tx).id != row.id:
            raise _none_open()
        classes.end(tx, at=now)
        _note(tx, EventKind.CLASS_ENDED, now, actor, {"class": row.id})

    await store.write(work)


def _issue(
    tx: Connection, keys: Keyring, class_id: str, number: int, *, in_flight: int | None, now: float, actor: str
) -> Token:
    token = Token(
        accessor=f"tok_{secrets.token_hex(8)}",
        principal=standard_name(number),
        cohort=COHORT,
        scopes=token_service.SCOPES,
        labels=(class_id,),
        tier="standard",
        state=TokenState.ACTIVE,
        created_at=now,
        expires_at=None,
        last_used_at=None,
        revoked_at=None,
        revoked_reason=None,
        revocation=None,
    )
    token_service.add(tx, keys.tokens, secrets_format.mint(), token, in_flight=in_flight, now=now, actor=actor)
    return token


def _class_of(known: Iterable[ClassRow], keys: Keyring, code: str) -> ClassRow | None:
    """The class whose code this is. All are compared, so that the time tells nothing of which one was near."""
    found = None
    for row in known:
        if is_code(code, code_of(keys.classes, row.id)):
            found = row
    return found


def _stale() -> JoinRefused:
    return JoinRefused(
        "This code is of a class that has ended. Ask your instructor for the present one.",
        param="code",
        code="class_ended",
    )


def _none_open() -> NotFound:
    return NotFound("No class is open; open one first.", code="class_not_found")


def _ensure_open(tx: Connection) -> ClassRow:
    row = classes.open_one(tx)
    if row is None:
        raise _none_open()
    return row


def _resettable(tx: Connection, number: int) -> tuple[ClassRow, Seat]:
    row = _ensure_open(tx)
    seat = next((one for one in classes.seats(tx, row.id) if one.number == number), None)
    if seat is None:
        raise NotFound(f"The class has no seat {number}.", param="seat", code="seat_not_found")
    freeze.ensure_thawed(tx, token_service.SCOPES)
    return row, seat


def _good(tx: Connection, seat: Seat, now: float) -> bool:
    token = tokens.own_row(tx, seat.accessor)
    return token is not None and token.accepted(now)


def _wanted(tx: Connection, row: ClassRow, name: str | None, now: float) -> Seat | APIError:
    """The free seat of that name, or the next one; or why there is none."""
    seats = classes.seats(tx, row.id)
    if name is not None:
        seats = [seat for seat in seats if folded(seat.name) == folded(name)]
        if not seats:
            return NotFound(
                "This name is not on the list of the class. Leave it empty for the next free one.",
                param="name",
                code="seat_not_found",
            )
    free = [seat for seat in seats if seat.taken_at is None]
    if not free and name is not None:
        return Conflict(
            "Somebody has joined under this name. If it was you, ask your instructor to free it.",
            param="name",
            code="seat_taken",
        )
    if not free:
        return Conflict("Every seat of this class is taken.", code="class_full")
    good = next((seat for seat in free if _good(tx, seat, now)), None)
    return good or Conflict("Access of this seat has been cut off; no token is handed out.", code="seat_revoked")


def _take(tx: Connection, keys: Keyring, row: ClassRow, seat: Seat, *, by: str, now: float) -> Taken:
    if not classes.take(tx, row.id, seat.number, by=by, at=now):
        raise Conflict("Somebody has just taken this seat.", param="name", code="seat_taken")
    secret = secrets_format.mint()
    hashed, fingerprint = secrets_format.keyed_hash(keys.tokens, secret), secrets_format.fingerprint(secret)
    tokens.set_secret(tx, seat.accessor, hashed, fingerprint)
    return Taken(seat, secret)


def _roster(tx: Connection, keys: Keyring, row: ClassRow, now: float) -> Roster:
    found = tokens.find(tx, tokens.TokenFilter(label=row.id))
    states = {token.accessor: token.shown_state(now) for token in found}
    places = tuple(Place(seat, states[seat.accessor]) for seat in classes.seats(tx, row.id))
    return Roster(row.id, code_of(keys.classes, row.id), row.opened_at, places)


def _note(
    tx: Connection, kind: EventKind, at: float, actor: str, data: dict[str, object], accessor: str | None = None
) -> None:
    events.append(tx, kind, at=at, actor=actor, accessor=accessor, data=data)


async def _refuse(store: Store, error: APIError, now: float) -> NoReturn:
    """Raises the refusal once it is in the list. What was typed is not."""
    data: dict[str, object] = {"reason": error.error_code}
    await store.write(lambda tx: _note(tx, EventKind.CLASS_JOIN_REFUSED, now, "student", data))
    raise error
