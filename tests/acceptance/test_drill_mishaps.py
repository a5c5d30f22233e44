"""Drills on real gateways where something goes wrong in the middle: another drill, a proxy's page, a gateway that is
killed, a full disk. Clear words, the right exit code, the journal kept, and the gateway put back or called dirty."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from drills.journal import Journal, load_journal
from drills.progress import DrillEvent
from drills.runner import DrillResult, run_drill
from drills.scenario import load_scenario
from live import Live, eventually, leakdrill, live_gateway
from proxying import proxy_before

SMALL = Path(__file__).parents[1] / "drills" / "small.yaml"
TURNS = ["before the revocation", "after the revocation"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("mishaps") / "data"
    with live_gateway(data, disclosure_policy="quarantine", allow_private_targets="loopback") as live:
        yield live


@pytest.fixture
def live(running: Live) -> Live:
    """A gateway without tokens, jobs or a clock."""
    running.control("POST", "/control/reset", json={"confirm": "reset"})
    return running


def begin(live: Live, cwd: Path, *options: str, **settings: Any) -> subprocess.Popen[str]:
    """`leakdrill drill run` as a process that goes on by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    target = ("--target", live.url, "--admin-token", live.supervisor.admin_token)
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "drill", "run", str(SMALL), *target, *options],
        cwd=cwd, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings,
    )  # fmt: skip


def has_begun(live: Live) -> Callable[[], Any]:
    """Which drill has the gateway, once its tokens are issued."""
    return lambda: live.control("GET", "/control/tokens")["data"] and live.control("GET", "/control/drill")["drill"]


def test_a_second_drill_on_one_gateway_is_refused_and_changes_nothing(live: Live, tmp_path: Path) -> None:
    before = live.control("GET", "/control/state")["last_event"]
    first = begin(live, tmp_path, "--out", "first", "--speed", "100")  # 18 s, for the others to find it at work
    try:
        held = eventually(has_begun(live))
        keys = tmp_path / "mine" / "disclosure-keys.json"
        target = ("--target", live.url, "--admin-token", live.supervisor.admin_token, "--data", "mine")
        book = ("runbook", "run", "revoke-one-token", "--target", live.url, "--yes", "--out", "third")
        with ThreadPoolExecutor(2) as both:
            second = both.submit(leakdrill, "drill", "run", "false-alarm", *target, "--out", "second", cwd=tmp_path)
            third = both.submit(
                lambda: leakdrill(*book, cwd=tmp_path, LEAKDRILL_ADMIN_TOKEN=live.supervisor.admin_token)
            )
        for refused in (second.result(), third.result()):
            assert refused.returncode == 3, refused.stdout + refused.stderr
            for words in (held["id"], "small since 2", f"process {first.pid}", "Wait until it ends", "--target"):
                assert words in refused.stderr
            assert "Traceback" not in refused.stderr
        said, complaints = first.communicate(timeout=120)
    finally:
        first.kill()
        first.communicate()
    assert first.returncode == 0, said + complaints
    assert "verdict: contained" in said
    assert not (tmp_path / "second").exists()
    assert not (tmp_path / "third").exists()
    assert not keys.exists()
    assert live.control("GET", "/control/drill") == {"drill": None}
    begun = live.control("GET", "/control/events", params={"kind": "drill.", "after": before, "limit": 100})["data"]
    assert [(one["kind"], one["data"]["id"]) for one in begun] == [
        ("drill.began", held["id"]),
        ("drill.ended", held["id"]),
    ]
    issued = live.control("GET", "/control/tokens")["data"]
    assert {one["principal"].rpartition("-")[0] for one in issued} == {"tester", "bystander", "controller"}


def test_a_drill_that_was_killed_says_so_to_the_next_one_which_may_run_when_its_lease_is_over(
    live: Live, tmp_path: Path
) -> None:
    first = begin(live, tmp_path, "--out", "first")
    held = eventually(has_begun(live))
    first.kill()
    first.communicate()
    target = ("--target", live.url, "--admin-token", live.supervisor.admin_token)
    refused = leakdrill("drill", "run", str(SMALL), *target, "--out", "second", cwd=tmp_path)
    assert refused.returncode == 3
    assert "If it was killed, its lease runs out in " in refused.stderr
    assert 0 < held["until"] - held["since"] <= 30
    live.control("DELETE", f"/control/drill/{held['id']}")  # as an operator who does not want to wait does
    done = leakdrill("drill", "run", str(SMALL), *target, "--out", "second", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_drill_that_is_interrupted_gives_the_gateway_back_as_it_was(live: Live, tmp_path: Path) -> None:
    first = begin(live, tmp_path, "--out", "first")
    eventually(has_begun(live))
    first.send_signal(signal.SIGINT)
    said, complaints = first.communicate(timeout=60)
    assert first.returncode == 3, said + complaints
    assert "the drill was interrupted" in said
    assert load_journal(tmp_path / "first" / "journal.json").status == "interrupted"
    assert live.control("GET", "/control/drill") == {"drill": None}
    assert live.control("GET", "/control/tokens", params={"state": "active"})["data"] == []


def drill_until(target: str, live: Live, out: Path, moment: str, then: Callable[[], None]) -> DrillResult:
    """A drill during which `then` happens once."""
    done: list[str] = []

    def hear(event: DrillEvent) -> None:
        now = event.inject == "m2" if moment == TURNS[0] else event.kind == "revocation"
        if now and not done:
            done.append(event.text)
            then()

    result = asyncio.run(
        run_drill(
            load_scenario(str(SMALL)), target=target, admin_token=live.supervisor.admin_token, out=out, on_event=hear
        )
    )
    assert done
    return result


def ensure_complete(result: DrillResult, moment: str) -> Journal:
    """Inconclusive, with everything that was seen in the journal, and what is left behind said everywhere."""
    assert (result.verdict, result.exit_code) == ("inconclusive", 3), result
    journal = load_journal(result.paths["journal.json"])
    assert sorted(result.paths) == ["journal.json", "junit.xml", "report.html", "report.md", "timeline.csv"]
    assert result.reasons[0].startswith("the target went away ")
    assert journal.dirty
    assert [action.ok for action in journal.actions if action.name == "rollback"] == [False] * len(journal.left)
    assert "may still work; revoke their cohorts: " in journal.left[0]
    assert "the replay clock: " in journal.left[1]
    report = result.paths["report.md"].read_text(encoding="utf-8")
    assert "rollback incomplete: " in report
    assert "Clean the target up by hand" in report
    assert (journal.revoke is not None) == (moment == TURNS[1] or journal.status == "completed")
    return journal


@pytest.mark.parametrize("moment", TURNS)
def test_a_proxy_that_turns_to_a_page_in_the_middle_is_no_answer(live: Live, tmp_path: Path, moment: str) -> None:
    with proxy_before(live.url) as proxy:
        result = drill_until(proxy.url, live, tmp_path / "out", moment, proxy.turned.set)
        journal = ensure_complete(result, moment)
        pages = [each for each in journal.exchanges if each.code == "html_page"]
        assert 0 < len(pages) <= proxy.pages
        assert {each.outcome for each in pages} == {"fault"}
        assert {each.status for each in pages} == {200}
        assert result.reasons[0].endswith(" got html page")
        assert journal.verdict.offences == []
        # The gateway behind it is untouched by what was left behind: its own state is as the words say.
        assert live.control("GET", "/control/tokens", params={"state": "active"})["data"] != []


@pytest.mark.parametrize("moment", TURNS)
def test_a_gateway_that_is_killed_in_the_middle_leaves_an_inconclusive_drill(tmp_path: Path, moment: str) -> None:
    with live_gateway(tmp_path / "data") as doomed:
        result = drill_until(doomed.url, doomed, tmp_path / "out", moment, doomed.kill_gateway)
        journal = ensure_complete(result, moment)
        assert journal.verdict.offences == []
        assert result.reasons[0].endswith(" got no answer")
        assert "does not answer" in journal.left[1]


@pytest.mark.parametrize("size", [64 * 1024, 4096])
def test_a_disk_that_takes_no_journal_still_ends_the_drill_and_puts_the_gateway_back(
    live: Live, tmp_path: Path, size: int
) -> None:
    limited = begin(live, tmp_path, "--out", "out", preexec_fn=lambda: full_after(size))
    said, complaints = limited.communicate(timeout=120)
    assert limited.returncode == 4, said + complaints
    assert "verdict: contained" in said
    assert "journal.json could not be written: File too large" in complaints
    assert "Traceback" not in complaints
    if size > 4096:
        journal = load_journal(tmp_path / "out" / "journal.json.gz")
        assert (journal.verdict.verdict, journal.dirty) == ("contained", False)
    else:
        assert "the journal could not be written anywhere: " in complaints
        assert list((tmp_path / "out").iterdir()) == []
    assert live.control("GET", "/control/tokens", params={"state": "active"})["data"] == []
    assert live.control("GET", "/control/drill") == {"drill": None}
    clock = httpx.get(f"{live.url}/status", trust_env=False).json()["replay_clock"]
    assert clock["running"] is False
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def full_after(size: int) -> None:
    """Lets this process write no file that is longer, as a full disk would."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
