"""`leakdrill load` from a shell: real gateways, real Locust, processes that end. No figure here depends on speed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.supervisor import free_port
from live import Live, eventually, leakdrill, live_gateway
from loadtest.report import Summary

SMALL = str(Path(__file__).parent / "small.yaml")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("load") / "data", workers=1, render="cached") as running:
        yield running


def options(live: Live, folder: Path, *more: str, users: int = 12, seconds: int = 3) -> tuple[str, ...]:
    """A small load on a gateway that is there."""
    admin = live.supervisor.admin_file()
    shape = ("--shape", SMALL, "--users", str(users), "--duration", f"{seconds}s", "--out", "out")
    return ("load", *shape, "--target", live.url, "--admin-token-file", str(admin), *more)


def summary(folder: Path) -> Summary:
    return Summary.model_validate_json((folder / "out" / "summary.json").read_text())


def requests(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "requests.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def processes_of(folder: Path) -> list[str]:
    """Command lines of load tests that were started in that folder and are still there."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").resolve() == folder.resolve() and path.name != str(os.getpid()):
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_two_processes_share_the_load_and_the_leaked_cohort_ends_at_its_peak(live: Live, tmp_path: Path) -> None:
    done = leakdrill(*options(live, tmp_path, "--processes", "2"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: met" in done.stdout
    told = summary(tmp_path)
    figures, ended = told.figures, told.figures.revocation
    assert ended is not None
    assert (ended.late_accepts, ended.target_late_accepts, ended.tokens) == (0, 0, 2)
    assert ended.requests_after > 0
    assert ended.leaked_users_refused == ended.leaked_users_seen_after > 0
    assert figures.bystanders is not None
    assert figures.bystanders.users_hit == 0
    assert figures.bystanders.users_after > 0
    assert figures.sessions == figures.late.planned > 10
    assert figures.late.unstarted == 0
    assert figures.compared[0].clients == figures.compared[0].target > 0
    rows = requests(tmp_path)
    assert len(rows) == figures.requests
    assert {row["process"] for row in rows} == {"0", "1"}
    late = [row for row in rows if row["leaked"] == "yes" and row["status"] == "200" and row["after_acknowledgement_s"]]
    assert all(float(row["after_acknowledgement_s"]) < 0 for row in late)
    assert sum(row["surface"] == "poll" and row["status"] == "200" for row in rows) == figures.poll.count
    assert nothing_left(live, tmp_path)
    eventually(lambda: processes_of(tmp_path) == [])


def nothing_left(live: Live, folder: Path) -> bool:
    """Whether every token of the load test has ended, and no secret was written."""
    label = f"loadtest-{summary(folder).run.id}"
    listed = live.control("GET", "/control/tokens", params={"limit": 10_000})["data"]
    own = [token for token in listed if label in token["labels"]]
    assert len(own) == 5  # with the one that warmed up
    written = "".join(path.read_text() for path in (folder / "out").iterdir())
    assert "ldk_" not in written
    assert live.supervisor.admin_token not in written
    return all(token["state"] == "revoked" for token in own)


def test_a_gateway_that_goes_on_accepting_is_found(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=1, render="cached") as live:
        live.control("PATCH", "/control/replicas", json={"profile": "strict", "defects": ["evict-fails"]})
        done = leakdrill(*options(live, tmp_path), cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "late accepts: " in done.stdout
    ended = summary(tmp_path).figures.revocation
    assert ended is not None
    assert ended.late_accepts
    assert len(ended.offences) == ended.late_accepts
    assert all(each.seconds_after >= 0 and each.accessor.startswith("tok_") for each in ended.offences)


def test_a_target_that_dies_is_told_with_what_was_measured(tmp_path: Path) -> None:
    with (
        live_gateway(tmp_path / "data", workers=1, render="cached") as live,
        start(*options(live, tmp_path, seconds=60), cwd=tmp_path) as process,
    ):
        wait_for(process, "sessions begun")
        live.kill_gateway()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, out + err
    assert "verdict: target away" in out
    assert "tokens could not be revoked" in err
    told = summary(tmp_path)
    assert told.figures.poll.count > 0
    assert "leakdrill tokens revoke --label" in str(told.run.left_on_target)


def test_ctrl_c_ends_with_a_summary_and_leaves_nothing(tmp_path: Path) -> None:
    shape = ("--shape", SMALL, "--users", "8", "--duration", "60s", "--out", "out", "--no-warm-up")
    with start("load", *shape, cwd=tmp_path, TMPDIR=str(tmp_path)) as process:
        wait_for(process, "sessions begun")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert "stopped after" in out
    assert summary(tmp_path).run.status == "stopped"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    eventually(lambda: processes_of(tmp_path) == [])


def test_a_master_and_a_worker_that_came_by_itself(live: Live, tmp_path: Path) -> None:
    port = str(free_port())
    leading = options(live, tmp_path, "--role", "master", "--master-port", port)
    following = ("load", "--role", "worker", "--master-port", port)
    with start(*leading, cwd=tmp_path) as master, start(*following, cwd=tmp_path) as worker:
        out, err = master.communicate(timeout=60)
        assert master.returncode == 0, out + err
        _, err = worker.communicate(timeout=30)
        assert worker.returncode == 0, err
    ended = summary(tmp_path).figures.revocation
    assert ended is not None
    assert ended.late_accepts == 0
    assert ended.requests_after > 0


@contextmanager
def start(*arguments: str, cwd: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The program, ended at the end whatever happens."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    command = [sys.executable, "-m", "gateway", *arguments]
    env, pipe = {**kept, **environment}, subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, env=env, text=True, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Returns once the program has said so on standard error."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended with {process.wait()} and never said {words!r}")


class _Page(BaseHTTPRequestHandler):
    """Somebody else's web page."""

    def do_GET(self) -> None:
        body = b"<html>a page</html>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing to standard error."""


def test_a_page_is_no_target(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        (tmp_path / "admin").write_text("adm")
        url = f"http://127.0.0.1:{server.server_port}"
        done = leakdrill("load", "--target", url, "--admin-token-file", "admin", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "is not a leakdrill gateway: GET /readyz answered HTTP 200 with text/html" in done.stderr
        done = leakdrill("load", "--target", url, "--token", "ldk_x", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "is not a video API" in done.stderr
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_target_that_does_not_take_the_admin_token_or_the_token(live: Live, tmp_path: Path) -> None:
    (tmp_path / "admin").write_text("wrong\n")
    done = leakdrill("load", "--target", live.url, "--admin-token-file", "admin", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "refused the admin token" in done.stderr
    done = leakdrill("load", "--target", live.url, "--token", "ldk_wrong", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "refused the token" in done.stderr


def test_a_gateway_without_control_takes_the_given_token(live: Live, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"{live.issue()['token']}\n{live.issue('tester-002')['token']}\n")
    plain = ("--shape", "steady", "--max-poll-p99-ms", "60000", "--max-submit-p99-ms", "60000")
    target = ("--target", f"{live.url}/v1", "--token-file", "tokens", "--out", "out")
    done = leakdrill("load", *plain, *target, "--users", "6", "--duration", "2s", "--no-warm-up", cwd=tmp_path)
    told = summary(tmp_path)
    assert told.figures.error_rate == 0, done.stdout + done.stderr
    assert told.figures.revocation is None
    assert told.figures.compared == []
    assert told.figures.videos_finished > 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["figures"]["target_wait"] is None
    listed = httpx.get(
        f"{live.url}/v1/videos", headers={"Authorization": f"Bearer {live.issue()['token']}"}, trust_env=False
    )
    assert listed.status_code == 200
