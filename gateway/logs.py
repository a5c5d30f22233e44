"""What the processes say on standard error: text for people, JSON lines for collectors, and in neither a secret.

Entries are written as `action=… key=value …`. Their template names the keys, so JSON gets the values themselves and
nothing is parsed out of a finished line. Whatever is about to be printed, from a library or in a traceback too, is
looked through for the shapes that this program's secrets have.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

Format = Literal["text", "json"]

#: The request that is being answered, where entries say so; "" outside of one.
REQUEST: ContextVar[str] = ContextVar("request", default="")

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
ACCESS = "leakdrill.access"

# They write addresses, which callers chose, and headers with bearers: at `info` the one, at `debug` the other.
_TALKATIVE = ("httpx", "httpcore", "procrastinate", "urllib3", "asyncio", "python_multipart", "PIL", "opentelemetry")

_HIDDEN = "…"
_SECRETS = re.compile(
    r"""(?P<kept>\b(?:ldk|lda|whsec)_)[A-Za-z0-9+/=_-]{16,}          # tokens, the admin's, keys of webhooks
      | (?P<scheme>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}      # Authorization
      | (?P<query>[?&;](?:sig|signature|token|access_token|key|code|secret|password)=)[^&\s"']+
      | (?P<user>//[^/@:\s]*:)[^/@\s]*(?=@)                          # a URL's password
      | (?P<jwt>\beyJ[A-Za-z0-9_-]{8,}\.)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+  # a signed JSON Web Token
      | (?P<pem>-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----)[^-]*""",
    re.VERBOSE | re.IGNORECASE,
)
_FIELD = re.compile(r"(\w+)=(\S*)")
_CONVERSION = re.compile(r"%[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]")


def configure(level: str, format: Format, **process: str) -> None:
    """One line an entry, on standard error. `process` says in each JSON line who speaks: `part`, `replica`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process) if format == "json" else Lines(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def without_secrets(text: str) -> str:
    """The text, in which nothing that looks like a secret of ours is to be read any more."""
    return _SECRETS.sub(lambda found: next(filter(None, found.groups())) + _HIDDEN, text)


class Lines(logging.Formatter):
    """Text, as people read it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or several where a traceback follows."""
        return without_secrets(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line: `time` (UTC, RFC 3339), `level`, `logger`, who speaks, `request_id` within a request,
    then `action` and the entry's own keys, or `message` where it has none, and `exception`."""

    def __init__(self, process: dict[str, str]) -> None:
        super().__init__()
        self._process = {name: value for name, value in process.items() if value}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC)
        said: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._process,
        }
        if REQUEST.get():
            said["request_id"] = REQUEST.get()
        for name, value in fields_of(record).items():
            said.setdefault(name, value)
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        clean = {name: without_secrets(value) if isinstance(value, str) else value for name, value in said.items()}
        return json.dumps(clean, ensure_ascii=False, default=str)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The keys and values of an entry that is written as `action=… key=value`; otherwise its text as `message`."""
    template = record.msg
    if not isinstance(template, str) or not template.startswith("action="):
        return {"message": record.getMessage()}
    args = record.args if isinstance(record.args, tuple) else (record.args,) if record.args else ()
    found: dict[str, Any] = {}
    for name, form in _FIELD.findall(template):
        number = len(_CONVERSION.findall(form))
        own, args = args[:number], args[number:]
        found[name] = _value(form, own)
    return found


def _value(form: str, args: tuple[Any, ...]) -> Any:
    if form in ("%s", "%r", "%d") and len(args) == 1:
        value = args[0]
        return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)
    return form % args if args else form
