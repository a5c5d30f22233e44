"""`/control/class`: a school class, its roster, one student's fresh start; `/join` for the students."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from gateway.classroom import service
from gateway.classroom.names import standard_name
from gateway.classroom.service import MOST_STUDENTS, Place, Roster
from gateway.errors import InvalidRequest
from gateway.web.auth import Admin
from gateway.web.context import Context, Ctx
from gateway.web.schemas import Body

public = APIRouter()
router = APIRouter(prefix="/control/class", tags=["control"])

DEFAULT_STUDENTS = 30
MAX_NAME = 60


PersonName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]
Number = Annotated[int, Path(ge=1, le=MOST_STUDENTS)]


class OpenClass(Body):
    """`students` seats; without it, one for each of `names`, or 30. The first seats have those names, in any script;
    the others are called by their number, Student 07."""

    students: int | None = Field(None, ge=1, le=MOST_STUDENTS)
    names: list[PersonName] | None = Field(None, min_length=1, max_length=MOST_STUDENTS)

    def seats(self) -> list[str]:
        """The names of the seats, in order; raises InvalidRequest where there are more names than seats."""
        names = self.names or []
        students = self.students or len(names) or DEFAULT_STUDENTS
        if len(names) > students:
            raise InvalidRequest(f"names has {len(names)}, and students is {students}: too few.", param="students")
        return names + [standard_name(number) for number in range(len(names) + 1, students + 1)]


class SeatInfo(BaseModel):
    """One seat. `taken_by` is `join`, or `paper` where its token was printed; null while it is free, as `taken_at` is,
    which is Unix seconds. `state` is that of its token. `resets` is how often the seat was freed again."""

    seat: int
    name: str
    accessor: str
    state: str
    taken_at: float | None
    taken_by: Literal["join", "paper"] | None
    resets: int

    @classmethod
    def of(cls, place: Place) -> SeatInfo:
        """As it stands."""
        seat = place.seat
        return cls.model_validate(
            {
                "seat": seat.number,
                "name": seat.name,
                "accessor": seat.accessor,
                "state": place.state,
                "taken_at": seat.taken_at,
                "taken_by": seat.taken_by,
                "resets": seat.resets,
            }
        )


class ClassInfo(BaseModel):
    """The class that is open; without one `open` is false, and id, code and time are null. `cohort` is that of its
    tokens. `opened_at` is Unix seconds."""

    open: bool
    id: str | None
    code: str | None
    cohort: str
    opened_at: float | None
    taken: int
    seats: list[SeatInfo]

    @classmethod
    def of(cls, roster: Roster | None) -> ClassInfo:
        """As it stands."""
        places = roster.places if roster else ()
        return cls(
            open=roster is not None,
            id=roster.id if roster else None,
            code=roster.code if roster else None,
            cohort=service.COHORT,
            opened_at=roster.opened_at if roster else None,
            taken=sum(place.seat.taken_at is not None for place in places),
            seats=[SeatInfo.of(place) for place in places],
        )


class SeatToken(BaseModel):
    """A seat's token; this answer and no other shows it."""

    seat: int
    name: str
    token: str


class HandedOut(BaseModel):
    """The tokens of all seats that were free."""

    data: list[SeatToken]


class JoinClass(Body):
    """`code` as on the board; case, spaces and hyphens do not matter. Without a `name`, the next free seat."""

    code: str = Field(min_length=1, max_length=40)
    name: PersonName | None = None


@router.post("", status_code=201)
async def open_class(body: OpenClass, ctx: Ctx, actor: Admin) -> ClassInfo:
    """Opens a class: a seat with a token for each student, and the code by which they take them."""
    roster = await service.open_class(
        ctx.store, ctx.keys, body.seats(), in_flight=_in_flight(ctx), now=ctx.clock.now(), actor=actor
    )
    return ClassInfo.of(roster)


@router.get("")
async def show(ctx: Ctx, actor: Admin) -> ClassInfo:
    """The code, and who has joined."""
    return ClassInfo.of(await service.show(ctx.store, ctx.keys, now=ctx.clock.now()))


@router.delete("")
async def end_class(ctx: Ctx, actor: Admin) -> ClassInfo:
    """Ends the class: its code is stale, its tokens are revoked, its names forgotten. The phase stays."""
    await service.end_class(ctx.store, ctx.keys, clock=ctx.clock, actor=actor)
    return ClassInfo.of(None)


@router.post("/tokens")
async def hand_out(ctx: Ctx, actor: Admin, response: Response) -> HandedOut:
    """The tokens of all free seats, to be printed for a class that does not join. Those seats are taken then."""
    response.headers["Cache-Control"] = "no-store"
    taken = await service.hand_out(ctx.store, ctx.keys, now=ctx.clock.now(), actor=actor)
    return HandedOut(
        data=[SeatToken(seat=one.seat.number, name=one.seat.name, token=one.secret) for one in taken],
    )


@router.post("/seats/{seat}/reset")
async def reset_seat(seat: Number, ctx: Ctx, actor: Admin) -> SeatInfo:
    """Revokes one student's token and frees the seat, with a new token for whoever joins there. The phase stays."""
    place = await service.reset_seat(ctx.store, ctx.keys, seat, in_flight=_in_flight(ctx), clock=ctx.clock, actor=actor)
    return SeatInfo.of(place)


@public.post("/join", tags=["class"])
async def join(body: JoinClass, ctx: Ctx, request: Request, response: Response) -> SeatToken:
    """A student takes a seat and is shown its token, this once. Wrong codes are limited, per address and in all."""
    taken = await service.join(
        ctx.store,
        ctx.keys,
        body.code,
        body.name,
        guesses=ctx.limits.guesses,
        address=request.client.host if request.client else "",
        now=ctx.clock.now(),
    )
    response.headers["Cache-Control"] = "no-store"
    return SeatToken(seat=taken.seat.number, name=taken.seat.name, token=taken.secret)


def _in_flight(ctx: Context) -> int | None:
    return ctx.limits.tiers.named("standard").in_flight
