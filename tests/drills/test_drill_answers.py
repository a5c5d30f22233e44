"""What is no answer of the API's says nothing about a token, whatever its status."""

import asyncio

import httpx
import pytest

from drills.callers import Bearer, Caller
from drills.errors import TargetDown
from drills.gateway import GatewayClient
from drills.history import History, outcome_of

PAGE = "<!DOCTYPE html><title>Please wait</title>"
BEARER = Caller("probe", "probe", Bearer("ldk_x", "tok_x", "p", "c"))


def client(answer: httpx.Response) -> GatewayClient:
    history = History(lambda: 0.0, 100)
    return GatewayClient(
        "http://memory", "admin", history, timeout=1, transport=httpx.MockTransport(lambda request: answer)
    )


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(200, html=PAGE), "html_page"),
        (httpx.Response(200, content=PAGE.encode(), headers={"content-type": "video/mp4"}), "html_page"),
        (httpx.Response(200, content=b"x", headers={"content-type": "application/xhtml+xml"}), "html_page"),
        (httpx.Response(401, html=PAGE), "html_page"),
        (httpx.Response(404, html=PAGE), "html_page"),
        (httpx.Response(302, headers={"location": "https://login.example/"}), "redirect"),
        (httpx.Response(503, html=PAGE), "html_page"),
    ],
)
def test_a_page_or_a_redirect_is_neither_accepted_nor_refused(answer: httpx.Response, code: str) -> None:
    found = asyncio.run(client(answer).list_videos(BEARER)).exchange
    assert (found.outcome, found.code, found.status) == ("fault", code, answer.status_code)


def test_what_the_api_answers_counts_as_before() -> None:
    for answer, outcome in (
        (httpx.Response(200, json={"object": "list"}), "accepted"),
        (httpx.Response(200, content=b"\0\0\0 ftyp", headers={"content-type": "video/mp4"}), "accepted"),
        (httpx.Response(304), "accepted"),
        (httpx.Response(204), "accepted"),
        (httpx.Response(401, json={"error": {"code": "invalid_api_key"}}), "refused"),
        (httpx.Response(404, json={"error": {"code": "not_found"}}), "unclear"),
    ):
        assert asyncio.run(client(answer).list_videos(BEARER)).exchange.outcome == outcome
    assert outcome_of(404, "html_page", "share_link") == "fault"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(200, html=PAGE), "answers with an HTML page instead of the API's answer"),
        (httpx.Response(307, headers={"location": "/x"}), "answers with a redirect instead of the API's answer"),
        (httpx.Response(502, content=b"Bad Gateway"), r"out of order \(PATCH /control/state: 502\)"),
    ],
)
def test_a_control_call_that_something_else_answers_means_that_the_target_is_away(
    answer: httpx.Response, words: str
) -> None:
    with pytest.raises(TargetDown, match=words) as caught:
        asyncio.run(client(answer).set_phase("normal"))
    assert caught.value.exit_code == 3
