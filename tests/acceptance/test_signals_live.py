"""Security events over sockets: `leakdrill sink` as it is and as it misbehaves, and a gateway that is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.supervisor import free_port
from live import Live, eventually, leakdrill, live_gateway
from signalling import accepting, opened

SETTINGS: dict[str, Any] = {"allow_private_targets": "loopback", "sink_first_retry_seconds": 0.2}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("signals") / "data", workers=0, **SETTINGS) as running:
        yield running


@contextmanager
def sink_for(live: Live, port: int, audience: str = "leakdrill-sink", **more: Any) -> Iterator[dict[str, Any]]:
    """A sink of the gateway's for as long as the context lasts."""
    body = {"url": f"http://127.0.0.1:{port}/", "audience": audience, **more}
    made: dict[str, Any] = live.control("POST", "/control/sinks", json=body)
    yield made
    live.control("DELETE", f"/control/sinks/{made['id']}")


@contextmanager
def drill_sink(live: Live, port: int, *arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """`leakdrill sink` as a process; it is gone at the end."""
    command = [sys.executable, "-m", "gateway", "sink", "--gateway", live.url, "--port", str(port), *arguments]
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def listens(process: subprocess.Popen[str]) -> None:
    """Returns when the sink says that it does."""
    assert process.stderr is not None
    assert "listening" in process.stderr.readline()


def revoke(live: Live, principal: str) -> dict[str, Any]:
    accessor = live.issue(principal)["accessor"]
    body = {"selector": {"accessor": accessor}, "reason": "drill"}
    revocation: dict[str, Any] = live.control("POST", "/control/revocations", json=body)
    return revocation


def counts(live: Live, revocation: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = live.control("GET", f"/control/revocations/{revocation['id']}")["effect"]["signals"]
    return found


def test_a_sink_verifies_what_a_revocation_and_a_verification_tell(live: Live, tmp_path: Path) -> None:
    port = free_port()
    secret = ("--authorization", "Bearer drill")
    with (
        drill_sink(live, port, "--count", "3", *secret, cwd=tmp_path) as process,
        sink_for(live, port, authorization="Bearer drill") as made,
    ):
        listens(process)
        live.control("POST", f"/control/sinks/{made['id']}/verify", json={"state": "hello"})
        revocation = revoke(live, "tester-sink")
        out, err = process.communicate(timeout=30)
        eventually(lambda: counts(live, revocation)["sent"] == 2)
    assert process.returncode == 0, err
    accessor = revocation["items"][0]["accessor"]
    assert [line.split()[1:4] for line in out.splitlines()] == [
        ["verified", "verification", made["id"]],
        ["verified", "session-revoked", accessor],
        ["verified", "credential-change", accessor],
    ]
    assert out.count(f"txn={revocation['txn']}") == 2
    assert "3 came, 3 different, 0 did not verify" in err


def test_a_sink_that_waits_for_another_audience_says_so_and_ends_with_1(live: Live, tmp_path: Path) -> None:
    port = free_port()
    with (
        drill_sink(live, port, "--count", "2", "--audience", "https://else.test", cwd=tmp_path) as process,
        sink_for(live, port),
    ):
        listens(process)
        revocation = revoke(live, "tester-audience")
        out, _ = process.communicate(timeout=30)
        eventually(lambda: counts(live, revocation) == {"sent": 0, "owed": 0, "dead": 2, "dropped": 0})
        log = live.control("GET", "/control/sinks/deliveries", params={"txn": revocation["txn"]})["data"]
    assert process.returncode == 1
    assert out.count("invalid_audience") == 2
    assert {row["err"] for row in log} == {"invalid_audience"}


@pytest.mark.parametrize(
    ("manners", "state", "err"),
    [
        (("--refuse", "access_denied"), "dead", "access_denied"),
        (("--status", "404"), "dead", None),
        (("--status", "503"), "pending", None),
        (("--slow", "60"), "pending", None),
    ],
)
def test_a_sink_that_misbehaves_delays_no_revocation(
    live: Live, tmp_path: Path, manners: tuple[str, str], state: str, err: str | None
) -> None:
    port = free_port()
    with drill_sink(live, port, *manners, cwd=tmp_path) as process, sink_for(live, port):
        listens(process)
        revocation = revoke(live, "tester-manners")

        def settled() -> list[dict[str, Any]]:
            log = live.control("GET", "/control/sinks/deliveries", params={"txn": revocation["txn"]})["data"]
            return [row for row in log if row["attempts"] and row["state"] == state and row["err"] == err]

        eventually(settled)
        assert revoke(live, "tester-next")["tokens"] == 1


def test_a_sink_that_is_down_gets_everything_once_it_is_back(live: Live, tmp_path: Path) -> None:
    port = free_port()
    with (
        drill_sink(live, port, "--down-for", "1.5", "--count", "2", "--json", cwd=tmp_path) as process,
        sink_for(live, port),
    ):
        revocation = revoke(live, "tester-down")
        eventually(
            lambda: [
                row
                for row in live.control("GET", "/control/sinks/deliveries", params={"txn": revocation["txn"]})["data"]
                if row["error"] or row["state"] == "delivered"
            ]
        )
        out, err = process.communicate(timeout=60)
        eventually(lambda: counts(live, revocation)["sent"] == 2)
    assert process.returncode == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(one["outcome"], one["claims"]["txn"]) for one in lines] == [("verified", revocation["txn"])] * 2


def test_bad_usage_is_2(live: Live, tmp_path: Path) -> None:
    both = leakdrill("sink", "--status", "503", "--refuse", "invalid_key", cwd=tmp_path)
    assert both.returncode == 2
    nobody = leakdrill("sink", "--gateway", f"http://127.0.0.1:{free_port()}", cwd=tmp_path)
    assert (nobody.returncode, "start a gateway" in nobody.stderr) == (2, True)
    with accepting() as receiver:
        taken = leakdrill("sink", "--gateway", live.url, "--port", str(receiver.port), cwd=tmp_path)
    assert (taken.returncode, "choose another port" in taken.stderr) == (2, True)


def test_a_killed_gateway_delivers_exactly_what_it_owed_after_its_restart(tmp_path: Path) -> None:
    """One event is in flight when the gateway is killed, the others wait."""
    own = {**SETTINGS, "sink_timeout_seconds": 1.0}
    with (
        accepting() as receiver,
        live_gateway(tmp_path / "data", workers=0, **own) as live,
        sink_for(live, receiver.port),
    ):
        done = revoke(live, "tester-done")
        eventually(lambda: counts(live, done)["sent"] == 2)
        receiver.hold.clear()
        owed = [revoke(live, f"tester-{number}") for number in range(3)]
        eventually(lambda: len(receiver.calls) == 3)
        live.kill_gateway()
        receiver.hold.set()
        known = len(receiver.calls)
        live.start_gateway()
        eventually(lambda: len(receiver.calls) >= known + 6, within=60)
        eventually(lambda: all(counts(live, one)["sent"] == 2 for one in owed))
        log = live.control("GET", "/control/sinks/deliveries", params={"limit": 1000})["data"]
    after = [opened(call)[1]["jti"] for call in receiver.calls[known:]]
    assert sorted(after) == sorted(row["id"] for row in log if row["txn"] in {one["txn"] for one in owed})
    # Of all, only the one that was in flight came twice, to the byte.
    bodies = [call.body for call in receiver.calls]
    assert len(bodies) - len(set(bodies)) == 1
    assert {row["state"] for row in log} == {"delivered"}


def test_three_replicas_send_each_event_once_and_under_one_issuer(tmp_path: Path) -> None:
    with (
        accepting() as receiver,
        live_gateway(tmp_path / "data", workers=0, replicas=3, **SETTINGS) as live,
        sink_for(live, receiver.port) as made,
    ):
        revocations = []
        for number in range(9):
            accessor = live.issue(f"tester-{number}")["accessor"]
            body = {"selector": {"accessor": accessor}, "reason": "drill"}
            headers = {"Authorization": f"Bearer {live.supervisor.admin_token}"}
            url = f"{live.urls[number % 3]}/control/revocations"
            revocations.append(httpx.post(url, json=body, headers=headers, trust_env=False).raise_for_status().json())
        eventually(lambda: all(counts(live, one)["sent"] == 2 for one in revocations))
        keys = {httpx.get(f"{url}/.well-known/jwks.json", trust_env=False).text for url in live.urls}
    claims = [opened(call)[1] for call in receiver.calls]
    assert (len(claims), len({one["jti"] for one in claims})) == (18, 18)
    assert {one["iss"] for one in claims} == {made["issuer"]}
    assert len(keys) == 1
