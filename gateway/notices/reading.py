"""A batch of notices as a reporter sends it: a JSON array of `{token, type, url, source}`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gateway.errors import InvalidRequest, UnprocessableRequest
from gateway.tokens import secret as secrets_format

MAX_BYTES = 10 * 1024 * 1024
MAX_ITEMS = 1000
MAX_RECORDED = 500  # characters of a field that are kept
_LONGEST = {"token": 8192, "type": 255, "source": 255}


@dataclass(frozen=True)
class Notice:
    """One token found in one place. `url` may be empty."""

    token: str
    type: str
    url: str
    source: str

    def recorded(self, field: str) -> str:
        """A field for the record: printable, bounded, and without a token, which a URL may well contain."""
        text = str(getattr(self, field)).replace(self.token, "[token]")
        text = secrets_format.PATTERN.sub("[token]", text)
        return "".join(char if char.isprintable() else "�" for char in text)[:MAX_RECORDED]


def read_batch(body: bytes) -> list[Notice]:
    """The notices in their order; all are read, or none.

    Raises InvalidRequest where the body is no JSON array or too long, UnprocessableRequest naming the first notice that
    does not fit. Fields beyond the four are let through unread, as the programme may add some.
    """
    try:
        items = json.loads(body)
    except (ValueError, RecursionError) as exc:
        reason = str(exc) if isinstance(exc, json.JSONDecodeError) else type(exc).__name__
        raise InvalidRequest(f"The body is not valid JSON: {reason}.", code="invalid_json") from exc
    if not isinstance(items, list):
        raise InvalidRequest("The body must be a JSON array of notices.", code="invalid_json")
    if len(items) > MAX_ITEMS:
        raise InvalidRequest(
            f"A batch may hold {MAX_ITEMS} notices; this one holds {len(items)}. Nothing of it was taken; send it in "
            "parts.",
            code="too_many_notices",
        )
    return [_notice(item, number) for number, item in enumerate(items)]


def _notice(item: Any, number: int) -> Notice:
    if not isinstance(item, dict):
        raise UnprocessableRequest(f"[{number}]: must be an object with token, type, url and source.")
    # An absent place, or null, is an empty one: the programme itself sends notices without a URL.
    fields: dict[str, Any] = {"token": item.get("token"), "type": item.get("type")}
    fields |= {name: "" if item.get(name) is None else item[name] for name in ("url", "source")}
    for name, value in fields.items():
        param = f"[{number}].{name}"
        if not isinstance(value, str) or (name in ("token", "type") and not value):
            kind = "text, not empty" if name in ("token", "type") else "text"
            raise UnprocessableRequest(f"{param}: must be {kind}.", param=param)
        if len(value) > _LONGEST.get(name, MAX_BYTES):
            raise UnprocessableRequest(f"{param}: must be at most {_LONGEST[name]} characters.", param=param)
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise UnprocessableRequest(
                f"{param}: holds half of a surrogate pair, which is no character.", param=param
            ) from exc
    return Notice(**fields)
