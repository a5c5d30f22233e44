"""The lines of docs/postgresql.md: a database of one's own, two gateways and four workers on it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.supervisor import free_ports
from live import eventually, path_with_program
from postgres import Server

PAGE = Path(__file__).parents[2] / "docs" / "postgresql.md"
DATABASE, PARTS = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SMALL = {"prompt": "a dog on a skateboard", "size": "480x480", "seconds": "1"}


def environment(server: Server, folder: Path) -> dict[str, str]:
    """A shell's, for an administrator of the server who has `leakdrill` and PostgreSQL's programs in the path."""
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "leakdrill", "PGDATABASE": "postgres"}
    return {**os.environ, **where, "PATH": f"{server.programs}:{path_with_program(folder)}"}


@contextmanager
def started(script: str, folder: Path, environment: dict[str, str]) -> Iterator[list[int]]:
    """Process ids of what the script has left in the background; asked to end, and waited for, at the end."""
    output, pids = folder / "output", list[int]()
    with output.open("wb") as file:
        shell = subprocess.Popen(
            ["bash", "-eu", "-c", f"{script}\njobs -p > pids.new; mv pids.new pids; wait"],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=file,
        )
        try:
            eventually((folder / "pids").exists)
            pids += [int(pid) for pid in (folder / "pids").read_text().split()]
            yield pids
            for pid in reversed(pids):
                os.kill(pid, signal.SIGTERM)
            assert shell.wait(60) == 0, output.read_text()
        finally:
            if shell.poll() is None:
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                shell.wait()
    assert output.read_text() == "", "none of them had anything to complain of"


def call(url: str, method: str, bearer: str, **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {bearer}"}
    answer = httpx.request(method, url, headers=headers, trust_env=False, timeout=30, **options)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def test_the_lines_make_a_database_and_two_gateways_and_four_workers_that_serve_it(
    tmp_path: Path, postgres_server: Server
) -> None:
    # The tests' server has an administrator of the name that the lines give to the database's owner.
    own = {"leakdrill@db.example/leakdrill": f"drill@127.0.0.1:{postgres_server.port}/drill"}
    first = free_ports(2)
    own |= {"--port 8000": f"--port {first}", "--port 8001": f"--port {first + 1}"}
    own |= {"/shared/leakdrill": str(tmp_path / "shared")}
    script = PARTS
    for written, meant in own.items():
        assert written in PARTS
        script = script.replace(written, meant)
    shell = environment(postgres_server, tmp_path)
    made = [line.replace(" leakdrill", " drill") for line in DATABASE.splitlines() if line.startswith("create")]
    assert len(made) == 2
    subprocess.run(["bash", "-euc", "\n".join(made)], env=shell, check=True, timeout=60)

    with started(script, tmp_path, shell) as pids:
        assert len(pids) == 6
        urls = [f"http://127.0.0.1:{first + number}" for number in range(2)]

        def status() -> dict[str, Any]:
            try:
                found: dict[str, Any] = httpx.get(f"{urls[1]}/status", trust_env=False).json()
            except httpx.TransportError:
                return {}
            return found

        eventually(lambda: status().get("workers") == 4 and len(status()["replicas"]) == 2, within=60, every=0.2)
        assert set(status()["replicas"].values()) == set(urls)
        admin = (tmp_path / "shared" / "admin.token").read_text().strip()
        body = {"principal": "me", "cohort": "alpha"}
        bearer = call(f"{urls[0]}/control/tokens", "POST", admin, json=body)["token"]
        videos = [call(f"{urls[number % 2]}/v1/videos", "POST", bearer, json=SMALL)["id"] for number in range(8)]
        for number, video in enumerate(videos):
            other = f"{urls[(number + 1) % 2]}/v1/videos/{video}"
            eventually(lambda other=other: call(other, "GET", bearer)["status"] == "completed", within=60, every=0.1)  # type: ignore[misc]
