from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from frontend.tokens import PageTokens


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "page.tokens"


def tokens_of(file: Path | None, *fixed: str) -> PageTokens:
    return PageTokens(fixed, file, random.Random(7))


def test_a_missing_file_means_no_access_yet(file: Path) -> None:
    tokens = tokens_of(file)
    assert tokens.current() == ()
    assert tokens.pick() is None


def test_a_file_that_appears_changes_and_goes_is_followed(file: Path) -> None:
    tokens = tokens_of(file)
    file.write_text("")
    assert tokens.current() == ()
    file.write_text("ldk_one\n\n# given to the page at noon\n  ldk_two  \n")
    assert tokens.current() == ("ldk_one", "ldk_two")
    replacement = file.with_name("fresh")
    replacement.write_text("ldk_six\n")
    replacement.replace(file)
    assert tokens.current() == ("ldk_six",)
    file.unlink()
    assert tokens.current() == ()


def test_a_new_modification_time_alone_has_the_file_read_again(file: Path) -> None:
    file.write_text("ldk_one\n")
    tokens = tokens_of(file)
    assert tokens.current() == ("ldk_one",)
    inode = file.stat().st_ino
    file.write_text("ldk_two\n")
    os.utime(file, ns=(1, 1))
    assert file.stat().st_ino == inode
    assert tokens.current() == ("ldk_two",)


def test_lines_that_cannot_be_a_token_are_passed_over(file: Path) -> None:
    file.write_bytes(b"ldk_good\nldk with spaces\n\xff\xfe\n")
    assert tokens_of(file).current() == ("ldk_good",)


def test_tokens_of_both_sources_are_used_once_each(file: Path) -> None:
    file.write_text("ldk_two\nldk_three\n")
    assert tokens_of(file, "ldk_one", "ldk_two").current() == ("ldk_one", "ldk_two", "ldk_three")


def test_generations_are_spread_over_all_tokens() -> None:
    tokens = tokens_of(None, "ldk_one", "ldk_two", "ldk_three")
    picked = Counter(tokens.pick() for _ in range(300))
    assert set(picked) == {"ldk_one", "ldk_two", "ldk_three"}
    assert min(picked.values()) > 60


def test_a_token_is_remembered_to_have_worked_even_when_the_file_has_lost_it(file: Path) -> None:
    file.write_text("ldk_one\n")
    tokens = tokens_of(file)
    assert not tokens.worked("ldk_one")
    tokens.note_worked("ldk_one")
    file.write_text("")
    assert tokens.worked("ldk_one")
    assert not tokens.worked("ldk_two")


def test_a_token_that_is_given_takes_the_place_of_all_until_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "page.tokens"
    file.write_text("ldk_old\n")
    tokens = PageTokens(("ldk_fixed",), file, random.Random(1))
    tokens.give("ldk_given")
    assert tokens.current() == ("ldk_given",)
    file.write_text("ldk_old\nldk_new\n")
    assert tokens.current() == ("ldk_fixed", "ldk_old", "ldk_new")
