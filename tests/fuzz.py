"""A fuzzer of the whole API, as its own document declares it: schemathesis against a gateway over the socket."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from footage import clip
from live import Live, eventually, live_gateway

# A video's stream lasts as long as its video waits; what it sends is tested in test_streams_live.py.
ADMINS = r"^/(control|oauth)/|^/v1/videos/\{video_id\}/events$"
# The stream of events never ends by itself; what it sends is tested in test_workers_live.py.
NOT_ADMINS = "^(?!/(control|oauth)/)|^/control/events/stream$"


# What these ask for, no schema can say: their 400 tells that a body of the right shape means nothing here.
JUDGED_BY_MEANING = [
    "POST /control/class",  # that no name stands twice
    "POST /control/faults",  # which options a failure takes
    "POST /control/restorations",  # that everybody is asked for twice
    "POST /control/revocations",  # that everybody is asked for twice
    "POST /control/revocations/preview",  # that a token is one of ours
    "POST /control/sinks",  # that the address may be called
    "PATCH /control/sinks/{sink_id}",
    "POST /control/trace",  # that the bytes are a clip
    "PATCH /control/replicas",  # which profiles and defects there are
    "POST /v1/videos",  # that the bytes are a picture, and its address may be called
    "POST /v1/videos/characters",
    "POST /v1/videos/edits",
    "POST /v1/videos/extensions",
    "POST /together/v2/videos",  # that a picture can be had, and how long its frames are
    "GET /fal/{owner}/{alias}/requests/{request_id}",  # that it has ended, and well
    "PUT /fal/{owner}/{alias}/requests/{request_id}/cancel",  # that it has not ended
    "POST /v1/webhook_endpoints",  # that the address may be called
    "POST /v1/webhook_endpoints/{webhook_endpoint_id}",
    "POST /v1/webhook_endpoints/{webhook_endpoint_id}/test",  # that the receiver answers
    "PUT /control/injects/{inject_id}",  # that a line goes with one that is fired
    "PUT /control/profile",  # that there is such a profile
    "PUT /control/sunset",  # that its moments follow each other
]
# The same, where 422 says so.
NAMED_ELSEWHERE = [
    "POST /control/tokens",  # that a tier is one of a file's, which the schema does not repeat
    "POST /fal/{owner}/{alias}",  # that a picture can be had, and how long its frames are
    "POST /fal/{owner}/{alias}/{task}",
    "POST /replicate/v1/predictions",
    "POST /replicate/v1/models/{owner}/{name}/predictions",
]
# A new video has no share yet, and one that was withdrawn is shown as that.
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


def bearer(secret: str) -> type[Any]:
    """A provider of one bearer for every case that is not about a missing or wrong one."""

    class Bearer:
        def get(self, case: schemathesis.Case[Any], context: schemathesis.AuthContext) -> str:
            return secret

        def set(self, case: schemathesis.Case[Any], data: str, context: schemathesis.AuthContext) -> None:
            scheme = "Key" if case.path.startswith("/fal/") else "Bearer"
            case.headers["Authorization"] = f"{scheme} {data}"

    return Bearer


@contextmanager
def fuzzed_gateway(data: Path) -> Iterator[Live]:
    """A gateway that answers fast, and calls nobody but this machine."""
    with live_gateway(data, render="cached", allow_private_targets="loopback") as live:
        yield live


def fuzz(live: Live, *, examples: int, seed: int) -> Findings:
    """All phases with all checks; `examples` is the most that are made for one operation in one phase.

    Testers' paths come first and the admin's afterwards: between them, what the admin does to tokens would end what
    the fuzzer has just made, which it would rightly report.
    """
    found = Findings()
    token = live.issue()["token"]
    _furnish(live, token)
    _run(live, found, token, without=ADMINS, examples=examples, seed=seed)
    headers = {"Authorization": f"Bearer {token}"}
    httpx.get(f"{live.url}/v1/videos", headers=headers, trust_env=False).raise_for_status()  # it lived through all that
    _run(live, found, live.supervisor.admin_token, without=NOT_ADMINS, examples=examples, seed=seed)
    return found


def _furnish(live: Live, token: str) -> None:
    """What the fuzzer cannot make by itself, for it to find in lists: a share, a character, webhooks, a sink."""
    live.control("POST", "/control/sinks", json={"url": "http://127.0.0.1:9/", "audience": "the room"})
    with tempfile.TemporaryDirectory() as folder:
        content = clip(Path(folder))
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as http:

        def post(path: str, **body: Any) -> Any:
            answer = http.post(path, **body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        video = post("/v1/videos", json={"prompt": "rain"})["id"]
        eventually(lambda: http.get(f"/v1/videos/{video}").json()["status"] == "completed")
        post(f"/v1/videos/{video}/share")
        post("/v1/videos/characters", data={"name": "the keeper"}, files={"video": ("clip.mp4", content)})
        for name in ("one", "two", "three"):
            hook = {"name": name, "url": "http://127.0.0.1:9/", "event_types": ["video.failed"]}
            post("/v1/webhook_endpoints", json=hook)


def _run(live: Live, found: Findings, secret: str, *, without: str, examples: int, seed: int) -> None:
    settings: dict[str, Any] = {
        "seed": seed,
        "request-timeout": 20,
        "continue-on-failure": True,
        "operations": [
            {
                "include-name": JUDGED_BY_MEANING,
                "checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}},
            },
            {
                "include-name": NAMED_ELSEWHERE,
                "checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "422"]}},
            },
            {
                "include-name": MADE_LATER,
                "checks": {"ensure_resource_availability": {"enabled": False}, "use_after_free": {"enabled": False}},
            },
        ],
        "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
    }
    config = SchemathesisConfig.from_dict(settings)
    schema = schemathesis.openapi.from_url(f"{live.url}/openapi.json", config=config).exclude(path_regex=without)
    schema.auth()(bearer(secret))
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _count(found, event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.failures.setdefault(f"error {event}", str(event))


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


def main() -> int:
    """Fuzzes a gateway of its own and prints what was sent and what failed; 1 where something did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=300, help="the most for one operation in one phase")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leakdrill-fuzz-") as folder:
        with fuzzed_gateway(Path(folder) / "data") as live:
            found = fuzz(live, examples=wanted.examples, seed=wanted.seed)
        log = (Path(folder) / "data" / "logs" / "gateway.log").read_text()
    lines = [f"{found.cases} cases, seed {wanted.seed}", f"by phase: {dict(found.by_phase)}"]
    lines += [f"by status: {dict(sorted(found.by_status.items()))}", f"{len(found.failures)} failures"]
    lines += [f"\n{name}\n{text}" for name, text in found.failures.items()]
    sys.stdout.write("\n".join(lines) + "\n" + (log if "Traceback" in log else ""))
    return 1 if found.failures or "Traceback" in log else 0


if __name__ == "__main__":
    sys.exit(main())
