"""Signed notices of leaked tokens, posted as a scanner posts them, and what was answered."""

import json
import zlib
from collections.abc import Sequence
from random import Random
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Literal

from pydantic import BaseModel, ConfigDict

from drills.callers import Answer, Bearer, Caller
from drills.errors import DrillError
from drills.gateway import GatewayClient
from drills.msel import Notice
from drills.signing import ReporterKey

PATH = "/disclosures/github"
TOKEN_TYPE = "leakdrill_access_token"  # noqa: S105 - the programme's name of a kind of token
PREFIX, BODY, CHECK = "ldk_", 30, 6
BASE62 = digits + ascii_uppercase + ascii_lowercase


class NoticeCall(BaseModel):
    """A notice as it was sent and answered. Seconds on the history's clock.

    `accessors` are the tokens that it named, none for those that nobody holds. `true_positives` is how many of them the
    gateway called its own, None where it does not tell. `again` says that it repeats the one before, to the letter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    line: str
    about: str
    start: float
    end: float
    outcome: Literal["taken", "refused", "unknown"]
    status: int | None
    code: str | None = None
    named: int
    accessors: list[str] = []
    true_positives: int | None = None
    again: bool = False
    request: int


class Reporter:
    """Sends notices. The target must know `key`."""

    def __init__(self, client: GatewayClient, key: ReporterKey | None, seed: int) -> None:
        self._client = client
        self._key = key
        self._chance = Random(seed)
        self._last: tuple[bytes, Sequence[Bearer], int] | None = None
        self.calls: list[NoticeCall] = []

    async def post(self, line: str, notice: Notice, bearers: Sequence[Bearer]) -> tuple[NoticeCall, Answer]:
        """Post a notice about these tokens, or about one that nobody holds. Raises DrillError without a key."""
        if self._key is None:
            raise DrillError("a notice needs a key that the target knows, and none was registered")
        body, named, count = self._body(notice, bearers)
        caller = Caller("control", "reporter")
        answer = await self._client.send(
            caller, "notice", "POST", PATH, content=body, headers=self._key.headers(body), bare=True
        )
        again = notice.again and self._last is not None
        self._last = body, named, count
        call = _read(line, notice.about, answer, named, count, again=again)
        self.calls.append(call)
        return call, answer

    def _body(self, notice: Notice, bearers: Sequence[Bearer]) -> tuple[bytes, Sequence[Bearer], int]:
        if notice.again and self._last is not None:
            return self._last
        tokens = [bearer.token for bearer in bearers] or [made_up(self._chance, sound=notice.about == "unknown")]
        fields = {"type": TOKEN_TYPE, "url": notice.found_at, "source": notice.found_in}
        items = [{"token": token, **fields} for token in tokens]
        return json.dumps(items, separators=(",", ":")).encode(), bearers, len(items)


def made_up(chance: Random, *, sound: bool) -> str:
    """A token that nobody holds: of the right form, or with a checksum that is wrong."""
    body = "".join(chance.choices(BASE62, k=BODY))
    number = zlib.crc32((PREFIX + body).encode()) ^ (not sound)
    check = ""
    for _ in range(CHECK):
        number, rest = divmod(number, len(BASE62))
        check = BASE62[rest] + check
    return PREFIX + body + check


def _read(line: str, about: str, answer: Answer, named: Sequence[Bearer], count: int, *, again: bool) -> NoticeCall:
    exchange = answer.exchange
    words = {"accepted": "taken", "fault": "unknown"}
    labels = [item.get("label") for item in answer.items if isinstance(item, dict)]
    return NoticeCall(
        line=line,
        about=about,
        start=exchange.start,
        end=exchange.end,
        outcome=words.get(exchange.outcome, "refused"),
        status=exchange.status,
        code=exchange.code,
        named=count,
        accessors=[bearer.accessor for bearer in named],
        true_positives=labels.count("true_positive") if len(labels) == count else None,
        again=again,
        request=exchange.n,
    )
