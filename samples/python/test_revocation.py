"""Does our client notice that its token was revoked? For your own continuous integration:

    pip install leakdrill pytest openai
    pytest test_revocation.py

The fixture `leakdrill` starts a gateway and ends it; nothing else needs to run.
"""

import openai
import pytest


def test_our_client_is_refused_once_its_token_is_revoked(leakdrill):
    token = leakdrill.issue(principal="our-service", cohort="early-access")
    client = openai.OpenAI(base_url=leakdrill.openai_base_url, api_key=token.token)
    video = client.videos.create(prompt="rain on a window")

    effect = leakdrill.revoke(cohort="early-access")

    assert effect["tokens"] == 1
    with pytest.raises(openai.AuthenticationError):
        client.videos.retrieve(video.id)
    # What was refused is on the gateway's list of events, for whoever asks later.
    assert leakdrill.wait_for("request.refused", accessor=token.accessor)


def test_our_client_asks_again_after_an_outage(leakdrill):
    token = leakdrill.issue()
    client = openai.OpenAI(base_url=leakdrill.openai_base_url, api_key=token.token, max_retries=1)
    leakdrill.faults.add("overloaded", next=1, retry_after=1)

    assert client.videos.list().data == []

    assert leakdrill.wait_for("fault.struck")
