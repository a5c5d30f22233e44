"""A client that goes away in the middle of its own body: nothing is made, nothing is left, nothing is logged."""

import os
import socket
from pathlib import Path

import httpx
import pytest

from live import eventually, live_gateway


@pytest.mark.parametrize("kind", ["json", "form", "file"])
def test_a_body_that_breaks_off_leaves_nothing(tmp_path: Path, kind: str) -> None:
    with live_gateway(tmp_path / "data", workers=0) as live:
        token = live.issue()["token"]
        host, port = live.url.removeprefix("http://").split(":")
        for _ in range(3):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(request(kind, token))
                if kind == "file":
                    inputs = tmp_path / "data" / "inputs"
                    eventually(lambda: inputs.is_dir() and any(inputs.iterdir()))  # noqa: B023
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        videos = httpx.get(f"{live.url}/v1/videos", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert videos.json()["data"] == []
        inputs = tmp_path / "data" / "inputs"
        eventually(lambda: not inputs.is_dir() or not os.listdir(inputs))
        log = (tmp_path / "data" / "logs" / "gateway.log").read_text()
        assert "ERROR" not in log
        assert "Traceback" not in log


def request(kind: str, token: str) -> bytes:
    """The beginning of a request that promises more."""
    types = {"json": "application/json", "form": "multipart/form-data; boundary=XX"}
    head = (
        f"POST /v1/videos HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {types.get(kind, types['form'])}\r\nContent-Length: 100000\r\n\r\n"
    )
    bodies = {
        "json": '{"prompt": "a dog',
        "form": '--XX\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na dog',
        "file": '--XX\r\nContent-Disposition: form-data; name="input_reference"; filename="a.png"\r\n\r\nPNG',
    }
    return (head + bodies[kind]).encode()
