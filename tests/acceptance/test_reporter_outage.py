"""A reporter that goes down, and a receiver that is away: each notice counts once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from live import Live, eventually, leakdrill, live_gateway


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with live_gateway(tmp_path / "data", workers=0) as running:
        yield running


def kill(live: Live) -> None:
    process = live.supervisor.children[0].process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def revive(live: Live) -> None:
    gateway = live.supervisor.children[0]
    live.supervisor.start_again(gateway)
    live.supervisor._wait("gateway", f"{live.url}/readyz")


def begin(live: Live, tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    """A reporter as a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "disclose", "--gateway", live.url, *arguments],
        cwd=tmp_path,
        env={**kept, "LEAKDRILL_DATA": str(tmp_path / "data")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def disclose(live: Live, tmp_path: Path, *arguments: str, data: str = "data") -> subprocess.CompletedProcess[str]:
    """Runs the reporter to its end."""
    return leakdrill("disclose", *arguments, "--gateway", live.url, "--data", data, cwd=tmp_path)


def found(live: Live, tmp_path: Path, number: int) -> list[dict[str, Any]]:
    """So many tokens of ours, which somebody found; they stand in `found.txt`."""
    issued = [live.issue(f"t{one}") for one in range(number)]
    (tmp_path / "found.txt").write_text("\n".join(one["token"] for one in issued))
    return issued


def spooled(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "data" / "disclosure-spool").glob("*.json"))


def matched(live: Live) -> Counter[str]:
    """How many notices of each token count."""
    page = live.control("GET", "/control/events", params={"kind": "disclosure.matched", "limit": 1000})["data"]
    return Counter(event["accessor"] for event in page)


def states(live: Live) -> list[str]:
    return [one["state"] for one in live.control("GET", "/control/tokens")["data"]]


ONE_BY_ONE = ("--batch", "found.txt", "--max-batch", "1")


def test_a_gateway_that_is_down_gets_each_notice_once_when_it_is_up(live: Live, tmp_path: Path) -> None:
    issued = found(live, tmp_path, 3)
    kill(live)
    reporter = begin(live, tmp_path, *ONE_BY_ONE, "--for", "60")
    eventually(lambda: len(spooled(tmp_path)) == 3)
    assert reporter.stderr is not None
    assert "no gateway answers" in reporter.stderr.readline()
    assert reporter.poll() is None
    revive(live)
    out, err = reporter.communicate(timeout=60)
    assert (reporter.returncode, out.count("1 true")) == (0, 3), out + err
    assert spooled(tmp_path) == []
    assert matched(live) == {one["accessor"]: 1 for one in issued}
    assert states(live) == ["quarantined"] * 3
    assert all(one["token"] not in out + err for one in issued)


def test_a_gateway_that_is_killed_in_the_middle_gets_each_notice_once(live: Live, tmp_path: Path) -> None:
    issued = found(live, tmp_path, 60)
    reporter = begin(live, tmp_path, *ONE_BY_ONE, "--for", "60")
    eventually(lambda: len(matched(live)) >= 3, every=0.005)
    kill(live)
    revive(live)
    out, err = reporter.communicate(timeout=60)
    assert reporter.returncode == 0, out + err
    assert matched(live) == {one["accessor"]: 1 for one in issued}
    assert spooled(tmp_path) == []


def test_an_outage_sends_the_last_batch_again_and_the_rest_late(live: Live, tmp_path: Path) -> None:
    issued = found(live, tmp_path, 4)
    done = disclose(live, tmp_path, *ONE_BY_ONE, "--outage", "1", "--outage-after", "2", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [one["answer"][0] for one in json.loads(done.stdout)]
    assert len(answers) == 5
    assert answers[1] == answers[2], "the repeat is answered alike"
    assert matched(live) == {one["accessor"]: 1 for one in issued}
    page = live.control("GET", "/control/events", params={"kind": "disclosure.", "limit": 1000})["data"]
    received = [event["at"] for event in page if event["kind"] == "disclosure.received"]
    assert len(received) == 4
    assert received[2] - received[1] >= 1
    assert [event["accessor"] for event in page if event["accessor"]] == [one["accessor"] for one in issued]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_reporter_resumes_and_undoes_no_restore(live: Live, tmp_path: Path, how: signal.Signals) -> None:
    issued = found(live, tmp_path, 4)
    reporter = begin(live, tmp_path, *ONE_BY_ONE, "--outage", "600")
    eventually(lambda: len(matched(live)) == 1)
    assert reporter.stderr is not None
    assert "down for 600 s" in reporter.stderr.readline()
    reporter.send_signal(how)
    out, err = reporter.communicate(timeout=20)
    assert "Traceback" not in out + err
    if how is signal.SIGINT:
        assert (reporter.returncode, "--resume" in err) == (1, True)
    assert len(spooled(tmp_path)) == 4, "three that were not sent, and one that may have arrived"
    restored = live.control("PATCH", f"/control/tokens/{issued[0]['accessor']}", json={"state": "active"})
    assert restored["state"] == "active"
    for expected in (4, 0):
        done = disclose(live, tmp_path, "--resume")
        assert (done.returncode, done.stdout.count("accepted")) == (0, expected), done.stdout + done.stderr
    assert states(live) == ["active", *["quarantined"] * 3]
    assert matched(live) == {one["accessor"]: 1 for one in issued}


def test_what_is_not_taken_in_time_stays(live: Live, tmp_path: Path) -> None:
    issued = found(live, tmp_path, 2)
    kill(live)
    late = disclose(live, tmp_path, *ONE_BY_ONE, "--for", "0.5")
    assert (late.returncode, "not taken after 0.5 s" in late.stderr, "--resume" in late.stderr) == (2, True, True)
    assert len(spooled(tmp_path)) == 2
    revive(live)
    done = disclose(live, tmp_path, "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert matched(live) == {one["accessor"]: 1 for one in issued}


def test_what_is_refused_stays_until_the_receiver_knows_the_key(live: Live, tmp_path: Path) -> None:
    issued = found(live, tmp_path, 2)
    refused = disclose(live, tmp_path, *ONE_BY_ONE, "--for", "5", data="else")
    assert (refused.returncode, "unknown_key" in refused.stdout) == (1, True), refused.stdout + refused.stderr
    assert "2 batches stay" in refused.stderr
    (tmp_path / "data" / "disclosure-keys.json").write_bytes((tmp_path / "else" / "disclosure-keys.json").read_bytes())
    done = disclose(live, tmp_path, "--resume", data="else")
    assert done.returncode == 0, done.stdout + done.stderr
    assert matched(live) == {one["accessor"]: 1 for one in issued}


@pytest.mark.parametrize("more", [["--forge"], ["--retired-key"], ["--repeat", "2"]])
def test_what_goes_not_together_is_said(tmp_path: Path, more: list[str]) -> None:
    done = leakdrill("disclose", "x", "--for", "1", *more, cwd=tmp_path)
    assert (done.returncode, "exclude" in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    assert not (tmp_path / ".leakdrill").exists()
