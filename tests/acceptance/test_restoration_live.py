"""A ramp over sockets: a gateway that is killed in the middle, another that shares its database, and the shell."""

from __future__ import annotations

import json
import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from live import Live, eventually, leakdrill, live_gateway


def suspended(live: Live, number: int) -> list[dict[str, Any]]:
    issued = [live.issue(f"a{one}") for one in range(number)]
    for one in issued:
        live.control("PATCH", f"/control/tokens/{one['accessor']}", json={"state": "suspended"})
    return issued


def stands(live: Live, id: str) -> dict[str, Any]:
    found: dict[str, Any] = live.control("GET", f"/control/restorations/{id}")
    return found


def list_videos(live: Live, issued: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {issued['token']}"}
    return httpx.get(f"{live.url}/v1/videos", headers=headers, trust_env=False).status_code


def test_a_killed_gateway_carries_its_ramp_on(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=0) as live:
        issued = suspended(live, 12)
        body = {"selector": {"cohort": "alpha"}, "reason": "false alarm", "over_seconds": 6, "batch": 1}
        begun = live.control("POST", "/control/restorations", json=body)
        eventually(lambda: stands(live, begun["id"])["counts"]["restored"] >= 3)
        gateway = live.supervisor.children[0]
        os.kill(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait()
        live.supervisor.start_again(gateway)
        live.supervisor._wait("gateway", f"{live.url}/readyz")
        done = eventually(lambda: (now := stands(live, begun["id"]))["state"] != "running" and now, within=60)
        assert (done["state"], done["counts"]["restored"]) == ("done", 12)
        assert [one["number"] for one in done["batches"]] == list(range(1, 13))
        assert {(one["tokens"], one["verified"]) for one in done["batches"]} == {(1, True)}
        moments = [one["at"] for one in done["batches"]]
        assert min(after - before for before, after in pairwise(moments)) >= 0.5
        assert {list_videos(live, one) for one in issued} == {200}
        events = live.control("GET", "/control/events", params={"kind": "token.state_changed", "limit": 1000})["data"]
        assert sum("restoration" in event["data"] for event in events) == 12, "each came back once"


def test_another_gateway_carries_on_what_one_has_left(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with live_gateway(data, workers=0) as first, live_gateway(data, workers=0, replica="r2") as second:
        suspended(first, 6)
        body = {"selector": {"cohort": "alpha"}, "reason": "false alarm", "over_seconds": 3, "batch": 1}
        begun = first.control("POST", "/control/restorations", json=body)
        gateway = first.supervisor.children[0]
        os.kill(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait()
        done = eventually(lambda: (now := stands(second, begun["id"]))["state"] != "running" and now, within=60)
        assert (done["state"], done["counts"]["restored"], len(done["batches"])) == ("done", 6, 6)


def test_the_shell_follows_a_ramp_and_restores_one(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=0) as live:
        issued = suspended(live, 4)
        reach = ("--target", live.url, "--data", "data")
        done = leakdrill("tokens", "restore", "--cohort", "alpha", "--over", "1", "--batch", "2", *reach, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert [line.split("batch")[-1] for line in done.stdout.splitlines()[:-1]] == [
            " 1: 2 tokens are back, accepted",
            " 2: 2 tokens are back, accepted",
        ]
        assert done.stdout.splitlines()[-1].endswith("done (4 restored)")
        assert {list_videos(live, one) for one in issued} == {200}
        one = issued[0]["accessor"]
        live.control("PATCH", f"/control/tokens/{one}", json={"state": "suspended"})
        single = leakdrill("tokens", "restore", one, "--to", "quarantined", "--json", *reach, cwd=tmp_path)
        assert (single.returncode, json.loads(single.stdout)["state"]) == (0, "quarantined")
        again = leakdrill("tokens", "restore", "--cohort", "alpha", "--json", *reach, cwd=tmp_path)
        assert json.loads(again.stdout)["counts"]["already"] == 3
        for arguments in ([], [one, "--cohort", "alpha"], ["--cohort", "alpha", "--to", "revoked"]):
            wrong = leakdrill("tokens", "restore", *arguments, *reach, cwd=tmp_path)
            assert (wrong.returncode, "Traceback" in wrong.stderr) == (2, False), wrong.stderr
