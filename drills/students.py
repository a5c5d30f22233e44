"""A class of simulated students: each joins by the class's code, makes clips, watches them, and goes on after the cut.

They are clients of the public API alone, as the Generate page is in a student's name, and play in a thread with an
event loop of its own, so that the drill's measuring does not wait for them.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from drills.callers import form_of
from drills.class_report import Asked, StudentSeen
from drills.errors import DrillError
from drills.history import outcome_of
from drills.population import Traffic

REQUEST_SECONDS = 10.0
# Replay minutes that a student lets pass, between two bounds; and real seconds below which nobody is as quick.
BEFORE_JOINING = (0.0, 45.0)
BETWEEN_CLIPS = (15.0, 45.0)
BETWEEN_TRIES = (2.0, 6.0)
QUICKEST = 0.5
JOIN_TRIES = 5
END_SECONDS = 45.0


class Student:
    """One student, with one seat and one token. `leaving` ends the lesson after a last try of everything."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        seen: StudentSeen,
        traffic: Traffic,
        *,
        speed: float,
        chance: random.Random,
        wall: Callable[[], float],
        leaving: asyncio.Event,
    ) -> None:
        self._http = http
        self.seen = seen
        self._traffic = traffic
        self._speed = speed
        self._chance = chance
        self._wall = wall
        self._leaving = leaving
        self._headers: dict[str, str] = {}
        self._video: str | None = None
        self._link: str | None = None
        self._wait = 0.0

    async def attend(self, code: str) -> None:
        """The whole lesson."""
        await self._let_pass(BEFORE_JOINING, quickest=0.0)
        if not await self._join(code):
            return
        while not self._leaving.is_set():
            refused = not await self._make_a_clip()
            await self._let_pass(BETWEEN_TRIES if refused else BETWEEN_CLIPS)
        await self._try_everything()

    async def _join(self, code: str) -> bool:
        for _ in range(JOIN_TRIES):
            body = {"code": code, "name": self.seen.name}
            asked, answer = await self._ask("join", "POST", "/join", json=body)
            if "token" in answer:
                self._headers = {"Authorization": f"Bearer {answer['token']}"}
                self.seen.joined_at = asked.ended
                return True
            self.seen.why_not = "no answer" if asked.status is None else f"{asked.status} {asked.code or ''}".rstrip()
            if asked.outcome not in ("fault", "limited"):
                break
            await self._rest(max(1.0, self._wait))
        return False

    async def _make_a_clip(self) -> bool:
        """Order, wait as told, watch. False where that was refused; then what was made before is tried as well."""
        asked, video = await self._order()
        if video is None:
            if asked.outcome == "refused":
                await self._try_the_rest()
            return False
        self._video = video
        while not self._leaving.is_set():
            await self._rest(self._wait)
            asked, answer = await self._poll()
            if asked.outcome == "refused":
                self.seen.stopped += 1
                return False
            if asked.outcome == "unclear":
                return True  # the video is gone; the record says with which answer
            if answer.get("status") == "completed":
                self.seen.clips += 1
                await self._watch()
                return True
            if answer.get("status") == "failed":
                self._lose(answer)
                return True
        return True

    def _lose(self, answer: Mapping[str, Any]) -> None:
        error = answer.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if code == "access_revoked":
            self.seen.stopped += 1
        else:
            self.seen.lost.append(str(code))

    async def _try_everything(self) -> None:
        await self._order()
        await self._try_the_rest()

    async def _try_the_rest(self) -> None:
        """What a student does who was refused: look whether the clip is there still, and whether it plays."""
        await self._ask("list", "GET", "/v1/videos?limit=1")
        if self._video:
            await self._poll()
        if self._link:
            await self._ask("signed_link", "GET", self._link, bare=True)

    async def _order(self) -> tuple[Asked, str | None]:
        traffic = self._traffic
        clip = self._chance.choices(traffic.clips, weights=[clip.weight for clip in traffic.clips])[0]
        order = form_of(clip, self._chance.choice(traffic.prompts))
        asked, answer = await self._ask("submit", "POST", "/v1/videos", json=order)
        return asked, str(answer["id"]) if asked.outcome == "accepted" and "id" in answer else None

    async def _poll(self) -> tuple[Asked, Mapping[str, Any]]:
        return await self._ask("poll", "GET", f"/v1/videos/{self._video}")

    async def _watch(self) -> None:
        """A link, and the clip behind it, of which a student's browser keeps the link."""
        _, answer = await self._ask("link", "POST", f"/v1/videos/{self._video}/link")
        if "url" in answer:
            url = urlsplit(str(answer["url"]))
            self._link = f"{url.path}?{url.query}"
            await self._ask("signed_link", "GET", self._link, bare=True)

    async def _ask(
        self, surface: str, method: str, path: str, *, json: Mapping[str, object] | None = None, bare: bool = False
    ) -> tuple[Asked, Mapping[str, Any]]:
        """Send, time, keep. `bare` leaves the token out."""
        started = self._wall()
        try:
            headers = {} if bare else self._headers
            response: httpx.Response | None = await self._http.request(method, path, headers=headers, json=json)
        except httpx.HTTPError:
            response = None  # kept as a request without an answer
        ended = self._wall()
        body = _object(response)
        error = body.get("error")
        code = str(error["code"]) if isinstance(error, dict) and error.get("code") else None
        status = response.status_code if response is not None else None
        asked = Asked(
            student=self.seen.name,
            surface=surface,
            path=urlsplit(path).path,
            started=started,
            ended=ended,
            status=status,
            code=code,
            outcome=outcome_of(status, code),
        )
        self.seen.asked.append(asked)
        self._wait = _told_to_wait(response)
        return asked, body

    async def _let_pass(self, minutes: tuple[float, float], quickest: float = QUICKEST) -> None:
        """A while of the replay, as one takes to look, think and type; longer where the gateway asked for it."""
        await self._rest(max(quickest, self._wait, self._chance.uniform(*minutes) * 60 / self._speed))

    async def _rest(self, seconds: float) -> None:
        """So many seconds, or until the lesson ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leaving.wait()


async def attend(
    http: httpx.AsyncClient,
    code: str,
    seen: Sequence[StudentSeen],
    traffic: Traffic,
    *,
    speed: float,
    seed: int,
    wall: Callable[[], float],
    leaving: asyncio.Event,
) -> None:
    """Lets a whole class have its lesson, side by side, until `leaving`; what they see is kept in `seen`."""
    async with asyncio.TaskGroup() as group:
        for one in seen:
            chance = random.Random(f"{seed} {one.seat}")  # the same whoever else is in the class
            student = Student(http, one, traffic, speed=speed, chance=chance, wall=wall, leaving=leaving)
            group.create_task(student.attend(code))


class Students:
    """Plays a class in a thread. Use it as a context manager: `start()`, and `finish()` once the drill has been played.

    Args:
        url: the gateway's address.
        seats: number and name of each seat.
        traffic: what visitors of the scenario ask for; the students ask for the same.
        speed: replay seconds per second.
        seed: what their choices follow from.
        wall: Unix seconds, on the clock that the gateway reads too.
    """

    def __init__(
        self,
        url: str,
        code: str,
        seats: Sequence[tuple[int, str]],
        traffic: Traffic,
        *,
        speed: float,
        seed: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._code = code
        self._traffic = traffic
        self._speed = speed
        self.seed = seed
        self._wall = wall
        self._seen = [StudentSeen(seat, name) for seat, name in seats]
        self._leaving = asyncio.Event()
        self._lesson: asyncio.Future[None] | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="students", daemon=True)
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever happened, nobody goes on asking."""
        if self._thread.is_alive():
            self._call(self._break_off)
            self._thread.join(REQUEST_SECONDS)

    def start(self) -> None:
        """Lets them come."""
        self._thread.start()
        self._ready.wait()

    def finish(self) -> tuple[float, list[StudentSeen]]:
        """The drill has been played: each tries everything once more, and leaves. When that was, and what they saw.

        Raises DrillError where they do not come to an end.
        """
        played_at = self._wall()
        self._call(self._leaving.set)
        self._thread.join(END_SECONDS)
        if self._failure is not None:
            raise DrillError(f"the simulated class broke off: {self._failure!r}") from self._failure
        if self._thread.is_alive():
            raise DrillError(f"the simulated class did not come to an end within {END_SECONDS:g} s")
        return played_at, self._seen

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                self._ready.set()
                runner.run(self._attend())
        except BaseException as failure:  # noqa: BLE001 - a thread's failure is its owner's to hear of
            self._failure = failure
        finally:
            self._ready.set()

    def _call(self, what: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended: there is nobody left to tell
            self._loop.call_soon_threadsafe(what)

    def _break_off(self) -> None:
        self._leaving.set()
        if self._lesson is not None:
            self._lesson.cancel()

    async def _attend(self) -> None:
        limits = httpx.Limits(max_connections=2 * len(self._seen), max_keepalive_connections=len(self._seen))
        async with httpx.AsyncClient(
            base_url=self._url, timeout=REQUEST_SECONDS, limits=limits, trust_env=False
        ) as http:
            lesson = attend(
                http, self._code, self._seen, self._traffic,
                speed=self._speed, seed=self.seed, wall=self._wall, leaving=self._leaving,
            )  # fmt: skip
            self._lesson = asyncio.ensure_future(lesson)
            with suppress(asyncio.CancelledError):  # by `__exit__`, after which nobody reads what they saw
                await self._lesson


def _object(response: httpx.Response | None) -> Mapping[str, Any]:
    """The answer's JSON object; empty for anything else, such as a clip."""
    if response is None or "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _told_to_wait(response: httpx.Response | None) -> float:
    """Seconds after which the gateway wants to be asked again."""
    headers = response.headers if response is not None else {}
    if (seconds := headers.get("retry-after", "")).isdigit():
        return float(seconds)
    told = headers.get("openai-poll-after-ms", "")
    return max(QUICKEST, int(told) / 1000) if told.isdigit() else QUICKEST
