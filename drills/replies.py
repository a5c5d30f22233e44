"""What the gateway answers, as far as a drill reads it. Keys beyond these are left alone."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class QueueDepth(_Reply):
    """Jobs waiting and running."""

    waiting: int
    running: int


class Status(_Reply):
    """GET /status, as far as a drill reads it."""

    phase: str
    queue: QueueDepth
    workers: int = 0
    consistency: str = "strict"
    defects: list[str] = []
    version: str | None = None
    replicas: dict[str, str] = {}
    server_time: float | None = None
    private_targets: str | None = None  # of /control/state only


class KnownKey(_Reply):
    """A key that signs notices."""

    key_identifier: str
    is_current: bool


class Reporters(_Reply):
    """GET /control/reporters."""

    policy: str
    keys: list[KnownKey]


class ReplicaReply(_Reply):
    """One gateway of GET or PATCH /control/replicas. `seconds` is the bound of its lag, None where there is none."""

    name: str
    consistency: str
    seconds: float | None = None
    defects: list[str] = []


class ReplicasReply(_Reply):
    """Gateways, by name."""

    data: list[ReplicaReply]


class JobCount(_Reply):
    """Jobs touched by a revocation, by where they stood."""

    queued: int
    running: int


class RevokedItem(_Reply):
    """One token named by a revocation."""

    accessor: str
    principal: str
    cohort: str


class RevocationReply(_Reply):
    """The answer to a revoke call, or to its preview (then without id and acknowledgement)."""

    id: str | None = None
    acknowledged_at: float | None = None
    tokens: int
    jobs: JobCount
    items: list[RevokedItem]


class GatewayEvent(_Reply):
    """One entry of the gateway's event list. `at` is the server's unix time."""

    seq: int
    at: float
    kind: str
    replay_at: str | None = None
    actor: str = ""
    accessor: str | None = None
    job: str | None = None
    data: dict[str, Any] = {}
    hash: str | None = None


class EventsPage(_Reply):
    """One page of the event list."""

    data: list[GatewayEvent]
    has_more: bool = False
