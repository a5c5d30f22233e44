"""What can go wrong, as one tree.

    LeakdrillError
    ├── OperatorError             bad settings, unusable directory, port in use: one line for the shell, exit code 2
    └── APIError                  carries its HTTP status and the envelope's type and code
        ├── InvalidRequest        400
        ├── UrlRefused            400
        ├── FetchFailed           400
        ├── ConfirmationRequired  400
        ├── InvalidCredentials    401
        ├── SignatureRefused      401
        ├── InsufficientScope     403
        ├── LinkRefused           403
        ├── NotFound              404
        ├── MethodNotAllowed      405
        ├── Conflict              409
        ├── IdempotencyKeyReused  409
        ├── Gone                  410
        ├── PayloadTooLarge       413
        ├── UnsupportedMediaType  415
        ├── RangeNotSatisfiable   416
        ├── UnprocessableRequest  422
        ├── QueueFull             429
        ├── RateLimitExceeded     429
        ├── QueuedJobsExceeded    429
        ├── StreamsExceeded       429
        ├── InsufficientQuota     429
        ├── ServerFault           500
        ├── StoreUnavailable      503
        ├── ReporterKeysUnreadable 503
        ├── BrownOut              503
        └── Overloaded            503

Every API error is answered as ``{"error": {"message", "type", "param", "code"}}``, which OpenAI's clients read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

# Under this key of a request's ASGI scope any room may leave headers, raw (name, value) pairs, for its answer. Errors
# carry them too.
ANSWER_HEADERS = "leakdrill.headers"


class LeakdrillError(Exception):
    """Anything that leakdrill itself reports."""


class OperatorError(LeakdrillError):
    """Something on this machine is not as it must be; the message says what, where and what to do."""


class APIError(LeakdrillError):
    """An error with an HTTP status. Leaf classes fix status, type and default code."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "server_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.error_code = code or self.code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, dict[str, str | None]]:
        """The JSON body."""
        return {
            "error": {"message": self.message, "type": self.type, "param": self.param, "code": self.error_code},
        }


class InvalidRequest(APIError):
    """A field is missing, malformed or outside what is allowed."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class UrlRefused(APIError):
    """A URL that the gateway does not call: its form, or the address behind its name."""

    status = 400
    type = "invalid_request_error"
    code = "url_not_allowed"


class FetchFailed(APIError):
    """A URL that may be called, but does not resolve, answer or deliver."""

    status = 400
    type = "invalid_request_error"
    code = "url_unreachable"


class ConfirmationRequired(APIError):
    """A sweeping change that must be asked for twice."""

    status = 400
    type = "invalid_request_error"
    code = "confirmation_required"


class InvalidCredentials(APIError):
    """Unknown, expired, suspended and revoked bearers are told the same thing (RFC 6750, section 3.1).

    `accessor` and `reason` are for the event list only; they never reach the answer.
    """

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"

    def __init__(self, message: str, *, given: bool = True, accessor: str | None = None, reason: str = "") -> None:
        challenge = 'Bearer realm="leakdrill", error="invalid_token"' if given else 'Bearer realm="leakdrill"'
        super().__init__(message, headers={"WWW-Authenticate": challenge, "x-should-retry": "false"})
        self.accessor = accessor
        self.reason = reason


class SignatureRefused(APIError):
    """A notice without a signature, or with one that no current key of a reporter made over this body."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_signature"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        # RFC 9110, section 15.5.2, wants a challenge; the scheme is the programme's pair of headers.
        super().__init__(message, code=code, headers={"WWW-Authenticate": 'Github-Public-Key realm="leakdrill"'})


class InsufficientScope(APIError):
    """The token is good, but not for this (RFC 6750, section 3.1)."""

    status = 403
    type = "invalid_request_error"
    code = "insufficient_scope"

    def __init__(self, message: str, *, scope: str, accessor: str, reason: str) -> None:
        challenge = f'Bearer realm="leakdrill", error="insufficient_scope", scope="{scope}"'
        super().__init__(message, headers={"WWW-Authenticate": challenge, "x-should-retry": "false"})
        self.accessor = accessor
        self.reason = reason


class LinkRefused(APIError):
    """A media link whose signature is wrong or whose time is over."""

    status = 403
    type = "invalid_request_error"
    code = "invalid_link"


class NotFound(APIError):
    """No such thing, or somebody else's: the answer does not tell which."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowed(APIError):
    """The address exists, the verb does not."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class Conflict(APIError):
    """Not possible in the present state."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"


class IdempotencyKeyReused(APIError):
    """An Idempotency-Key that stands for another request."""

    status = 409
    type = "invalid_request_error"
    code = "idempotency_key_reused"


class Gone(APIError):
    """The API has ended, or practises for it."""

    status = 410
    type = "invalid_request_error"
    code = "api_ended"


class PayloadTooLarge(APIError):
    """The body is longer than the gateway reads."""

    status = 413
    type = "invalid_request_error"
    code = "payload_too_large"


class UnsupportedMediaType(APIError):
    """A body in a form that this endpoint does not read."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class RangeNotSatisfiable(APIError):
    """A byte range outside the file (RFC 9110, section 15.5.17)."""

    status = 416
    type = "invalid_request_error"
    code = "range_not_satisfiable"


class UnprocessableRequest(APIError):
    """The body parses, but its fields do not fit the schema."""

    status = 422
    type = "invalid_request_error"
    code = "invalid_value"


class QueueFull(APIError):
    """The waiting line is at its limit, or what is left of it is kept for tokens with fewer videos in line."""

    status = 429
    type = "rate_limit_error"
    code = "queue_full"


class RateLimitExceeded(APIError):
    """More requests than the token's tier has in a minute."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"


class QueuedJobsExceeded(APIError):
    """As many of the token's videos wait as its tier allows."""

    status = 429
    type = "rate_limit_error"
    code = "queued_jobs_exceeded"


class StreamsExceeded(APIError):
    """As many streams are open with the token as it may have."""

    status = 429
    type = "rate_limit_error"
    code = "open_streams_exceeded"


class InsufficientQuota(APIError):
    """The key's credits do not suffice, or a seeded failure says so; trying again does not help."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"


class ServerFault(APIError):
    """Anything that should not have happened. The traceback goes to the log, never to the caller."""


class StoreUnavailable(APIError):
    """The database did not answer. Nothing was changed, unless the message says that nobody knows. Ask again."""

    status = 503
    type = "server_error"
    code = "store_unavailable"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"Retry-After": "1"})


class ReporterKeysUnreadable(APIError):
    """The file of reporters' keys is broken, so nobody is believed; nothing was changed. Send the notice again."""

    status = 503
    type = "server_error"
    code = "reporter_keys_unreadable"


class BrownOut(APIError):
    """The API practises its end: a planned outage, before the real one."""

    status = 503
    type = "server_error"
    code = "brown_out"


class Overloaded(APIError):
    """A seeded failure: more load than the service takes. Try again after the time it names."""

    status = 503
    type = "server_error"
    code = "overloaded"
