"""The failures by name: where each can strike, what it takes, and what the struck caller is told.

Codes are the vendor's, texts are ours. Source: the error guide of OpenAI's API documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from gateway.errors import APIError, InsufficientQuota, InvalidRequest, Overloaded, RateLimitExceeded, ServerFault

SUBMITTING = ("create", "remix", "edit", "extend")
SURFACES = (*SUBMITTING, "retrieve", "list", "delete", "content")
ANY = "any"
# The calls of other vendors' APIs, by how many parts of a path follow the vendor's name.
OF_FACES = {
    ("fal", "POST", 2): "create",
    ("fal", "POST", 3): "create",
    ("fal", "GET", 4): "retrieve",
    ("fal", "GET", 5): "retrieve",
    ("replicate", "POST", 2): "create",
    ("replicate", "POST", 5): "create",
    ("replicate", "GET", 2): "list",
    ("replicate", "GET", 3): "retrieve",
    ("together", "POST", 2): "create",
    ("together", "GET", 3): "retrieve",
}

MODERATION_BLOCKED = "moderation_blocked"
# What a job that is bound to fail says when it does: fate -> message. The fate is also the error's code.
FATES = {MODERATION_BLOCKED: "This request was stopped by the moderation system. Change the prompt and send it again."}

MOST_DELAY_SECONDS = 600.0
MOST_RETRY_AFTER = 3600


@dataclass(frozen=True)
class Failure:
    """One failure. `surfaces` is where it can strike, `usual` where it does unless told otherwise, `options` what it
    takes."""

    name: str
    does: str
    surfaces: tuple[str, ...]
    usual: tuple[str, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """How a failure strikes. Seconds, bytes, bytes a second; None is the failure's own default."""

    retry_after: int | None = None
    delay_seconds: float | None = None
    after_bytes: int | None = None
    bytes_per_second: int | None = None

    def given(self) -> dict[str, float]:
        """Those that are not None."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}


EVERYWHERE = (*SURFACES, ANY)
DOWNLOAD = ("content",)

FAILURES = {
    failure.name: failure
    for failure in (
        Failure(
            MODERATION_BLOCKED,
            "the video is taken, and ends failed with this code once its time is over",
            SUBMITTING,
            SUBMITTING,
        ),
        Failure("rate_limit_exceeded", "429 with Retry-After", EVERYWHERE, (ANY,), ("retry_after",)),
        Failure("insufficient_quota", "429 that says not to try again", EVERYWHERE, (ANY,)),
        Failure("server_error", "500", EVERYWHERE, (ANY,)),
        Failure("overloaded", "503 with Retry-After", EVERYWHERE, (ANY,), ("retry_after",)),
        Failure("slow_first_byte", "the answer starts late", EVERYWHERE, DOWNLOAD, ("delay_seconds",)),
        Failure("slow_download", "the clip trickles", DOWNLOAD, DOWNLOAD, ("bytes_per_second",)),
        Failure("dropped_download", "the connection is reset in the middle", DOWNLOAD, DOWNLOAD, ("after_bytes",)),
        Failure(
            "truncated_download",
            "the connection closes with fewer bytes than Content-Length says",
            DOWNLOAD,
            DOWNLOAD,
            ("after_bytes",),
        ),
    )
}
DOWNLOAD_FAILURES = frozenset({"slow_download", "dropped_download", "truncated_download"})

DEFAULT_DELAY_SECONDS = 2.0
DEFAULT_BYTES_PER_SECOND = 64 * 1024
DEFAULT_RETRY_AFTER = 1


def named(name: str, param: str) -> Failure:
    """The failure of that name; raises InvalidRequest naming those that there are."""
    failure = FAILURES.get(name)
    if failure is None:
        raise InvalidRequest(
            f"There is no failure {name[:80]!r}; there are {', '.join(FAILURES)}.", param=param, code="unknown_failure"
        )
    return failure


def error_of(name: str, options: Options) -> APIError | None:
    """What the caller is answered instead, or None where the failure is no answer but a way to answer."""
    wait = {"Retry-After": str(options.retry_after or DEFAULT_RETRY_AFTER)}
    if name == "rate_limit_exceeded":
        return RateLimitExceeded("Rate limit reached for this key. Wait, then send the request again.", headers=wait)
    if name == "insufficient_quota":
        return InsufficientQuota(
            "This key has used up its quota. Sending the request again does not help; check the plan and its billing.",
            headers={"x-should-retry": "false"},
        )
    if name == "server_error":
        return ServerFault("The server had an error while it processed this request. Send it again.")
    if name == "overloaded":
        return Overloaded("The engine is overloaded. Wait, then send the request again.", headers=wait)
    return None


def surface_of(method: str, path: str) -> str:
    """Which surface a request is for; `any` where it is none of the named ones."""
    if path.startswith("/media/"):
        return "content"
    first, *parts = path.strip("/").split("/")
    if first in ("fal", "replicate", "together"):
        return OF_FACES.get((first, method, len(parts)), ANY)
    if not parts or parts[0] != "videos":
        return ANY
    rest = parts[1:]
    if not rest:
        return {"POST": "create", "GET": "list"}.get(method, ANY)
    if len(rest) == 1:
        if method == "POST":
            return {"edits": "edit", "extensions": "extend"}.get(rest[0], ANY)
        return {"GET": "retrieve", "DELETE": "delete"}.get(method, ANY) if rest[0] != "characters" else ANY
    if len(rest) == 2 and rest[0] != "characters":
        return {"content": "content", "remix": "remix"}.get(rest[1], ANY)
    return ANY
