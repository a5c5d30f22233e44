"""A leak is reported, from a shell to a running gateway, and the evidence holds afterwards."""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from live import Live, leakdrill, live_gateway


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with live_gateway(tmp_path / "data", workers=0) as running:
        yield running


def run(live: Live, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = leakdrill(*arguments, "--gateway", live.url, cwd=tmp_path, LEAKDRILL_DATA=str(tmp_path / "data"))
    assert "Traceback" not in done.stderr
    return done


def state(live: Live, issued: dict[str, Any]) -> str:
    return str(live.control("GET", f"/control/tokens/{issued['accessor']}")["state"])


def test_a_leak_is_reported_repeated_and_rotated(live: Live, tmp_path: Path) -> None:
    issued, other = live.issue("a1"), live.issue("a2")
    url = "https://example.test/space"
    done = run(live, tmp_path, "disclose", issued["token"], "--url", url, "--repeat", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("1 true, 0 false positives") == 3
    assert issued["token"] not in done.stdout + done.stderr
    assert (state(live, issued), state(live, other)) == ("quarantined", "active")
    video = httpx.post(
        f"{live.url}/v1/videos",
        json={"prompt": "x"},
        headers={"Authorization": f"Bearer {issued['token']}"},
        trust_env=False,
    )
    assert video.status_code == 403
    kinds = [event["kind"] for event in live.control("GET", "/control/events", params={"kind": "disclosure."})["data"]]
    assert kinds == ["disclosure.matched", "disclosure.received"]
    for name in ("disclosure-reporter.json", "disclosure-keys.json"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600

    forged = run(live, tmp_path, "disclose", other["token"], "--forge")
    assert (forged.returncode, "invalid_signature" in forged.stdout) == (1, True)
    retired = run(live, tmp_path, "disclose", other["token"], "--retired-key")
    assert (retired.returncode, "retired_key" in retired.stdout) == (1, True)
    assert state(live, other) == "active"
    before = json.loads((tmp_path / "data" / "disclosure-keys.json").read_text())["public_keys"]
    rotated = run(live, tmp_path, "disclose", other["token"], "--rotate", "--source", "commit")
    assert rotated.returncode == 0, rotated.stdout
    assert state(live, other) == "quarantined"
    after = json.loads((tmp_path / "data" / "disclosure-keys.json").read_text())["public_keys"]
    assert [one["is_current"] for one in after] == [True, *[False] * len(before)]

    shown = leakdrill("tokens", "show", issued["accessor"], "--target", live.url, "--data", "data", cwd=tmp_path)
    assert url in shown.stdout
    assert "first_misuse_at" in shown.stdout

    audited = leakdrill("audit", "verify", "--data", "data", cwd=tmp_path)
    assert (audited.returncode, "lines hold" in audited.stdout) == (0, True), audited.stdout + audited.stderr


def test_a_batch_from_a_file_and_from_standard_input(live: Live, tmp_path: Path) -> None:
    tokens = [live.issue(f"t{number}")["token"] for number in range(3)]
    (tmp_path / "batch.json").write_text(
        json.dumps([{"token": one, "type": "anything", "url": "", "source": "gist"} for one in [*tokens, "ldk_no"]])
    )
    done = run(live, tmp_path, "disclose", "--batch", "batch.json", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    labels = [one["label"] for one in json.loads(done.stdout)[0]["answer"]]
    assert labels == ["true_positive"] * 3 + ["false_positive"]
    (tmp_path / "lines.txt").write_text("\n".join(tokens))
    assert "3 true" in run(live, tmp_path, "disclose", "--batch", "lines.txt").stdout
    (tmp_path / "many.txt").write_text("x\n" * 1001)
    many = run(live, tmp_path, "disclose", "--batch", "many.txt", "--max-batch", "1001")
    assert (many.returncode, "too_many_notices" in many.stdout) == (1, True)
    parts = run(live, tmp_path, "disclose", "--batch", "many.txt", "--json")
    assert [len(one["answer"]) for one in json.loads(parts.stdout)] == [1000, 1]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "TOKEN"),
        (["x", "--forge", "--retired-key"], "--retired-key"),
        (["--batch", "missing.json"], "missing.json"),
        (["--batch", "broken.json"], "broken.json"),
        (["--batch", "empty.txt"], "empty.txt"),
        (["x", "--gateway", "http://127.0.0.1:9"], "no gateway answers"),
    ],
)
def test_what_cannot_be_sent_is_said(tmp_path: Path, arguments: list[str], word: str) -> None:
    (tmp_path / "broken.json").write_text("[{")
    (tmp_path / "empty.txt").write_text("\n")
    done = leakdrill("disclose", *arguments, cwd=tmp_path)
    assert (done.returncode, word in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr


def test_a_broken_file_of_keys_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "disclosure-keys.json").write_text("{")
    done = leakdrill("disclose", "x", "--data", str(data), cwd=tmp_path)
    assert (done.returncode, "disclosure-keys.json" in done.stderr) == (2, True)
    assert (data / "disclosure-keys.json").read_text() == "{"
    assert os.listdir(data) == ["disclosure-keys.json"]
