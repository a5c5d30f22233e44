"""Programs that a runbook runs: real ones, with all that they start."""

import asyncio
import os
from pathlib import Path

import pytest

from drills import runbook_process
from drills.runbook_process import Ended, run_process
from live import eventually


def run(folder: Path, *argv: str, within: float = 20.0, **env: str) -> Ended:
    return asyncio.run(run_process(argv, env, folder, within))


def script(folder: Path, text: str, mode: int = 0o755) -> str:
    path = folder / "mine.sh"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return "./mine.sh"


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not asked for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def test_it_runs_in_the_folder_with_its_words_and_environment(tmp_path: Path) -> None:
    name = script(tmp_path, '#!/bin/sh\npwd\necho "$1|$MINE|$HOME"\necho oops >&2\nexit 3\n')
    ended = run(tmp_path, name, "a b; $(c)", MINE="x")
    assert ended == Ended(3, f"{tmp_path.resolve()}\na b; $(c)|x|{os.environ.get('HOME', '')}\noops\n")


@pytest.mark.parametrize(
    ("name", "text", "mode", "words"),
    [
        ("./none.sh", "", 0o755, "no such program, seen from the runbook's folder"),
        ("./mine.sh", "#!/bin/sh\n", 0o644, "not executable; chmod +x it"),
        ("./mine.sh", "echo\n", 0o755, "cannot be run as a program; begin it with #!/bin/sh"),
    ],
)
def test_what_cannot_be_started_says_why(tmp_path: Path, name: str, text: str, mode: int, words: str) -> None:
    script(tmp_path, text, mode)
    ended = run(tmp_path, name)
    assert ended.code is None
    assert words in (ended.not_started or "")


@needs_proc
def test_a_time_limit_ends_it_and_what_it_started(tmp_path: Path) -> None:
    """The child ignores SIGTERM, so only the group's SIGKILL reaches it."""
    name = script(
        tmp_path, "#!/bin/sh\n(trap '' TERM; echo $$ > /dev/null; exec sleep 600) & echo $! > child\necho on\nwait\n"
    )
    ended = run(tmp_path, name, within=0.5)
    assert ended == Ended(None, "on\n", timed_out=True)
    eventually(lambda: not is_there(int((tmp_path / "child").read_text())))


@needs_proc
def test_one_that_ignores_the_signal_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runbook_process, "GRACE_SECONDS", 0.1)
    name = script(tmp_path, "#!/bin/sh\ntrap '' TERM\necho $$ > self\nwhile :; do sleep 0.1; done\n")
    assert run(tmp_path, name, within=0.5).timed_out
    assert not is_there(int((tmp_path / "self").read_text()))


@needs_proc
def test_a_child_left_behind_is_ended_and_its_open_output_waited_for_no_longer(tmp_path: Path) -> None:
    name = script(tmp_path, "#!/bin/sh\nsleep 600 & echo $! > child\necho done\n")
    assert run(tmp_path, name) == Ended(0, "done\n")
    eventually(lambda: not is_there(int((tmp_path / "child").read_text())))


@needs_proc
def test_breaking_off_ends_it(tmp_path: Path) -> None:
    name = script(tmp_path, "#!/bin/sh\necho $$ > self\nexec sleep 600\n")

    async def break_off() -> None:
        task = asyncio.ensure_future(run_process([name], {}, tmp_path, 60))
        while not (tmp_path / "self").exists() or not (tmp_path / "self").read_text().strip():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(break_off())
    assert not is_there(int((tmp_path / "self").read_text()))


def test_a_flood_of_output_is_read_and_its_beginning_kept(tmp_path: Path) -> None:
    ended = run(tmp_path, script(tmp_path, "#!/bin/sh\nyes | head -c 3000000\necho end\n"))
    assert ended.code == 0
    assert len(ended.output) == runbook_process.MOST_BYTES
