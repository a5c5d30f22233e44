"""The lines that README.md and docs/ tell people to type do what the text around them says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from leakdrill_pytest import Gateway, Token
from live import eventually

ROOT = Path(__file__).parents[2]
# test_doc_lines_live.py types docs/start.md from its first line to its last.
PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "start.md"]
BLOCK = re.compile(r"^```(?:sh|console|bash|python)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, word: str) -> list[str]:
    """The page's code that holds `word`."""
    return [found for found in BLOCK.findall(page.read_text()) if word in found]


def typed(block: str, gateway: Gateway, token: Token, video: str = "") -> str:
    """The block with this gateway's address and a token in their places."""
    return block.replace("http://127.0.0.1:8000", gateway.url).replace("ldk_…", token.token).replace("video_…", video)


def shell(script: str, folder: Path) -> str:
    """What bash prints; fails where a line does."""
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, (script, ran.stdout, ran.stderr)
    return ran.stdout


def test_the_shell_lines_of_the_readme(
    leakdrill: Gateway, tmp_path: Path, need_tool: Callable[[str, str], str]
) -> None:
    need_tool("curl", "apt-get install curl")
    (block,) = blocks(ROOT / "README.md", "curl")
    token = leakdrill.issue()
    printed = shell(typed(block, leakdrill, token), tmp_path)
    created, completed, refused = (json.loads(line) for line in printed.replace("}{", "}\n{").splitlines())
    assert (created["status"], completed["status"]) == ("queued", "completed")
    assert completed["id"] == created["id"]
    assert refused["error"]["code"] == "invalid_api_key"
    assert (tmp_path / "clip.mp4").read_bytes()[4:8] == b"ftyp"
    assert leakdrill.state_of(token) == "revoked"


def test_the_python_lines_of_the_readme(leakdrill: Gateway, tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "README.md", "openai.OpenAI")
    script = "import openai, warnings\nwarnings.simplefilter('ignore')\n" + typed(block, leakdrill, leakdrill.issue())
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "clip.mp4").read_bytes()[4:8] == b"ftyp"


def test_the_shell_lines_of_the_pages(leakdrill: Gateway, tmp_path: Path, need_tool: Callable[[str, str], str]) -> None:
    curl = need_tool("curl", "apt-get install curl")
    token = leakdrill.issue()
    fields = {"prompt": "rain", "model": "turbo", "size": "480x480", "seconds": "1"}
    with httpx.Client(base_url=leakdrill.url, headers=token.headers, trust_env=False) as http:
        video = http.post("/v1/videos", json=fields).json()["id"]
        eventually(lambda: http.get(f"/v1/videos/{video}").json()["status"] == "completed")
    lines = [
        line
        for page in PAGES
        for block in blocks(page, "curl")
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("curl ")
    ]
    assert lines
    for line in lines:
        script = f'curl() {{ {curl} --silent --show-error --fail "$@"; }}\n' + typed(line, leakdrill, token, video)
        assert isinstance(json.loads(shell(script, tmp_path)), dict), line
