"""The program from a shell: what it prints, and how it ends where something is wrong."""

import hashlib
import json
import socket
from pathlib import Path

import pytest

from live import leakdrill, live_gateway


def ensure_refused(done: "object", *words: str) -> None:
    """Exit code 2, one clear line, no traceback."""
    import subprocess

    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_tokens_are_issued_listed_shown_revoked_and_restored(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=0) as live:

        def run(*arguments: str) -> str:
            done = leakdrill(
                "tokens", *arguments, "--target", live.url, cwd=tmp_path, LEAKDRILL_DATA=str(tmp_path / "data")
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        issued = json.loads(run("issue", "--principal", "tester-001", "--cohort", "alpha", "--json"))
        assert {"token", "accessor", "principal", "cohort", "scopes", "expires_at"} <= set(issued)
        assert issued["accessor"] in run("list", "--cohort", "alpha")
        assert issued["token"] not in run("list", "--json")
        live.control("PATCH", f"/control/tokens/{issued['accessor']}", json={"state": "suspended"})
        assert "active" in run("restore", issued["accessor"])
        assert "1 tokens revoked" in run("revoke", issued["accessor"], "--reason", "drill")
        assert json.loads(run("show", issued["accessor"], "--json"))["state"] == "revoked"
        other = json.loads(run("issue", "--principal", "p", "--cohort", "beta", "--label", "wave-1", "--json"))
        printed = hashlib.sha256(other["token"].encode()).hexdigest()
        done = json.loads(run("revoke", "--fingerprint", printed, "--transfers", "finish", "--json"))
        assert [item["accessor"] for item in done["items"]] == [other["accessor"]]
        assert done["in_flight"] == {"queued": "cancel", "running": "cancel", "transfers": "finish"}
        again = json.loads(run("revoke", "--label", "wave-1", "--queued", "keep", "--running", "finish", "--json"))
        assert [item["outcome"] for item in again["items"]] == ["already"]
        metered = json.loads(run("issue", "--principal", "p", "--cohort", "gamma", "--credits", "500", "--json"))
        assert metered["account"] == metered["accessor"]
        assert "granted 500, reserved 0, spent 0, released 0, available 500" in run("show", metered["accessor"])
        refused = leakdrill(
            "tokens",
            "restore",
            issued["accessor"],
            "--target",
            live.url,
            cwd=tmp_path,
            LEAKDRILL_DATA=str(tmp_path / "data"),
        )
        ensure_refused(refused, "revoked is final")
        wrong = leakdrill("tokens", "list", "--target", live.url, "--admin-token", "x", cwd=tmp_path)
        ensure_refused(wrong, "admin token")


def test_no_gateway_and_no_admin_token(tmp_path: Path) -> None:
    ensure_refused(leakdrill("tokens", "list", cwd=tmp_path), "no admin token", "LEAKDRILL_ADMIN_TOKEN")
    done = leakdrill("tokens", "list", "--target", "http://127.0.0.1:9", "--admin-token", "x", cwd=tmp_path)
    ensure_refused(done, "no gateway answers", "leakdrill up")


def test_a_port_in_use_names_the_option(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ensure_refused(leakdrill("gateway", "--port", port, cwd=tmp_path), port, "--port")
        ensure_refused(leakdrill("up", "--port", port, "--no-page", cwd=tmp_path), port, "--port")


def test_a_data_directory_that_cannot_be_written(tmp_path: Path) -> None:
    for command in (["gateway"], ["worker"], ["up", "--no-page"]):
        done = leakdrill(*command, cwd=tmp_path, LEAKDRILL_DATA="/dev/null/data")
        ensure_refused(done, "/dev/null/data", "LEAKDRILL_DATA")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "3x3"], ("size", "1920x1080")),
        (["--seconds", "0"], ("seconds", "12")),
        (["--model", "real"], ("model", "turbo")),
        (["--style", "oil"], ("style", "saltglass")),
        (["--seed", "-1"], ("seed",)),
    ],
)
def test_a_render_that_cannot_be(tmp_path: Path, arguments: list[str], words: tuple[str, ...]) -> None:
    done = leakdrill("render", "a dog", "-o", "clip.mp4", *arguments, cwd=tmp_path)
    ensure_refused(done, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_render_from_the_shell(tmp_path: Path) -> None:
    arguments = ("--size", "480x480", "--seconds", "1", "--fps", "10", "--seed", "3")
    done = leakdrill("render", "a dog on a skateboard", "-o", "clip.mp4", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "480x480, 10 frames at 10 fps" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_broken_scenario_names_file_line_and_key(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("scenario: {id: x, titel: y}\n")
    ensure_refused(leakdrill("drill", "lint", "mine.yaml", cwd=tmp_path), "mine.yaml", "titel", "title")
    ensure_refused(leakdrill("drill", "run", "mine.yaml", cwd=tmp_path), "mine.yaml")
    ensure_refused(leakdrill("drill", "run", "no-such-drill", cwd=tmp_path), "no-such-drill", "november-2024")
    listed = leakdrill("drill", "list", cwd=tmp_path)
    assert "november-2024" in listed.stdout


def test_a_bad_setting_names_its_variable(tmp_path: Path) -> None:
    done = leakdrill("up", "--no-page", cwd=tmp_path, LEAKDRILL_QUEUE_LIMIT="none")
    ensure_refused(done, "LEAKDRILL_QUEUE_LIMIT")


def test_help_and_version_answer(tmp_path: Path) -> None:
    assert "leakdrill, version" in leakdrill("--version", cwd=tmp_path).stdout
    assert "replay November 2024" in " ".join(leakdrill("--help", cwd=tmp_path).stdout.split())
    for command in ("demo", "up", "gateway", "worker", "page", "tokens", "drill", "trace", "render"):
        assert leakdrill(command, "--help", cwd=tmp_path).returncode == 0
