"""The pytest plugin: what its fixture does, what it costs whoever does not use it, and how it starts and ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

import leakdrill_pytest
from leakdrill_pytest import ControlRefused, Gateway, Options, StartFailed, Token, program
from leakdrill_pytest.program import HOST, free_ports, running
from live import eventually

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "testing.md").read_text()
DOCUMENTED, CONFTEST = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# A project whose own packages have the names of ours; importing one would end the gateway.
NAMESAKES = ("gateway", "drills", "seeds", "frontend")


def kept() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("LEAKDRILL_", "PYTEST_"))}


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A stranger's own run: nothing of this one's configuration, and none of its other plugins."""
    words = [sys.executable, "-m", "pytest", "-p", "leakdrill_pytest", "-p", "no:cacheprovider", "-q", *arguments]
    return subprocess.run(
        words,
        cwd=folder,
        env={**kept(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def refused(gateway: Gateway, token: Token) -> bool:
    answer = httpx.get(f"{gateway.openai_base_url}/videos", headers=token.headers, trust_env=False)
    return answer.status_code == 401


def test_loading_the_plugin_imports_nothing_else() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import leakdrill_pytest; "
        "print(*(set(sys.modules) - before - set(sys.stdlib_module_names)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == {"leakdrill_pytest", "leakdrill_pytest.options"}


def test_a_run_that_does_not_ask_for_a_gateway_has_none(tmp_path: Path) -> None:
    heavy = ["httpx", "fastapi", "gradio", "numpy", "leakdrill_pytest.program"]
    test = f"import sys\n\ndef test_nothing_came():\n    assert not set({heavy}) & set(sys.modules)\n"
    (tmp_path / "test_it.py").write_text(test)
    ran = pytest_in(tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert list(tmp_path.glob("**/leakdrill*.log")) == []


def test_the_page_s_test_and_conftest_run_in_a_project_with_names_like_ours(tmp_path: Path) -> None:
    for name in NAMESAKES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('this is the project, not leakdrill')\n")
    (tmp_path / "test_it.py").write_text(DOCUMENTED)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    ran = pytest_in(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


def test_the_page_names_what_the_fixture_has(leakdrill: Gateway) -> None:
    said = set(re.findall(r"[`.]([a-z_]+)[`(]", PAGE))
    for thing in (leakdrill, leakdrill.clock, leakdrill.faults, leakdrill.profile):
        names = {name for name in dir(thing) if not name.startswith("_")}
        if thing is leakdrill:
            names -= {"admin_token", "clock", "faults", "profile"}
        assert names - said - {"resume"} == set(), thing


def test_each_test_finds_a_clean_room(leakdrill_session: Gateway, request: pytest.FixtureRequest) -> None:
    left = leakdrill_session.issue()
    leakdrill_session.faults.add("server_error", rate=1)
    leakdrill_session.clock.set("2024-11-26T08:30:00-05:00")
    gateway: Gateway = request.getfixturevalue("leakdrill")
    assert gateway is leakdrill_session
    assert gateway.control("GET", "/control/tokens")["data"] == []
    assert (gateway.faults.at_work(), gateway.clock.now, gateway.events()) == ([], None, [])
    with pytest.raises(ControlRefused) as told:
        gateway.state_of(left)
    assert (told.value.status, told.value.code) == (404, "token_not_found")
    assert "token_not_found" in str(told.value)


def test_tokens_are_suspended_restored_and_revoked(leakdrill: Gateway) -> None:
    one = leakdrill.issue("me", "alpha", labels=("leaked",), expires_in=3600)
    other = leakdrill.issue("you", "beta")
    assert one.token not in repr(one)
    leakdrill.suspend(one)
    assert (refused(leakdrill, one), refused(leakdrill, other)) == (True, False)
    assert leakdrill.restore(cohort="alpha")["counts"]["restored"] == 1
    assert not refused(leakdrill, one)
    leakdrill.quarantine(one.accessor)
    assert leakdrill.state_of(one) == "quarantined"
    assert leakdrill.restore(one)["state"] == "done"

    assert leakdrill.revoke(label="leaked")["tokens"] == 1
    assert (leakdrill.state_of(one), leakdrill.state_of(other)) == ("revoked", "active")
    assert leakdrill.restore(one)["counts"]["final"] == 1
    assert leakdrill.revoke(other.token)["items"][0]["accessor"] == other.accessor
    assert leakdrill.revoke(everyone=True)["tokens"] == 0
    with pytest.raises(ControlRefused, match="exactly one of"):
        leakdrill.revoke()
    kinds = [event["kind"] for event in leakdrill.events("revocation.")]
    assert kinds == ["revocation.applied"] * 3


def test_events_are_waited_for_by_what_they_say(leakdrill: Gateway) -> None:
    token = leakdrill.issue()
    event = leakdrill.wait_for("token.issued", accessor=token.accessor)
    assert event["actor"] == "admin"
    with pytest.raises(AssertionError, match=r"no job\.completed .*: token\.issued"):
        leakdrill.wait_for("job.completed", within=0, job="video_none")


def test_the_clock_is_set_moved_and_stopped(leakdrill: Gateway) -> None:
    with pytest.raises(LookupError, match="no replay clock to advance"):
        leakdrill.clock.advance(60)
    start = datetime.fromisoformat("2024-11-26T08:30:00-05:00")
    leakdrill.clock.set(start, running=False)
    leakdrill.clock.advance(90)
    assert leakdrill.clock.now == start + timedelta(seconds=90)
    leakdrill.issue()
    assert leakdrill.wait_for("token.issued")["replay_at"] == "2024-11-26T08:31:30-05:00"
    leakdrill.clock.speed(100_000)
    leakdrill.clock.resume()
    eventually(lambda: leakdrill.clock.now != start + timedelta(seconds=90))
    leakdrill.clock.pause()
    assert leakdrill.clock.now == leakdrill.clock.now


def test_faults_profiles_and_lies_are_told(leakdrill: Gateway) -> None:
    token = leakdrill.issue()
    leakdrill.faults.add("server_error", next=1)
    answers = [httpx.get(f"{leakdrill.url}/v1/videos", headers=token.headers, trust_env=False) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [500, 200]
    leakdrill.faults.clear()
    leakdrill.profile.set("reported-2024", speed=1000)
    assert (leakdrill.profile.show()["name"], leakdrill.profile.show()["speed"]) == ("reported-2024", 1000)
    leakdrill.tell(profile="cache-ttl", seconds=60)
    assert leakdrill.status()["consistency"].startswith("cache-ttl")
    assert not refused(leakdrill, token)
    leakdrill.revoke(token)
    assert not refused(leakdrill, token)
    leakdrill.reset()
    assert leakdrill.status()["consistency"] == "strict"
    assert leakdrill.urls == [leakdrill.url]


def test_a_gateway_that_does_not_start_says_why(tmp_path: Path) -> None:
    options = Options(settings={"LEAKDRILL_QUEUE_LIMIT": "none"})
    with pytest.raises(StartFailed, match=r"ended with 2(?s:.)*LEAKDRILL_QUEUE_LIMIT"), running(options, tmp_path):
        pass
    late = Options(start_seconds=0)
    with pytest.raises(StartFailed, match=r"did not answer at .* within 0 s"), running(late, tmp_path):
        pass


def test_a_port_that_was_taken_meanwhile_is_left_to_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as taken:
        ports = iter([taken.getsockname()[1], free_ports(1)])
        monkeypatch.setattr(program, "free_ports", lambda number: next(ports))
        with running(Options(workers=0), tmp_path) as started:
            assert not started.url.endswith(f":{taken.getsockname()[1]}")


def test_it_ends_with_a_session_that_is_ended_by_force(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "from leakdrill_pytest import Options\n"
        "from leakdrill_pytest.program import running\n"
        "with running(Options(workers=1), pathlib.Path(sys.argv[1])) as started:\n"
        "    print(started.url, flush=True)\n"
        "    time.sleep(600)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, env=kept(), stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None
        url = session.stdout.readline().strip()
        assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
        session.send_signal(signal.SIGKILL)

    def gone() -> bool:
        try:
            httpx.get(f"{url}/readyz", trust_env=False)
        except httpx.TransportError:
            return True
        return False

    eventually(gone)


@pytest.mark.parametrize(("name", "words"), [("QUEUE_LIMIT", "begin with LEAKDRILL_"), ("LEAKDRILL_PORT", "own")])
def test_a_setting_that_cannot_be_set_is_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Options(settings={name: "1"})


def test_names_that_there_are_not_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gatway'"):
        getattr(leakdrill_pytest, "Gatway")  # noqa: B009
