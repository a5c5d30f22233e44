"""A backup is taken while everything runs, and a gateway that is started from it goes on where that one was."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.store import chain
from live import Live, eventually, leakdrill, live_gateway
from postgres import connected


def call(live: Live, method: str, path: str, token: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.request(method, live.url + path, headers=headers, trust_env=False, timeout=30, **options)


def rendered(live: Live, token: str) -> str:
    made = call(live, "POST", "/v1/videos", token, json={"prompt": "x", "seconds": 4, "size": "720x1280", "fps": 1})
    path = f"/v1/videos/{made.json()['id']}"
    eventually(lambda: call(live, "GET", path, token).json()["status"] == "completed", within=60)
    return path


def test_a_gateway_goes_on_from_its_backup(tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "kept"
    with live_gateway(data, render="cached") as live:
        good, revoked = live.issue("ada")["token"], live.issue("bob")["token"]
        path = rendered(live, good)
        clip = call(live, "GET", f"{path}/content", good).content
        live.control("POST", "/control/revocations", json={"selector": {"principal": "bob"}, "reason": "x"})
        done = leakdrill("backup", str(kept), cwd=tmp_path, LEAKDRILL_DATA=str(data))
        assert (done.returncode, done.stderr) == (0, "")
        later = call(live, "POST", "/v1/videos", good, json={"prompt": "after the backup"}).json()["id"]
    made = json.loads((kept / "backup.json").read_text())
    assert made["keys"][:2] == ["secret.key", "admin.token"]
    keys = [kept / name for name in made["keys"] if not name.endswith("/")] + list(kept.glob("authority/leaf.key"))
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert live.supervisor.admin_token not in done.stdout
    assert chain.verify(kept / "leakdrill.db", chain.Anchor(**made["anchor"])).broken is None

    with live_gateway(kept, render="cached") as restored:
        assert call(restored, "GET", f"{path}/content", good).content == clip
        assert call(restored, "GET", path, revoked).status_code == 401
        assert call(restored, "GET", f"/v1/videos/{later}", good).status_code == 404
        rendered(restored, good)
    assert chain.verify(kept / "leakdrill.db", chain.Anchor(**made["anchor"])).broken is None


def test_of_a_database_on_a_server_it_says_how(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database.replace("leakdrill@", "leakdrill:geheim@")
    with connected(postgres_database) as database:
        database.execute(
            "INSERT INTO events (seq, at, kind, actor, data, previous, hash) VALUES (1, 0, 'x', 'x', '{}', 'a', 'b')"
        )
    told: dict[str, Any] = {"LEAKDRILL_DATA": str(tmp_path / "data"), "LEAKDRILL_DATABASE_URL": url}
    done = leakdrill("backup", "kept", cwd=tmp_path, **told)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pg_dump --format=custom --file=kept/leakdrill.dump" in done.stdout
    assert "geheim" not in done.stdout
    assert json.loads((tmp_path / "kept" / "backup.json").read_text())["anchor"] == {"seq": 1, "hash": "b"}


@pytest.mark.parametrize(
    ("before", "words"), [("full", "is not empty"), ("file", "is a file"), ("none", "no database")]
)
def test_what_it_cannot_do_it_says(tmp_path: Path, before: str, words: str) -> None:
    kept = tmp_path / "kept"
    if before == "file":
        kept.write_text("")
    elif before == "full":
        kept.mkdir()
        (kept / "x").write_text("")
    done = leakdrill("backup", "kept", cwd=tmp_path, LEAKDRILL_DATA=str(tmp_path / "data"))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
