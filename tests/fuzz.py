"""A fuzzer of the whole API, as its own document declares it: schemathesis against a gateway over the socket."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from live import Live

# Never ends by itself; what it sends is tested in test_workers_live.py.
STREAMS = ["/control/events/stream"]


# What these ask for, no schema can say: their 400 tells that a body of the right shape means nothing here.
JUDGED_BY_MEANING = [
    "POST /control/faults",  # which options a failure takes
    "POST /control/revocations",  # that everybody is asked for twice
    "POST /control/trace",  # that the bytes are a clip
    "POST /v1/videos",  # that the bytes are a picture, and its address may be called
    "POST /v1/videos/characters",
    "POST /v1/videos/edits",
    "POST /v1/videos/extensions",
    "POST /v1/webhook_endpoints",  # that the address may be called
    "POST /v1/webhook_endpoints/{webhook_endpoint_id}",
    "PUT /control/profile",  # that there is such a profile
]
# A new video has no share yet.
MADE_LATER = ["GET /v1/videos/{video_id}/share"]
ACCEPTED = ["2xx", "400", "401", "403", "404", "409", "429"]


@schemathesis.serializer("video/mp4")
def _as_it_is(context: schemathesis.SerializationContext, value: Any) -> Any:
    return value if isinstance(value, bytes) else str(value).encode()


@dataclass
class Findings:
    """What a run sent, by phase and by status, and what failed: one text a distinct failure."""

    cases: int = 0
    by_phase: Counter[str] = field(default_factory=Counter)
    by_status: Counter[int] = field(default_factory=Counter)
    by_operation: dict[str, Counter[int]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def bearers(live: Live) -> type[Any]:
    """A provider of the admin's bearer for the admin's paths and of a tester's elsewhere. Where a case has ended the
    tester's token, the fuzzer is told 401, asks again and gets a new one."""

    class Bearers:
        def get(self, case: schemathesis.Case[Any], context: schemathesis.AuthContext) -> str:
            if _guard(case, context) == "admin":
                return live.supervisor.admin_token
            return str(live.issue()["token"])

        def set(self, case: schemathesis.Case[Any], data: str, context: schemathesis.AuthContext) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    return Bearers


def _guard(case: schemathesis.Case[Any], context: schemathesis.AuthContext) -> str:
    return "admin" if case.operation.path.startswith(("/control/", "/oauth/")) else "token"


def fuzz(live: Live, *, examples: int, seed: int) -> Findings:
    """All phases with all checks; `examples` is the most that are made for one operation in one phase."""
    settings: dict[str, Any] = {
        "seed": seed,
        "request-timeout": 20,
        "continue-on-failure": True,
        "operations": [
            {
                "include-name": JUDGED_BY_MEANING,
                "checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}},
            },
            {"include-name": MADE_LATER, "checks": {"ensure_resource_availability": {"enabled": False}}},
        ],
        "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
    }
    schema = schemathesis.openapi.from_url(
        f"{live.url}/openapi.json", config=SchemathesisConfig.from_dict(settings)
    ).exclude(path=STREAMS)
    schema.auth(cache_by_key=_guard, refresh_interval=None)(bearers(live))
    found = Findings()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _count(found, event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.failures.setdefault(f"error {event}", str(event))
    return found


def _count(found: Findings, event: events.ScenarioFinished) -> None:
    recorder = event.recorder
    found.cases += len(recorder.interactions)
    found.by_phase[event.phase.value] += len(recorder.interactions)
    for case, interaction in recorder.interactions.items():
        status = interaction.response.status_code if interaction.response else 0
        found.by_status[status] += 1
        found.by_operation.setdefault(recorder.cases[case].value.operation.label, Counter())[status] += 1
    for case, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                label = recorder.cases[case].value.operation.label
                found.failures.setdefault(
                    f"{check.name} | {label} | {failure.title}", f"{failure.message}\n{check.failure_info.code_sample}"
                )
