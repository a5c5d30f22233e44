"""What the log says, in both forms, and what it never says."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from gateway.logs import REQUEST, TEXT, JsonLines, Lines, without_secrets

pytestmark = pytest.mark.sqlite_alone

SECRET = "ldk_" + "aB3" * 12


def record(message: object, *args: object, level: int = logging.WARNING, failed: bool = False) -> logging.LogRecord:
    info = sys.exc_info() if failed else None
    return logging.LogRecord("leakdrill.test", level, __file__, 1, message, args or None, info)


def line(*args: Any, **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(JsonLines({"part": "worker", "replica": ""}).format(record(*args, **more)))
    return said


def test_an_entry_becomes_an_object_with_its_keys() -> None:
    said = line("action=render_started worker=%s job=%s attempt=%s reason=%r", "w 1", "video_1", 2, "it's = so")
    assert said.pop("time").endswith("Z")
    assert said == {
        "level": "warning",
        "logger": "leakdrill.test",
        "part": "worker",
        "action": "render_started",
        "worker": "w 1",
        "job": "video_1",
        "attempt": 2,
        "reason": "it's = so",
    }


def test_a_key_may_be_put_together_and_other_texts_are_a_message() -> None:
    assert line("action=%s_sweep_failed error=%r", "webhook", "x")["action"] == "webhook_sweep_failed"
    assert line("Started on %s", "there")["message"] == "Started on there"
    assert line(ValueError("odd"))["message"] == "odd"


def test_the_request_is_named_and_no_key_takes_the_place_of_the_log_s_own() -> None:
    before = REQUEST.set("req_1")
    try:
        said = line("action=x level=%s", "loud")
    finally:
        REQUEST.reset(before)
    assert (said["request_id"], said["level"]) == ("req_1", "warning")


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"no such token: {SECRET}",
        "GET /media/video_1?exp=1&sig=0123456789abcdef0123",
        "postgresql://user:word0123456789@host/db",
        "key whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "the admin's lda_0123456789abcdefABCDEF",
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwIn0.c2lnbmF0dXJl",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_both_forms(text: str) -> None:
    longest = max(text.replace("=", " ").replace(":", " ").replace("@", " ").split(), key=len)
    clean = without_secrets(text)
    assert clean != text
    assert "…" in clean
    try:
        raise ValueError(text)
    except ValueError:
        for form in (Lines(TEXT), JsonLines({})):
            written = form.format(record("action=broke reason=%s", text, failed=True))
            assert longest not in written
            assert "ValueError" in written


def test_plain_texts_stay_as_they_are() -> None:
    text = "job video_683a0c9b2d4e8f00aa tok_0123456789abcdef0123 https://example.com/a?limit=20 key=value a:b@c"
    assert without_secrets(text) == text
