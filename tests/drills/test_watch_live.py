"""A watch from a shell: our own gateway as if it were anybody's, of which nothing but `/v1` is asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from drills.watch.judging import judge_watch
from drills.watch.report import load_watch
from gateway import cli
from gateway.errors import LeakdrillError
from live import Live, eventually, leakdrill, live_gateway

CLIP = {"prompt": "a paper boat", "size": "480x480", "seconds": "1", "model": "turbo"}
SHORT = ("--after", "2s", "--rate", "20")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("watch") / "data") as running:
        yield running


def token_with_a_clip(live: Live, principal: str) -> dict[str, Any]:
    issued = live.issue(principal)
    with httpx.Client(
        base_url=live.url, headers={"Authorization": f"Bearer {issued['token']}"}, trust_env=False
    ) as http:
        made = http.post("/v1/videos", json=CLIP).raise_for_status().json()["id"]
        eventually(lambda: http.get(f"/v1/videos/{made}").json()["status"] == "completed")
    return issued


def revoke_script(folder: Path, live: Live, accessor: str, more: str = "") -> str:
    """A team's own script, which knows how to revoke at this gateway."""
    script = folder / "revoke.py"
    body = {"selector": {"accessor": accessor}, "reason": "by hand"}
    script.write_text(
        "import httpx\n"
        f"httpx.post({live.url + '/control/revocations'!r}, json={body!r}, trust_env=False,\n"
        f"    headers={{'Authorization': 'Bearer {live.supervisor.admin_token}'}}).raise_for_status()\n{more}"
    )
    return f"{sys.executable} {script}"


def watch(live: Live, cwd: Path, token: str, *options: str, bystander: str = "") -> subprocess.CompletedProcess[str]:
    command = ("drill", "watch", "--target", live.url, "--out", "out", *options)
    return leakdrill(*command, cwd=cwd, LEAKDRILL_WATCH_TOKEN=token, LEAKDRILL_WATCH_BYSTANDER=bystander)


def rated_beside_the_journal(folder: Path) -> None:
    before = (folder / "out" / "journal.json").read_bytes()
    rating = ("--objective", "handling", "--rating", "S", "--by", "A. Evaluator", "--note", "slow to declare")
    done = CliRunner().invoke(cli.program, ["drill", "rate", str(folder / "out" / "journal.json"), *rating])
    assert done.exit_code == 0, done.output
    assert (folder / "out" / "journal.json").read_bytes() == before
    assert json.loads((folder / "out" / "ratings.json").read_text())["ratings"][0]["rating"] == "S"
    assert "S A. Evaluator: slow to declare" in (folder / "out" / "report.md").read_text()


def test_a_strict_gateway_contains_and_no_token_is_written(live: Live, tmp_path: Path) -> None:
    leaked, beside = token_with_a_clip(live, "tester-1"), live.issue("bystander-1")["token"]
    command = revoke_script(tmp_path, live, leaked["accessor"])
    events = live.control("GET", "/control/events", params={"limit": 500})["data"][-1]["seq"]
    done = watch(live, tmp_path, leaked["token"], "--revoke-command", command, *SHORT, bystander=beside)
    assert (done.returncode, "verdict: contained" in done.stdout) == (0, True), done.stdout + done.stderr
    journal = load_watch(tmp_path / "out" / "journal.json")
    assert [one.surface for one in journal.verdict.surfaces] == ["list", "poll", "download", "signed_link", "stream"]
    assert {one.after for one in journal.verdict.surfaces} == {"dead"}
    assert journal.moment is not None
    assert (journal.moment.how, journal.command is not None) == ("command", True)
    clock = journal.server_clock
    assert clock is not None
    assert clock.low <= 0 <= clock.high
    assert clock.high - clock.low < 2
    assert {each.path.split("/")[1] for each in journal.exchanges if each.surface != "signed_link"} == {"v1"}
    for path in (tmp_path / "out").iterdir():
        text = path.read_text()
        assert not any(each in text for each in (leaked["token"], beside, "/media/", live.supervisor.admin_token))
    assert leaked["token"] not in done.stdout + done.stderr
    seen = live.control("GET", "/control/events", params={"after": events, "limit": 500})["data"]
    assert {"job.queued", "token.issued"} & {one["kind"] for one in seen} == set()
    rated_beside_the_journal(tmp_path)


def test_a_gateway_that_learns_late_is_found_and_a_bound_would_allow_it(live: Live, tmp_path: Path) -> None:
    live.control("PATCH", "/control/replicas", json={"replica": "r1", "profile": "cache-ttl", "seconds": 2})
    try:
        leaked, beside = token_with_a_clip(live, "late"), live.issue("beside")["token"]
        command = revoke_script(tmp_path, live, leaked["accessor"])
        options = ("--surfaces", "list,poll", "--revoke-command", command, "--after", "3s", "--rate", "20")
        done = watch(live, tmp_path, leaked["token"], *options, bystander=beside)
    finally:
        live.control("PATCH", "/control/replicas", json={"replica": "r1", "profile": "strict", "defects": []})
    assert done.returncode == 1, done.stdout + done.stderr
    journal = load_watch(tmp_path / "out" / "journal.json")
    lags = [one.lag or 0.0 for one in journal.verdict.surfaces]
    assert 0 < max(lags) <= 2.2, lags
    watched = {one.fingerprint for one in journal.tokens if not one.bystander}
    beside_prints = {one.fingerprint for one in journal.tokens if one.bystander}
    allowed = judge_watch(
        journal.exchanges, journal.moment, journal.command,
        watched=watched, bystanders=beside_prints, surfaces=["list", "poll"], bound=2.2,
    )  # fmt: skip
    assert allowed.verdict == "contained", allowed.reasons


def test_a_person_tells_by_signal_and_no_bystander_means_no_verdict(live: Live, tmp_path: Path) -> None:
    leaked = live.issue("by-signal")
    command = [sys.executable, "-m", "gateway", "drill", "watch", "--target", live.url, "--out", "out", *SHORT]
    environment = {**os.environ, "LEAKDRILL_WATCH_TOKEN": leaked["token"]}
    with (tmp_path / "err").open("w") as stream:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=stream)
    eventually(lambda: "list accepted" in (tmp_path / "err").read_text())
    live.control(
        "POST", "/control/revocations", json={"selector": {"accessor": leaked["accessor"]}, "reason": "by hand"}
    )
    process.send_signal(signal.SIGUSR1)
    text = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 3, text
    assert "an outage would look the same" in text
    journal = load_watch(tmp_path / "out" / "journal.json")
    assert journal.moment is not None
    assert journal.moment.how == "signal"
    assert "no bystander's token" in journal.notes[-1]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--target", "http://127.0.0.1:9"), 3, "does not answer"),
        (("--target", "nowhere"), 2, "is no address"),
        (("--surfaces", "submit"), 2, "needs --allow-submit"),
        (("--surfaces", "lists"), 2, "there are list, poll"),
        (("--revoked-at", "soon"), 2, "is no time"),
        (("--for", "a while"), 2, "is no length of time"),
        (("--revoke-command", "/no/such/script"), 2, "cannot be started"),
        (("--token", "ldk_wrong"), 2, "refused token fp_"),
        (("--token-file", "none.txt"), 2, "cannot be read"),
    ],
)
def test_bad_usage_is_one_line_and_leaves_nothing(
    live: Live, tmp_path: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    token = "" if "--token" in options else live.issue()["token"]
    out = tmp_path / "out"
    arguments = ["drill", "watch", "--target", live.url, "--out", str(out), *options]
    done = CliRunner(env={"LEAKDRILL_WATCH_TOKEN": token}).invoke(cli.program, arguments)
    error = done.stderr + (str(done.exception) if isinstance(done.exception, LeakdrillError) else "")
    foreseen = isinstance(done.exception, LeakdrillError)  # which `main` tells in one line, with exit code 2
    assert (2 if foreseen else done.exit_code, words in error) == (code, True), done.output
    assert foreseen or isinstance(done.exception, SystemExit)
    assert not out.exists()


def test_a_gateway_that_dies_midway_is_inconclusive(live: Live, tmp_path: Path) -> None:
    leaked, beside = live.issue("dies"), live.issue("beside")["token"]
    kill = f"import os, signal\nos.kill({live.supervisor.children[0].process.pid}, signal.SIGKILL)\n"
    command = revoke_script(tmp_path, live, leaked["accessor"], kill)
    try:
        done = watch(live, tmp_path, leaked["token"], "--revoke-command", command, *SHORT, bystander=beside)
    finally:
        live.kill_gateway()
        live.start_gateway()
    assert done.returncode == 3, done.stdout + done.stderr
    assert "without a clear refusal" in done.stdout
    assert (tmp_path / "out" / "journal.json").exists()
