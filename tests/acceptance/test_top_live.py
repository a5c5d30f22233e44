"""`leakdrill top` against a running gateway: once, as JSON, in a terminal through an outage; and without one."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from gateway.supervisor import free_port
from live import Live, leakdrill, live_gateway


class Terminal:
    """`leakdrill top` on a terminal of its own."""

    def __init__(self, url: str, cwd: Path) -> None:
        self._screen, inner = pty.openpty()
        environment = {**os.environ, "COLUMNS": "200", "LINES": "40"}
        command = [sys.executable, "-m", "gateway", "top", "--url", url, "--every", "0.1"]
        self.process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=inner, stderr=inner)
        os.close(inner)

    def shows(self, *words: str, within: float = 20.0) -> str:
        """What is drawn next that has all of these words."""
        deadline, seen = time.monotonic() + within, ""
        while time.monotonic() < deadline:
            if select.select([self._screen], [], [], 0.1)[0]:
                seen = (seen + os.read(self._screen, 65536).decode(errors="replace"))[-20_000:]
                drawn = seen.split("\x1b[H\x1b[J")
                for one in drawn[1:]:
                    if all(word in one for word in words):
                        return one
        raise AssertionError(f"{words} were not drawn within {within} s: {seen[-2000:]}")

    def end(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        os.close(self._screen)
        return code


def once(live: Live, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return leakdrill("top", "--url", live.url, "--every", "0.2", *arguments, cwd=tmp_path)


def test_it_shows_a_gateway_once_and_in_a_terminal_through_an_outage(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=0) as live:
        live.issue()
        plain = once(live, tmp_path)
        assert plain.returncode == 0, plain.stderr
        assert "\x1b" not in plain.stdout
        assert "database up" in plain.stdout
        assert "active 1" in plain.stdout
        assert len(plain.stdout.splitlines()) == 12
        found = json.loads(once(live, tmp_path, "--json").stdout)
        assert found["standing"]["replica"] == "r1"
        assert found["standing"]["tokens"]["active"] == 1
        assert found["rates"]["requests"]["2xx"] > 0

        terminal = Terminal(live.url, tmp_path)
        try:
            terminal.shows("database up", "http/s", "late accepts 0")
            live.kill_gateway()
            away = terminal.shows("GATEWAY AWAY for", "no gateway answers", "these are the last figures")
            assert "active 1" in away
            live.start_gateway()
            back = terminal.shows("leakdrill", "http/s", "active 1")
            while "GATEWAY AWAY" in back:
                back = terminal.shows("leakdrill", "http/s", "active 1")
            assert terminal.process.poll() is None
        finally:
            code = terminal.end()
        assert code == 0


def test_where_there_is_no_gateway_or_none_that_tells_it_says_so(tmp_path: Path) -> None:
    away = leakdrill("top", "--once", "--url", f"http://127.0.0.1:{free_port()}", cwd=tmp_path)
    assert (away.returncode, away.stdout) == (3, "")
    assert "no gateway answers at" in away.stderr
    assert "Traceback" not in away.stderr
    wrong = leakdrill("top", "--once", "--url", "127.0.0.1:8000", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--url" in wrong.stderr
    data = tmp_path / "data"
    with live_gateway(data, workers=0, metrics="admin") as live:
        refused = once(live, tmp_path, "--admin-token", "wrong")
        assert (refused.returncode, "for the admin alone" in refused.stderr) == (2, True)
        unknown = once(live, tmp_path, "--data", str(tmp_path / "nowhere"))
        assert (unknown.returncode, "no admin token" in unknown.stderr) == (2, True)
        told = once(live, tmp_path, "--data", str(data))
        assert told.returncode == 0, told.stderr
