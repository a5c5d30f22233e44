"""Options of `leakdrill load` that do not fit: refused before anything is started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.cli import main


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--duration banana", "is not a duration"),
        ("--duration 0s", "is not a duration"),
        ("--duration 25h", "is not a duration"),
        ("--drain x", "is not a duration"),
        ("--users 0", "--users"),
        ("--users many", "--users"),
        ("--rate 0", "--rate"),
        ("--rate nan", "rate: "),
        ("--rate 100000 --duration 1h", "more than 1000000 arrivals"),
        ("--shape nope", "there are november-2024, ramp"),
        ("--shape nope.yaml", "nope.yaml: cannot be read"),
        ("--seed -1", "--seed"),
        ("--processes 0", "--processes"),
        ("--workers 0", "--workers"),
        ("--max-error-rate 2", "--max-error-rate"),
        ("--max-poll-p99-ms 0", "--max-poll-p99-ms"),
        ("--max-late-accepts -1", "--max-late-accepts"),
        ("--role worker --users 5", "the master's to say"),
        ("--role master", "--role master goes with --target"),
        ("--token ldk_x", "--token goes with --target"),
        ("--target http://127.0.0.1:9 --workers 3", "a target has those that it has"),
        ("--target nonsense --token x", "must be an address such as"),
        ("--target ftp://host --token x", "must be an address such as"),
        ("--target http://127.0.0.1:9 --token x --shape revoke-at-peak", "which needs the target's admin token"),
        ("--target http://127.0.0.1:9 --token a\tb", "a token is one word"),
        ("--target http://127.0.0.1:9 --token-file empty", "holds no token"),
        ("--target http://127.0.0.1:9 --admin-token-file empty", "does not hold an admin token"),
        ("--target http://127.0.0.1:9 --admin-token-file nowhere", "cannot be read"),
        ("--target http://127.0.0.1:9 --token x --admin-token-file empty", "for a target without /control"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(
    options: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("")
    with pytest.raises(SystemExit) as left:
        main(["load", *options.split(" ")])
    assert left.value.code == 2
    assert words in capsys.readouterr().err


def test_without_the_extra_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "locust", None)
    with pytest.raises(SystemExit) as left:
        main(["load"])
    assert left.value.code == 2
    assert 'install it with: pip install "leakdrill[load]"' in capsys.readouterr().err
