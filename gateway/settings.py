"""Every setting of the gateway, the workers and the supervisor: `LEAKDRILL_…` in the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.errors import OperatorError

Port = Annotated[int, Field(ge=0, le=65535)]
POSTGRESQL = "postgresql://"


class Settings(BaseSettings):
    """One class, read once at start. `load()` turns a bad value into one clear line."""

    model_config = SettingsConfigDict(env_prefix="LEAKDRILL_", frozen=True)

    data: Path = Field(Path(".leakdrill"), description="Directory for the database, media, reports and secrets.")
    database_url: str = Field(
        "",
        description="`sqlite:///PATH` or `postgresql://USER@HOST/NAME`; empty: `leakdrill.db` in the data directory.",
    )
    host: str = Field("127.0.0.1", description="Address the gateway binds. Nothing binds wider unless told.")
    port: Port = Field(8000, description="Port of the gateway; 0 lets the system choose.")
    replica: str = Field(
        "r1",
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description="Name of this gateway among those that share a database; every answer bears it.",
    )
    page_host: str = Field("127.0.0.1", description="Address the page binds.")
    page_port: Port = Field(7860, description="Port of the page.")
    public_url: str = Field(
        "",
        description="Base of signed media links and issuer of security events; "
        "empty means the address a request came to, and the gateway's own.",
    )
    admin_token: str = Field("", description="Admin bearer; empty means the generated one in `admin.token`.")
    secret_key: str = Field("", description="Key for token hashes and links; empty means the one in `secret.key`.")
    tiers_file: str = Field("", description="YAML file of the tiers; empty means those that ship.")
    queue_limit: int = Field(100_000, ge=1, description="Longest waiting line; one more job is answered 429.")
    queue_order: Literal["fifo", "fair"] = Field(
        "fifo", description="Who is served next within a priority: fifo, who came first; fair, tokens in turn."
    )
    estimate_seconds: float = Field(
        0.1, ge=0, description="How long what is known of the waiting line is reused, in seconds; 0 for never."
    )
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="Longest request body that is read.")
    max_upload_bytes: int = Field(
        64 * 1024 * 1024, ge=1024, description="Longest request body of the video endpoints, which take files."
    )
    max_clip_bytes: int = Field(256 * 1024 * 1024, ge=1024, description="Longest clip that is taken for tracing.")
    link_seconds: int = Field(300, ge=1, description="How long a signed media link lives, in seconds.")
    clip_seconds: int = Field(86_400, ge=60, description="How long a finished clip is served, in seconds.")
    keep_jobs_days: float = Field(
        0, ge=0, description="Days after its end that a video without credits is known; 0 means for ever."
    )
    keep_deliveries_days: float = Field(
        0, ge=0, description="Days that ended deliveries to webhooks and sinks are listed; 0 means for ever."
    )
    keep_reports_days: float = Field(
        0, ge=0, description="Days that what lies in `reports/` is kept after its last change; 0 means for ever."
    )
    log_bytes: int = Field(
        10 * 1024 * 1024, ge=1024, description="Size from which `up` puts a log aside when it starts what writes it."
    )
    lease_seconds: float = Field(5.0, gt=0, description="How long a worker may be silent before its job is taken over.")
    heartbeat_seconds: float = Field(0.5, gt=0, description="How often a worker extends its leases and tells progress.")
    guard_seconds: float = Field(0.1, gt=0, description="How often a worker checks that its jobs are still its own.")
    poll_seconds: float = Field(
        0.01, gt=0, description="How often an idle worker looks for a job, where no engine delivers them."
    )
    max_attempts: int = Field(3, ge=1, description="Attempts at a job before it fails with `worker_lost`.")
    render: Literal["full", "cached", "null"] = Field(
        "full",
        description="full renders each video; cached, for load tests, repeats one clip a size and length; null, to "
        "measure the queue alone, publishes a few bytes that no player takes.",
    )
    encoder_threads: int = Field(1, ge=1, le=16, description="Threads of the video encoder in each render.")
    watermark: str = Field("synthetic · leakdrill mock", min_length=1, description="Words of the visible mark.")
    exercise_line: str = Field("", max_length=40, description="A line in the upper left corner of every frame.")
    step_counter: bool = Field(False, description="Whether a clip shows its steps while it is refined.")
    allow_private_targets: Literal["none", "loopback", "all"] = Field(
        "none", description="Which inner addresses URLs of callers may lead to: none, loopback or all."
    )
    profiles_dir: str = Field("", description="A folder of latency profiles of your own; empty means none.")
    fault_header: bool = Field(
        False, description="Whether a request may ask for a failure itself; `leakdrill up` sets it unless told."
    )
    webhook_attempts: int = Field(8, ge=1, le=50, description="Attempts at a webhook delivery before it is dead.")
    webhook_first_retry_seconds: float = Field(
        5.0, gt=0, description="Wait before the second attempt at a delivery; it doubles with each."
    )
    webhook_timeout_seconds: float = Field(10.0, gt=0, description="How long one attempt at a delivery may take.")
    webhook_poll_seconds: float = Field(0.25, gt=0, description="How often the gateway looks for due deliveries.")
    sink_attempts: int = Field(8, ge=1, le=50, description="Attempts at a security event before it is dead.")
    sink_first_retry_seconds: float = Field(
        5.0, gt=0, description="Wait before the second attempt at a security event; it doubles with each."
    )
    sink_timeout_seconds: float = Field(10.0, gt=0, description="How long one attempt at a security event may take.")
    streams_per_token: int = Field(8, ge=1, description="Event streams that one token may have open in one gateway.")
    stream_keepalive_seconds: float = Field(
        15.0, gt=0, description="After how much silence an event stream sends a comment, in seconds."
    )
    share_approval: bool = Field(False, description="Whether an operator must approve before a clip is shared.")
    disclosure_keys_file: str = Field(
        "", description="Public keys of reporters of leaks; empty means `disclosure-keys.json` in the data directory."
    )
    disclosure_policy: Literal["observe", "quarantine", "revoke"] = Field(
        "quarantine", description="What becomes of a token that is reported as leaked: observe, quarantine or revoke."
    )
    disclosure_labels: bool = Field(
        True, description="Whether a reporter is told which tokens were ours; otherwise the answer is 204."
    )
    metrics: Literal["open", "admin", "off"] = Field(
        "open", description="Who may read `/metrics`, which holds no secrets: open, admin or off."
    )
    log_level: str = Field("warning", description="debug, info, warning or error.")
    log_format: Literal["text", "json"] = Field(
        "text", description="How the processes write their log: text, or json, an object a line."
    )

    otlp_endpoint: str = Field(
        "", pattern="^(https?://.+)?$", description="Base URL of an OTLP/HTTP receiver of traces; empty means none."
    )

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value not in {"debug", "info", "warning", "error"}:
            raise ValueError("must be debug, info, warning or error")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", POSTGRESQL)):
            raise ValueError(
                f"must start with sqlite:/// or {POSTGRESQL}, for example sqlite:///./leakdrill.db or "
                "postgresql://leakdrill@localhost/leakdrill"
            )
        return value

    @property
    def database(self) -> Path | str:
        """The SQLite file, or the URL of a PostgreSQL database."""
        if self.database_url.startswith(POSTGRESQL):
            return self.database_url
        return Path(self.database_url.removeprefix("sqlite:///")) if self.database_url else self.data / "leakdrill.db"

    @property
    def own_url(self) -> str:
        """Where this gateway alone is reached, whatever stands before it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def reporter_keys(self) -> Path:
        """File of the public keys of those who report leaks."""
        return Path(self.disclosure_keys_file) if self.disclosure_keys_file else self.data / "disclosure-keys.json"

    @property
    def issuer(self) -> str:
        """What this gateway calls itself in security events: a URL without a slash at its end."""
        return (self.public_url or self.own_url).rstrip("/")

    @property
    def media(self) -> Path:
        """Directory of finished clips."""
        return self.data / "media"

    @property
    def inputs(self) -> Path:
        """Directory of uploads, and of the sources that unended jobs start from."""
        return self.data / "inputs"


def load(**overrides: object) -> Settings:
    """Settings from the environment, `overrides` (None means: not given) on top.

    Raises OperatorError naming each variable that does not fit.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as exc:
        lines = [
            f"LEAKDRILL_{'_'.join(str(part) for part in error['loc']).upper()}: "
            f"{error['msg'].removeprefix('Value error, ')} (it is {without_password(repr(error['input']))})"
            for error in exc.errors()
        ]
        raise OperatorError("; ".join(lines)) from exc


def without_password(text: str) -> str:
    """The text, in which a URL's password is not to be read."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:…@", text)


def prepare_data(settings: Settings) -> None:
    """Creates the data directory and `media/`; raises OperatorError where that cannot be written."""
    for path in (settings.data, settings.media, settings.inputs, settings.data / "reports"):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise OperatorError(
                f"cannot create {path}: {exc.strerror}; set LEAKDRILL_DATA to a directory you can write"
            ) from exc
        if not os.access(path, os.W_OK | os.X_OK):
            raise OperatorError(f"cannot write in {path}; set LEAKDRILL_DATA to a directory you can write")
